import { z } from 'zod';
import { SeenNodeSchema } from '../../cluster/index.ts';
import type { ApiDeps } from '../deps.ts';
import type { App } from './routes.ts';

const ClusterResponse = z
  .object({
    node: z.string().nullable().describe('The node that responds; null on one machine'),
    nodes: z.array(
      SeenNodeSchema.omit({ checksums: true, run: true, installation: true }).extend({
        seq: z.int().describe('The newest record that it has decided'),
        checksum: z.string().nullable().describe('Of what it decided; null: not known yet'),
      }),
    ),
  })
  .meta({ id: 'Cluster', description: 'The nodes of a cluster, as one of them sees the others' });

/** `/api/v1/cluster`. */
export function clusterRoutes(app: App, { cluster }: Pick<ApiDeps, 'cluster'>): void {
  app.get(
    '/api/v1/cluster',
    {
      config: { permission: 'metrics.read' },
      schema: {
        tags: ['system'],
        summary: 'Lists the nodes of the cluster: how far each is, its duties and its checksum; none on one machine',
        response: { 200: ClusterResponse },
      },
    },
    async () => {
      const found = cluster();
      if (found === null) return { node: null, nodes: [] };
      const nodes = found.nodes.map(({ checksums, run: _run, installation: _installation, ...node }) => {
        return { ...node, seq: node.decided, checksum: checksums.at(-1)?.hash ?? null };
      });
      return { node: found.node, nodes };
    },
  );
}

import { resolve } from 'node:path';
import { readCluster, recoverCluster } from '../app/index.ts';
import { type ClusterSettings, connectTo, readNodes, type SeenNode, streamRange } from '../cluster/index.ts';
import { LamppostError } from '../domain/index.ts';
import type { CLUSTER_RECOVER, CLUSTER_STATUS } from './flags.ts';
import { createProgress, print, table } from './output.ts';
import type { Given } from './spec.ts';

/** `cluster status`. Returns 0 where every node that is known serves. */
export async function clusterStatus({ flags, settings }: Given<typeof CLUSTER_STATUS>, environment: NodeJS.ProcessEnv) {
  const cluster = settingsOf('status', environment, settings);
  const connection = await connectTo(cluster, 'status');
  try {
    const [nodes, stream] = [await readNodes(connection, cluster), await streamRange(connection, cluster)];
    print(flags.json, { cluster: cluster.name, stream, nodes }, (found) => [
      found.stream === null
        ? `stream ${found.cluster}: there is none yet`
        : `stream ${found.cluster}: blocks ${found.stream.first} to ${found.stream.last}`,
      ...(found.nodes.length === 0 ? ['no node has ever started'] : table([HEADER, ...found.nodes.map(rowOf)])),
      ...found.nodes.flatMap(({ node, state, reasons }) =>
        state === 'running' ? reasons.map((reason) => `${node}: ${reason}`) : [],
      ),
    ]);
    return nodes.every(({ state, ready }) => state === 'running' && ready) ? 0 : 1;
  } finally {
    await connection.close();
  }
}

const HEADER = ['NODE', 'STATE', 'SAID', 'VERSION', 'LOG', 'DECIDED', 'STORED', 'LAG', 'CLIENTS', 'DUTIES', 'HTTP'];

function rowOf(node: SeenNode): string[] {
  const state = node.state === 'running' && !node.ready ? 'not ready' : node.state;
  const holds = node.state === 'running' ? node.holds.join(',') : '';
  return [
    ...[node.node, state, `${Math.round(node.ageMs / 1_000)} s ago`, node.version],
    ...[node.mirrored, node.decided, node.stored].map(String),
    ...[`${Math.round(node.lagMs)} ms`, String(node.clients), holds || '-', node.http ?? '-'],
  ];
}

/** `cluster recover`. Without --yes it only says what it would do. Returns 1 where something is left to do. */
export async function clusterRecover(
  { flags, settings }: Given<typeof CLUSTER_RECOVER>,
  environment: NodeJS.ProcessEnv,
) {
  const cluster = settingsOf('recover', environment, settings);
  const dir = resolve(flags.data ?? environment.LAMPPOST_DATA ?? './data');
  const progress = createProgress(flags.progress);
  const onProgress = (seq: number) => progress.show(`block ${seq}`);
  const missing = await recoverCluster(dir, cluster, { act: flags.yes, onProgress }).finally(() => progress.clear());
  print(flags.json, { data: dir, missing, done: missing !== null && flags.yes }, () => {
    if (missing === null) return ['the stream lacks no block of this log'];
    const blocks = `blocks ${missing.from} to ${missing.to}`;
    return flags.yes
      ? [`${blocks} are back in the stream ${cluster.name}; start the nodes`]
      : [`the stream ${cluster.name} lacks ${blocks}, which this log has`, 'Run it with --yes to put them back.'];
  });
  return missing === null || flags.yes ? 0 : 1;
}

function settingsOf(
  what: string,
  environment: NodeJS.ProcessEnv,
  flags: Readonly<Record<string, string>>,
): ClusterSettings {
  const cluster = readCluster(environment, flags);
  if (cluster !== null) return cluster;
  throw new LamppostError('config', `cluster ${what}: LAMPPOST_LOG names the NATS servers, and is not set`);
}

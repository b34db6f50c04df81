import { useQuery } from '@tanstack/react-query';
import type { Cluster } from '../parts/cluster.ts';
import { useMay } from '../session.ts';
import { credentials, ProblemError } from './client.ts';

/** Resolves to the nodes of the cluster; null on one machine. */
async function readCluster(): Promise<Cluster | null> {
  const response = await fetch('/api/v1/cluster', { headers: credentials() });
  if (response.status === 404 || response.status === 204) return null;
  if (!response.ok) throw new ProblemError(response.status, await response.json().catch(() => undefined));
  const { node = '', nodes = [] } = (await response.json()) as Partial<Cluster>;
  return nodes.length === 0 ? null : { node, nodes };
}

/** The nodes of the cluster; null on one machine, which is asked once, and for who may not know. */
export function useCluster(): Cluster | null {
  const { data = null } = useQuery({
    queryKey: ['cluster'],
    enabled: useMay('metrics.read'),
    staleTime: 5_000,
    refetchInterval: ({ state }) => (state.data === null ? false : 5_000),
    queryFn: readCluster,
  });
  return data;
}

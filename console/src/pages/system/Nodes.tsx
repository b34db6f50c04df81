import { useQuery } from '@tanstack/react-query';
import { credentials, ProblemError } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { type Column, Listing } from '../../parts/Listing.tsx';
import { type Cluster, type ClusterNode, troubleOf } from './cluster.ts';

/** Resolves to the nodes of the cluster; null on one machine. */
async function readCluster(): Promise<Cluster | null> {
  const response = await fetch('/api/v1/cluster', { headers: credentials() });
  if (response.status === 404 || response.status === 204) return null;
  if (!response.ok) throw new ProblemError(response.status, await response.json().catch(() => undefined));
  const { node = '', nodes = [] } = (await response.json()) as Partial<Cluster>;
  return nodes.length === 0 ? null : { node, nodes };
}

/** The nodes of a cluster: how far each is, what it does for all, and whether it is there. Nothing on one machine. */
export function Nodes() {
  const { t } = useWords();
  const { data } = useQuery({
    queryKey: ['cluster'],
    refetchInterval: ({ state }) => (state.data === null ? false : 5_000),
    queryFn: readCluster,
  });
  const columns = useColumns(data ?? null);
  if (data === undefined || data === null) return null;
  return (
    <section className="stack" aria-labelledby="nodes">
      <h2 id="nodes">{t('cluster.title')}</h2>
      <Listing
        label={t('cluster.title')}
        items={data.nodes.toSorted((a, b) => (a.node < b.node ? -1 : 1))}
        keyOf={({ node }) => node}
        none={t('cluster.none')}
        columns={columns}
      />
    </section>
  );
}

function useColumns(cluster: Cluster | null): readonly Column<ClusterNode>[] {
  const { t, term, number, duration } = useWords();
  const stateOf = (node: ClusterNode) => {
    const trouble = cluster && troubleOf(node, cluster);
    if (trouble === null) return <span className="good">{t('state.ready')}</span>;
    return <span className="late">{t(`cluster.${trouble}`, { d: duration(node.ageMs) })}</span>;
  };
  return [
    {
      head: t('cluster.node'),
      cell: ({ node }) => (
        <>
          <span className="mono">{node}</span>{' '}
          {node === cluster?.node && <span className="pill">{t('cluster.this')}</span>}
        </>
      ),
    },
    { head: t('column.state'), cell: stateOf },
    { head: t('system.behind'), num: true, cell: ({ lagMs }) => `${number(lagMs / 1_000)} s` },
    { head: t('cluster.record'), num: true, cell: ({ seq }) => number(seq) },
    { head: t('cluster.holds'), cell: ({ holds }) => holds.map((duty) => term('duty', duty)).join(', ') || '–' },
    {
      head: t('cluster.checksum'),
      cell: ({ checksum }) => <span className="mono">{checksum?.slice(0, 12) ?? '–'}</span>,
    },
  ];
}

import { useCluster } from '../../api/cluster.ts';
import { useWords } from '../../language.ts';
import { type Cluster, type ClusterNode, troubleOf } from '../../parts/cluster.ts';
import { type Column, Listing } from '../../parts/Listing.tsx';

/** The nodes of a cluster: how far each is, what it does for all, and whether it is there. Nothing on one machine. */
export function Nodes() {
  const { t } = useWords();
  const cluster = useCluster();
  const columns = useColumns(cluster);
  if (cluster === null) return null;
  return (
    <section className="stack" aria-labelledby="nodes">
      <h2 id="nodes">{t('cluster.title')}</h2>
      <Listing
        label={t('cluster.title')}
        items={cluster.nodes.toSorted((a, b) => (a.node < b.node ? -1 : 1))}
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

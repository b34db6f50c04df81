import { useQuery } from '@tanstack/react-query';
import { useWords } from '../../language.ts';
import { readMetrics } from '../../parts/metrics.ts';
import { Age } from '../../parts/words.tsx';

/** A sum of samples of one name, those whose labels fit. */
type Figure = (name: string, labels?: RegExp) => number;

async function readFigures(): Promise<Figure> {
  const samples = await readMetrics();
  return (name, labels = /^/) =>
    samples.filter((one) => one.name === name && labels.test(one.labels)).reduce((sum, { value }) => sum + value, 0);
}

/** What the server measures of itself, of /metrics: space, memory, backups, what waits. */
export function Figures() {
  const { t, number } = useWords();
  const { data } = useQuery({ queryKey: ['metrics'], refetchInterval: 15_000, queryFn: readFigures });
  if (data === undefined) return null;
  const size = (bytes: number) => `${number(Math.round(bytes / 104_857.6) / 10)} MiB`;
  const backup = data('newest_backup_timestamp_seconds');
  const rows = [
    [t('figures.journal'), size(data('journal_bytes'))],
    [t('figures.quarantine'), size(data('quarantine_bytes'))],
    [t('figures.heap'), size(data('thread_heap_bytes') + data('thread_external_bytes'))],
    [t('figures.history'), size(data('history_process_resident_bytes'))],
    [
      t('figures.backup'),
      backup === 0 ? t('figures.none') : <Age key="backup" at={new Date(backup * 1_000).toISOString()} />,
    ],
    [t('figures.devices'), number(data('devices'))],
    [t('figures.tickets'), number(data('open_tickets'))],
    [t('figures.deliveries'), number(data('deliveries_waiting'))],
    [t('figures.receivers'), number(data('receivers', /"disabled"/))],
    [t('figures.clock'), t('figures.times', { n: number(data('clock_steps_total')) })],
  ] as const;
  return (
    <section className="panel" aria-labelledby="figures">
      <header>
        <h2 id="figures">{t('figures.title')}</h2>
      </header>
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name} style={{ display: 'contents' }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

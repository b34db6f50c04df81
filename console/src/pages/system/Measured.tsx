import { useQuery } from '@tanstack/react-query';
import { useWords } from '../../language.ts';
import { readMetrics } from '../../parts/metrics.ts';
import { Age } from '../../parts/words.tsx';

/** A sum of samples of one name, those whose labels fit. */
type SumOf = (name: string, labels?: RegExp) => number;

async function readSums(): Promise<SumOf> {
  const samples = await readMetrics();
  return (name, labels = /^/) =>
    samples.filter((one) => one.name === name && labels.test(one.labels)).reduce((sum, { value }) => sum + value, 0);
}

/** What the server measures of itself, of /metrics: space, memory, backups, what waits. */
export function Measured() {
  const { t, number } = useWords();
  const { data } = useQuery({ queryKey: ['metrics'], refetchInterval: 15_000, queryFn: readSums });
  if (data === undefined) return null;
  const size = (bytes: number) => `${number(Math.round(bytes / 104_857.6) / 10)} MiB`;
  const backup = data('newest_backup_timestamp_seconds');
  const rows = [
    [t('measured.journal'), size(data('journal_bytes'))],
    [t('measured.quarantine'), size(data('quarantine_bytes'))],
    [t('measured.heap'), size(data('thread_heap_bytes') + data('thread_external_bytes'))],
    [t('measured.history'), size(data('history_process_resident_bytes'))],
    [
      t('measured.backup'),
      backup === 0 ? t('measured.none') : <Age key="backup" at={new Date(backup * 1_000).toISOString()} />,
    ],
    [t('measured.devices'), number(data('devices'))],
    [t('measured.tickets'), number(data('open_tickets'))],
    [t('measured.deliveries'), number(data('deliveries_waiting'))],
    [t('measured.receivers'), number(data('receivers', /"disabled"/))],
    [t('measured.clock'), t('measured.times', { n: number(data('clock_steps_total')) })],
  ] as const;
  return (
    <section className="panel" aria-labelledby="measured">
      <header>
        <h2 id="measured">{t('measured.title')}</h2>
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

import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useChartFn, useCity, useNames } from '../../api/queries.ts';
import type { Series, Evidence as Shown, ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Chart, type Span } from '../../parts/Chart.tsx';
import { useMay } from '../../session.ts';

const HOUR_MS = 3_600_000;
const LONGEST_MS = 7 * 24 * HOUR_MS;
const POINTS = 400;

interface Props {
  readonly ticket: ShownTicket;
  readonly evidence: Shown & { readonly rule: string };
}

/** Why the ticket is there: in sentences, as a chart, and the rule itself. */
export function Evidence({ ticket, evidence }: Props) {
  const { t } = useWords();
  return (
    <section className="panel stack" aria-labelledby="why">
      <h2 id="why">{t('why')}</h2>
      <Sentences evidence={evidence} />
      <Readings ticket={ticket} evidence={evidence} />
      <details>
        <summary>{t('why.rule')}</summary>
        <pre className="code">{evidence.rule}</pre>
      </details>
    </section>
  );
}

function Sentences({ evidence }: { readonly evidence: Shown }) {
  const { t, term, number, duration, time } = useWords();
  const name = useNames();
  const unit = useUnits();
  const { metric, fn, op, threshold, value, count, fromMs, toMs, state, states } = evidence.window;
  const limit =
    threshold === null
      ? (states?.join(', ') ?? t('why.usual'))
      : [threshold]
          .flat()
          .map((one) => number(one))
          .join(' – ');
  const values = {
    metric: name('metrics', metric),
    fn: term('fn', fn),
    op: term('op', op),
    limit: states === undefined ? `${limit} ${unit(metric)}`.trim() : limit,
    value: state ?? (value === null ? '–' : `${number(value)} ${unit(metric)}`.trim()),
    count: number(count),
    span: duration(toMs - fromMs),
    from: time(fromMs),
    to: time(toMs),
  };
  const main = fn === 'absent' ? 'why.absent' : fn === 'last' ? 'why.last' : 'why.window';
  return (
    <>
      <p>{t(main, values)}</p>
      {evidence.devices !== undefined && <p>{t('why.devices', { devices: evidence.devices.join(', ') })}</p>}
      {evidence.detail !== undefined && <p>{evidence.detail}</p>}
      {evidence.clauses?.map((clause) => (
        <p key={clause.path} className="dim">
          {t('why.clause', {
            path: clause.path,
            metric: name('metrics', clause.metric),
            value: clause.value === null ? '–' : number(clause.value),
            verdict: term('verdict', clause.verdict),
          })}
        </p>
      ))}
    </>
  );
}

function useUnits(): (metric: string) => string {
  const { data } = useCity();
  return (metric) => data?.metrics.find(({ id }) => id === metric)?.unit ?? '';
}

/** Where the chart begins and ends: the window, as much before it, and the time of the alert. */
function rangeOf({ resolvedAt, openedAt }: ShownTicket, { fromMs, toMs }: Shown['window']) {
  const before = Math.max(HOUR_MS, 2 * (toMs - fromMs));
  const end = resolvedAt === null ? Date.now() : Date.parse(resolvedAt) + HOUR_MS / 2;
  const from = fromMs - before;
  return { from, to: Math.min(Math.max(end, Date.parse(openedAt) + HOUR_MS), from + LONGEST_MS, Date.now()) };
}

function Readings({ ticket, evidence }: Props) {
  const { t } = useWords();
  const may = useMay('readings.read');
  const { metric, fn, threshold, fromMs, toMs } = evidence.window;
  const city = useCity();
  const fnOf = useChartFn();
  const group = ticket.group ?? '';
  const isDistrict = city.data?.districts.some(({ id }) => id === group) === true;
  const { data } = useQuery({
    queryKey: ['evidence', ticket.id, ticket.resolvedAt],
    enabled: may && city.isSuccess && metric !== '*' && group !== 'city' && !group.startsWith('~'),
    staleTime: 60_000,
    queryFn: () => {
      const { from, to } = rangeOf(ticket, evidence.window);
      const every = `${Math.max(1, Math.ceil((to - from) / POINTS / 1_000))}s`;
      const of = isDistrict ? { district: group } : { device: group };
      const points = { fn: fnOf(metric), every };
      const query = { ...of, metric, from: String(Math.round(from)), to: String(Math.round(to)), ...points };
      return bodyOf(api.GET('/api/v1/readings', { params: { query } }));
    },
  });
  const { readings } = evidence;
  const series = useMemo(() => {
    const found = ((data?.series ?? []) as Series[]).filter(({ points }) => points.length > 0);
    const known: Series = { device: group, metric, unit: '', points: readings as [number, number][] };
    return found.length > 0 ? found.slice(0, MOST_SERIES) : [known];
  }, [data, group, metric, readings]);
  const lines = useMemo(() => (threshold === null || !OF_VALUES.has(fn) ? [] : [threshold].flat()), [threshold, fn]);
  const spans = useMemo(
    (): Span[] => [
      { fromMs, toMs, kind: 'window' },
      { fromMs: toMs, toMs: ticket.resolvedAt === null ? Date.now() : Date.parse(ticket.resolvedAt), kind: 'firing' },
    ],
    [fromMs, toMs, ticket.resolvedAt],
  );
  if (series[0]!.points.length === 0) return null;
  return (
    <figure style={{ margin: 0 }}>
      <Chart label={t('why.chart')} series={series} lines={lines} spans={spans} />
      <figcaption className="dim">{t('why.legend')}</figcaption>
    </figure>
  );
}

const MOST_SERIES = 8;
/** What is measured in the unit of the readings: only then the threshold is a line among them. */
const OF_VALUES: ReadonlySet<string> = new Set(['last', 'mean', 'min', 'max', 'p10', 'p50', 'p90', 'p95', 'forecast']);

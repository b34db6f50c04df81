import { Button, MultiSelect, Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, bodyOf } from '../api/client.ts';
import { useCity, useNames } from '../api/queries.ts';
import type { OversightLine } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { useAct } from '../parts/acting.tsx';
import { download } from '../parts/download.ts';
import { type Column, Listing } from '../parts/Listing.tsx';
import { Failure } from '../parts/words.tsx';
import { Change, percent } from './oversight/compare.tsx';
import { BY, type By, DAY_MS, DAYS, type OversightFilter, oversightFilterIn } from './oversight/filter.ts';
import { type Pair, pairsOf } from './oversight/pairs.ts';

/** How the city responds, beside the same number of days before. */
export function Oversight() {
  const { t, day, language } = useWords();
  const city = useCity();
  const filter = oversightFilterIn(useSearch({ strict: false }));
  const act = useAct();
  const [toMs, spanMs] = [Date.parse(filter.until) + DAY_MS, Number(filter.days) * DAY_MS];
  const fromMs = toMs - spanMs;
  const lines = useLines(fromMs, toMs, filter.by);
  const before = useLines(fromMs - spanMs, fromMs, filter.by);
  const total = useLines(fromMs, toMs, ['department']);
  const totalBefore = useLines(fromMs - spanMs, fromMs, ['department']);
  const columns = useColumns(filter.by);
  const by = filter.by.join(',');
  const csv = `/api/v1/oversight?${new URLSearchParams({ from: isoOf(fromMs), to: isoOf(toMs), by, format: 'csv' })}`;
  const failed = [lines, before, total, totalBefore].find(({ isError }) => isError);
  return (
    <>
      <div className="bar">
        <h1>{t('nav.oversight')}</h1>
        <span className="dim">
          {`${city.data?.name[language] ?? ''} · ${t('oversight.span', { from: day(fromMs), to: day(toMs) })}`}
        </span>
        <span className="push" />
        <Button
          className="screen"
          variant="default"
          loading={act.isPending}
          onClick={() => act.mutate(() => download(csv, `oversight-${filter.until}.csv`))}
        >
          {t('csv')}
        </Button>
        <Button className="screen" variant="default" onClick={() => print()}>
          {t('print')}
        </Button>
      </div>
      <Filters filter={filter} />
      {failed !== undefined && <Failure error={failed.error} again={() => void failed.refetch()} />}
      {total.data !== undefined && totalBefore.data !== undefined && (
        <Totals now={sumOf(total.data)} before={sumOf(totalBefore.data)} />
      )}
      {lines.data !== undefined && before.data !== undefined && (
        <Listing
          label={t('nav.oversight')}
          columns={columns}
          items={pairsOf(lines.data, before.data, { by: filter.by, days: Number(filter.days) })}
          keyOf={({ key }) => key}
          none={t('oversight.none')}
        />
      )}
      <p className="dim">{t('oversight.about')}</p>
    </>
  );
}

const isoOf = (ms: number) => new Date(ms).toISOString();

function useLines(fromMs: number, toMs: number, by: readonly By[]) {
  return useQuery({
    queryKey: ['oversight', fromMs, toMs, by.join()],
    queryFn: async () => {
      const query = { from: isoOf(fromMs), to: isoOf(toMs), by: by.join() };
      return (await bodyOf(api.GET('/api/v1/oversight', { params: { query } }))).items;
    },
  });
}

function Filters({ filter }: { readonly filter: OversightFilter }) {
  const { t, duration } = useWords();
  const navigate = useNavigate({ from: '/oversight' });
  const change = (some: Partial<OversightFilter>) =>
    void navigate({ search: (before) => ({ ...before, ...some }), replace: true });
  return (
    <search className="bar screen fields" aria-label={t('filter')}>
      <Select
        label={t('oversight.days')}
        allowDeselect={false}
        data={DAYS.map((value) => ({ value, label: duration(Number(value) * DAY_MS) }))}
        value={filter.days}
        onChange={(days) => change({ days: days ?? filter.days })}
      />
      <TextInput
        type="date"
        label={t('oversight.until')}
        value={filter.until}
        onChange={(event) => event.currentTarget.value !== '' && change({ until: event.currentTarget.value })}
      />
      <MultiSelect
        label={t('oversight.by')}
        searchable
        data={BY.map((value) => ({ value, label: t(`column.${value}`) }))}
        value={[...filter.by]}
        onChange={(by) => change({ by: BY.filter((one) => by.includes(one)) })}
      />
    </search>
  );
}

type Counted = Pick<OversightLine, 'opened' | 'open' | 'overdue' | 'resolved' | 'late' | 'reopened' | 'reports'>;
const COUNTS = ['opened', 'open', 'overdue', 'resolved', 'late', 'reopened', 'reports'] as const;

function sumOf(lines: readonly OversightLine[]): Counted {
  const sum = { opened: 0, open: 0, overdue: 0, resolved: 0, late: 0, reopened: 0, reports: 0 };
  for (const line of lines) for (const key of COUNTS) sum[key] += line[key];
  return sum;
}

/** The numbers of the whole, with what they were before. */
function Totals({ now, before }: { readonly now: Counted; readonly before: Counted }) {
  const { t, number } = useWords();
  return (
    <section className="panel counts" id="totals" aria-label={t('whole-city')}>
      {COUNTS.map((key) => (
        <div key={key} className="count">
          <b>{number(now[key])}</b>
          <span>{t(`oversight.${key}`)}</span>
          <span>
            {t('oversight.before', { n: number(before[key]) })} {percent(now[key], before[key])}
          </span>
        </div>
      ))}
    </section>
  );
}

function useColumns(by: readonly By[]): readonly Column<Pair>[] {
  const { t, duration, number } = useWords();
  const name = useNames();
  const nameOf = (key: By, line: OversightLine) => {
    const id = line[key] ?? '';
    if (key === 'week') return id;
    return id === '' ? t('whole-city') : name(`${key}s`, id);
  };
  const time = (seconds: number | null) => (seconds === null ? '–' : duration(seconds * 1_000));
  const times = ({ medianSeconds, p90Seconds }: OversightLine['resolve']) =>
    `${time(medianSeconds)} / ${time(p90Seconds)}`;
  return [
    ...by.map((key) => ({ head: t(`column.${key}`), cell: ({ line }: Pair) => nameOf(key, line) })),
    ...COUNTS.map((key) => ({
      head: t(`oversight.${key}`),
      num: true,
      cell: ({ line, before }: Pair) => <Change now={line[key]} before={before?.[key] ?? null} />,
    })),
    { head: t('oversight.acknowledge'), num: true, cell: ({ line }) => times(line.acknowledge) },
    { head: t('oversight.resolve'), num: true, cell: ({ line }) => times(line.resolve) },
    {
      head: t('rating'),
      num: true,
      cell: ({ line: { ratings } }) => (ratings.mean === null ? '–' : `${number(ratings.mean)} (${ratings.count})`),
    },
  ];
}

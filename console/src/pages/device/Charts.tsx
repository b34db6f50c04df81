import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useChartFn, useCity, useNames } from '../../api/queries.ts';
import type { Device, Series } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Chart, nameIn } from '../../parts/Chart.tsx';
import { withPlaces } from '../../parts/textCodes.ts';
import { Failure, Scroll } from '../../parts/words.tsx';

const HOUR_MS = 3_600_000;
const RANGES = { '1h': HOUR_MS, '24h': 24 * HOUR_MS, '7d': 168 * HOUR_MS, '30d': 720 * HOUR_MS } as const;
type Range = keyof typeof RANGES;
/** Points of a chart: the server brings more together. */
const POINTS = 400;

/** The readings of a device, one chart a metric. Dragging over one asks for that time in more detail. */
export function Charts({ device }: { readonly device: Pick<Device, 'id' | 'district' | 'profile'> }) {
  const { t, time } = useWords();
  const [compares, setCompares] = useState(false);
  const [range, setRange] = useState<Range>('24h');
  const [zoom, setZoom] = useState<readonly [number, number] | null>(null);
  const city = useCity();
  const fnOf = useChartFn();
  const { data, error, dataUpdatedAt } = useQuery({
    queryKey: ['readings', device.id, range, zoom],
    enabled: !city.isPending,
    refetchInterval: zoom === null ? 30_000 : false,
    placeholderData: (before) => before,
    queryFn: async () => {
      const span = spanOf(range, zoom);
      const metrics = (city.data?.metrics ?? []).map(({ id }) => id);
      // Metrics that the city no longer describes are among those with a mean.
      const others = (['delta', 'last'] as const).flatMap((fn) => {
        const metric = metrics.filter((id) => fnOf(id) === fn);
        return metric.length === 0 ? [] : [readingsOf({ device: device.id, metric, fn }, span)];
      });
      const found = await Promise.all([readingsOf({ device: device.id, fn: 'mean' }, span), ...others]);
      return { series: found.flatMap(({ series }) => series) };
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: of each response.
  const series = useMemo(() => data?.series ?? [], [dataUpdatedAt, data]);
  return (
    <>
      <div className="bar">
        <Scroll label={t('range')}>
          <SegmentedControl
            aria-label={t('range')}
            value={zoom === null ? range : ''}
            onChange={(value) => {
              setZoom(null);
              setRange(value as Range);
            }}
            data={Object.keys(RANGES)}
          />
        </Scroll>
        <label className="bar">
          <input type="checkbox" checked={compares} onChange={() => setCompares(!compares)} />
          {t('device.compare')}
        </label>
        <span className="dim">{zoom === null ? t('range.zoom') : `${time(zoom[0])} – ${time(zoom[1])}`}</span>
      </div>
      {error !== null && <Failure error={error} />}
      {data !== undefined && series.length === 0 && <p className="panel empty">{t('readings.none')}</p>}
      {series.map((one) => (
        <One
          key={one.metric}
          series={one}
          peersOf={compares ? device : null}
          range={range}
          zoomed={zoom}
          zoom={(from, to) => setZoom([from, to])}
        />
      ))}
    </>
  );
}

type Zoom = readonly [number, number] | null;

function spanOf(range: Range, zoom: Zoom): readonly [from: number, to: number] {
  const to = zoom?.[1] ?? Date.now();
  return [zoom?.[0] ?? to - RANGES[range], to];
}

interface Wanted {
  readonly device: string | string[];
  readonly metric?: string | string[];
  readonly fn: ReturnType<ReturnType<typeof useChartFn>>;
}

/** Readings of one device, or of several. */
async function readingsOf(of: Wanted, [from, to]: readonly [from: number, to: number]) {
  const every = `${Math.max(1, Math.ceil((to - from) / POINTS / 1_000))}s`;
  const query = { ...of, from: String(Math.round(from)), to: String(Math.round(to)), every };
  const { series } = await bodyOf(api.GET('/api/v1/readings', { params: { query } }));
  return { series: withPlaces(series as Series[]) };
}

/** Devices that a chart compares with. */
const PEERS = 6;

/** The readings of a metric of some devices of the same kind in the district. */
function usePeers(metric: string, { peersOf, range, zoomed }: Pick<OneProps, 'peersOf' | 'range' | 'zoomed'>) {
  const fnOf = useChartFn();
  const { data } = useQuery({
    queryKey: ['peers', peersOf?.id, metric, range, zoomed],
    enabled: peersOf !== null,
    queryFn: async () => {
      const { id, district, profile } = peersOf!;
      const query = { district, profile, limit: PEERS + 1 };
      const { items } = await bodyOf(api.GET('/api/v1/devices', { params: { query } }));
      const others = items.map((one) => one.id).filter((one) => one !== id);
      if (others.length === 0) return [];
      const wanted = { device: others.slice(0, PEERS), metric, fn: fnOf(metric) };
      const { series } = await readingsOf(wanted, spanOf(range, zoomed));
      return series;
    },
  });
  return peersOf === null ? undefined : data;
}

interface OneProps {
  readonly series: Series;
  /** The device whose peers are drawn beside it; null: none. */
  readonly peersOf: Pick<Device, 'id' | 'district' | 'profile'> | null;
  readonly range: Range;
  readonly zoomed: Zoom;
  readonly zoom: (fromMs: number, toMs: number) => void;
}

function One({ series, zoom, ...compared }: OneProps) {
  const { number } = useWords();
  const peers = usePeers(series.metric, compared);
  const name = useNames();
  const title = name('metrics', series.metric);
  const last = series.points.at(-1)?.[1];
  const all = useMemo(() => [series, ...(peers ?? [])], [series, peers]);
  return (
    <section className="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <b className="push">{last == null ? '' : (nameIn(series, last) ?? `${number(last)} ${series.unit}`)}</b>
      </header>
      <Chart label={title} series={all} onRange={zoom} />
    </section>
  );
}

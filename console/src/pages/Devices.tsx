import { Button } from '@mantine/core';
import { useInfiniteQuery, useQueries, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useCity, useNames } from '../api/queries.ts';
import type { Device, LatestReading, paths } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Choice } from '../parts/Choice.tsx';
import { More } from '../parts/More.tsx';
import { readMetrics } from '../parts/metrics.ts';
import { PlaceFilter } from '../parts/PlaceFilter.tsx';
import { Search } from '../parts/Search.tsx';
import { SortHead } from '../parts/SortHead.tsx';
import { Age, Failure, Scroll } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { Import } from './devices/Import.tsx';
import { ImportReadings } from './devices/ImportReadings.tsx';
import { Register } from './devices/Register.tsx';

const KEYS = ['profile', 'district', 'q', 'near', 'bbox', 'sort'] as const;

/** What of the devices is shown, as the address has it. */
export type DeviceFilter = { readonly [K in (typeof KEYS)[number]]?: string | undefined };

export function deviceFilterIn(search: Readonly<Record<string, unknown>>): DeviceFilter {
  const given = KEYS.flatMap((key) => {
    const value = search[key];
    return typeof value === 'string' && value !== '' ? [[key, value] as const] : [];
  });
  return Object.fromEntries(given);
}

type Query = NonNullable<paths['/api/v1/devices']['get']['parameters']['query']>;

const PAGE = 50;

/** The registered devices, and when each sent last. */
export function Devices() {
  const { t, language } = useWords();
  const city = useCity();
  const filter = deviceFilterIn(useSearch({ strict: false }));
  const navigate = useNavigate({ from: '/devices' });
  const mayRegister = useMay('devices.write');
  const [registering, setRegistering] = useState(false);
  const mayImport = useMay('readings.import');
  const [importing, setImporting] = useState<'devices' | 'readings' | null>(null);
  const query = filter as Query;
  const list = useInfiniteQuery({
    queryKey: ['devices', query],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) =>
      bodyOf(api.GET('/api/v1/devices', { params: { query: { ...query, limit: PAGE, after: pageParam } } })),
    getNextPageParam: ({ next }) => next,
  });
  const change = (some: DeviceFilter) => void navigate({ search: (before) => ({ ...before, ...some }), replace: true });
  const named = (kind: 'profiles' | 'districts') =>
    (city.data?.[kind] ?? []).map(({ id, title }) => ({ value: id, label: title[language] }));
  const devices = list.data?.pages.flatMap(({ items }) => items) ?? [];
  return (
    <>
      <div className="bar">
        <h1>{t('nav.devices')}</h1>
        <span className="push" />
        {mayImport && (
          <Button variant="default" onClick={() => setImporting('readings')}>
            {t('readings.import')}
          </Button>
        )}
        {mayRegister && (
          <>
            <Button variant="default" onClick={() => setImporting('devices')}>
              {t('import')}
            </Button>
            <Button onClick={() => setRegistering(true)}>{t('device.register')}</Button>
          </>
        )}
      </div>
      <search className="bar" aria-label={t('filter')}>
        <Search q={filter.q} onChange={(q) => change({ q })} />
        <Choice
          label={t('column.profile')}
          data={named('profiles')}
          value={filter.profile}
          onChange={(profile) => change({ profile })}
        />
        <Choice
          label={t('column.district')}
          data={named('districts')}
          value={filter.district}
          onChange={(district) => change({ district })}
        />
        <PlaceFilter value={filter} onChange={change} />
      </search>
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.isSuccess && devices.length === 0 && <p className="panel empty">{t('devices.none')}</p>}
      {devices.length > 0 && (
        <div className="panel">
          <Scroll label={t('nav.devices')}>
            <DeviceTable devices={devices} sort={filter.sort ?? 'id'} setSort={(sort) => change({ sort })} />
          </Scroll>
        </div>
      )}
      {list.hasNextPage && <More list={list} />}
      {registering && <Register close={() => setRegistering(false)} />}
      {importing === 'devices' && <Import close={() => setImporting(null)} />}
      {importing === 'readings' && <ImportReadings close={() => setImporting(null)} />}
    </>
  );
}

/** The ids of devices as the pages of the list have them. */
const pagesOf = (devices: readonly Device[]) =>
  Array.from({ length: Math.ceil(devices.length / PAGE) }, (_, i) =>
    devices.slice(i * PAGE, (i + 1) * PAGE).map(({ id }) => id),
  );

/** Returns the newest readings of devices, by device: a request for each page of the list. */
function useLatest(devices: readonly Device[]): ReadonlyMap<string, LatestReading[]> {
  const may = useMay('readings.read');
  const found = useQueries({
    queries: pagesOf(devices).map((ids) => ({
      queryKey: ['latest', ids.join()],
      enabled: may,
      refetchInterval: 30_000,
      queryFn: () => bodyOf(api.GET('/api/v1/readings/latest', { params: { query: { device: ids } } })),
    })),
  });
  return Map.groupBy(
    found.flatMap(({ data }) => data?.items ?? []),
    ({ device }) => device,
  );
}

interface TableProps {
  readonly devices: readonly Device[];
  /** The order of the list, as the server has it. */
  readonly sort: string;
  readonly setSort: (sort: string) => void;
}

/** Returns for how long devices were not read since the start of the server, ms: those that waited longest. */
function useThrottled(): ReadonlyMap<string, number> {
  const { data = [] } = useQuery({
    queryKey: ['throttled'],
    enabled: useMay('metrics.read'),
    refetchInterval: 60_000,
    queryFn: async () => (await readMetrics()).filter(({ name }) => name === 'throttled_seconds_total'),
  });
  return new Map(data.map(({ labels, value }) => [/^\{client="(.*)"\}$/.exec(labels)?.[1] ?? '', 1_000 * value]));
}

/** Returns how many entries of each device are in quarantine; of one that is not in it, none. */
function useRefused(devices: readonly Device[]): ReadonlyMap<string, number> {
  const may = useMay('quarantine.read');
  const found = useQueries({
    queries: pagesOf(devices).map((ids) => ({
      queryKey: ['quarantine-groups', ids.join()],
      enabled: may,
      refetchInterval: 60_000,
      queryFn: () => bodyOf(api.GET('/api/v1/quarantine/groups', { params: { query: { device: ids, limit: 1000 } } })),
    })),
  });
  const sums = new Map<string, number>();
  for (const { device, entries } of found.flatMap(({ data }) => data?.items ?? []))
    sums.set(device, (sums.get(device) ?? 0) + entries);
  return sums;
}

function DeviceTable({ devices, sort, setSort }: TableProps) {
  const { t, number, duration } = useWords();
  const name = useNames();
  const latest = useLatest(devices);
  const refused = useRefused(devices);
  const throttled = useThrottled();
  return (
    <table className="list" aria-label={t('nav.devices')}>
      <thead>
        <tr>
          <SortHead by="name" sort={sort} onChange={setSort}>
            {t('column.device')}
          </SortHead>
          <SortHead by="profile" sort={sort} onChange={setSort}>
            {t('column.profile')}
          </SortHead>
          <SortHead by="district" sort={sort} onChange={setSort}>
            {t('column.district')}
          </SortHead>
          <th className="num">{t('column.lastReading')}</th>
          <th className="num">{t('column.battery')}</th>
          <th className="num">{t('quarantine.entries')}</th>
          <SortHead by="state" sort={sort} onChange={setSort}>
            {t('column.state')}
          </SortHead>
        </tr>
      </thead>
      <tbody>
        {devices.map((device) => {
          const readings = latest.get(device.id) ?? [];
          const lastAt = readings
            .map(({ at }) => at)
            .sort()
            .at(-1);
          const battery = readings.find(({ metric }) => metric === 'battery');
          return (
            <tr key={device.id}>
              <td className="title">
                <Link to="/devices/$id" params={{ id: device.id }}>
                  {device.name ?? device.id}
                </Link>{' '}
                {device.name !== undefined && <span className="dim">{device.id}</span>}
              </td>
              <td>{name('profiles', device.profile)}</td>
              <td>{name('districts', device.district)}</td>
              <td className="num">{lastAt === undefined ? <span className="dim">–</span> : <Age at={lastAt} />}</td>
              <td className={battery !== undefined && battery.value < LOW ? 'num late' : 'num'}>
                {battery === undefined ? <span className="dim">–</span> : `${number(battery.value)} ${battery.unit}`}
              </td>
              <td className="num">
                {refused.has(device.id) ? (
                  <Link to="/quarantine" search={{ device: device.id }}>
                    {number(refused.get(device.id)!)}
                  </Link>
                ) : (
                  <span className="dim">–</span>
                )}
              </td>
              <td>
                {device.suspended ? <span className="late">{t('device.suspended')}</span> : t('device.accepted')}{' '}
                {throttled.has(device.id) && (
                  <span className="pill" title={duration(throttled.get(device.id)!)}>
                    {t('mqtt.throttled')}
                  </span>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** A battery that should be changed, percent. */
const LOW = 15;

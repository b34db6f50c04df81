import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { lazy, Suspense, useMemo, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { Asset, City, Device, ShownAlert } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { useMay } from '../../session.ts';
import { type DeviceState, STATES, statesOf } from './states.ts';

const Drawn = lazy(() => import('./Map.tsx'));

/** All items of a list, by pages of a thousand. */
async function all<T>(page: (after: string | null) => Promise<{ items: T[]; next: string | null }>): Promise<T[]> {
  const items: T[] = [];
  let after: string | null = null;
  do {
    const one: { items: T[]; next: string | null } = await page(after);
    items.push(...one.items);
    after = one.next;
  } while (after !== null);
  return items;
}

async function placedDevices(): Promise<Device[]> {
  const devices = await all((after) =>
    bodyOf(api.GET('/api/v1/devices', { params: { query: { limit: 1000, after } } })),
  );
  return devices.filter(({ location }) => location !== undefined);
}

const allAssets = (): Promise<Asset[]> =>
  all((after) => bodyOf(api.GET('/api/v1/assets', { params: { query: { limit: 1000, after } } })));

/** Returns the state of each device that is on the map; while it is not known, all send. */
function useStates(devices: readonly Device[], city: City | undefined): ReadonlyMap<string, DeviceState> {
  const may = useMay('readings.read');
  const { data } = useQuery({
    queryKey: ['seen'],
    enabled: may,
    refetchInterval: 60_000,
    queryFn: () => bodyOf(api.GET('/api/v1/readings/seen', { params: { query: {} } })),
  });
  return useMemo(() => statesOf(devices, data?.items ?? null, city?.profiles ?? [], Date.now()), [devices, data, city]);
}

/** The city's devices, and what alerts fire at them. The map's code is loaded when it is shown. */
export function CityMap() {
  const { t, number } = useWords();
  const mayAlerts = useMay('alerts.read');
  const city = useCity();
  const devices = useQuery({ queryKey: ['placed'], staleTime: 300_000, queryFn: placedDevices });
  const alerts = useQuery({
    queryKey: ['alerts', 'firing'],
    enabled: mayAlerts,
    refetchInterval: 30_000,
    queryFn: () => bodyOf(api.GET('/api/v1/alerts', { params: { query: { state: 'firing', limit: 1000 } } })),
  });
  const [bbox, setBbox] = useState<string | undefined>(undefined);
  const firing = (alerts.data?.items ?? []) as ShownAlert[];
  const states = useStates(devices.data ?? NONE, city.data);
  const [hidden, setHidden] = useState<ReadonlySet<DeviceState>>(new Set());
  const [withAssets, setWithAssets] = useState(false);
  const assets = useQuery({ queryKey: ['all-assets'], enabled: withAssets, staleTime: 300_000, queryFn: allAssets });
  const shown = useMemo(
    () => (devices.data ?? NONE).filter(({ id }) => !hidden.has(states.get(id) ?? 'sending')),
    [devices.data, states, hidden],
  );
  const toggle = (state: DeviceState) =>
    setHidden((before) => new Set(STATES.filter((one) => before.has(one) !== (one === state))));
  return (
    <section className="panel" aria-labelledby="map-title">
      <header>
        <h2 id="map-title">{t('map')}</h2>
        <span className="dim">
          {t('map.counts', { d: number(devices.data?.length ?? 0), a: number(firing.length) })}
        </span>
        <Link className="push" to="/devices" search={bbox === undefined ? {} : { bbox }}>
          {t(bbox === undefined ? 'map.list' : 'map.list-here')}
        </Link>
        {bbox !== undefined && (
          <Link to="/tickets" search={{ bbox }}>
            {t('map.tickets-here')}
          </Link>
        )}
      </header>
      <fieldset className="layers">
        <legend className="visually-hidden">{t('map.layers')}</legend>
        {STATES.map((state) => (
          <label key={state}>
            <input type="checkbox" checked={!hidden.has(state)} onChange={() => toggle(state)} />{' '}
            <span className={`dot ${state}`} /> {t(`map.${state}`)}{' '}
            <span className="dim">{number(countOf(states, state))}</span>
          </label>
        ))}
        <label>
          <input
            type="checkbox"
            checked={withAssets}
            onChange={(event) => setWithAssets(event.currentTarget.checked)}
          />{' '}
          <span className="dot asset" /> {t('map.assets')}{' '}
          {assets.data !== undefined && <span className="dim">{number(assets.data.length)}</span>}
        </label>
      </fieldset>
      {city.data !== undefined && devices.data !== undefined && (
        <Suspense fallback={<div className="map" />}>
          <Drawn
            city={city.data}
            devices={shown}
            states={states}
            assets={withAssets ? (assets.data ?? NO_ASSETS) : NO_ASSETS}
            alerts={firing}
            onMove={setBbox}
          />
        </Suspense>
      )}
    </section>
  );
}

const NONE: Device[] = [];
const NO_ASSETS: Asset[] = [];

function countOf(states: ReadonlyMap<string, DeviceState>, wanted: DeviceState): number {
  let count = 0;
  for (const state of states.values()) if (state === wanted) count++;
  return count;
}

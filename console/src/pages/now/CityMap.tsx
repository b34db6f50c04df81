import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { Device, ShownAlert } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { useMay } from '../../session.ts';

const Drawn = lazy(() => import('./Map.tsx'));

/** All devices that have a place: by pages of a thousand. */
async function placedDevices(): Promise<Device[]> {
  const devices: Device[] = [];
  let after: string | null = null;
  do {
    const query = { limit: 1000, after };
    const page: { items: Device[]; next: string | null } = await bodyOf(
      api.GET('/api/v1/devices', { params: { query } }),
    );
    devices.push(...page.items.filter(({ location }) => location !== undefined));
    after = page.next;
  } while (after !== null);
  return devices;
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
      {city.data !== undefined && devices.data !== undefined && (
        <Suspense fallback={<div className="map" />}>
          <Drawn city={city.data} devices={devices.data} alerts={firing} onMove={setBbox} />
        </Suspense>
      )}
    </section>
  );
}

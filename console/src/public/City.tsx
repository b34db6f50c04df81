import { lazy, Suspense, useMemo, useState } from 'react';
import type { PublicCity, PublicReadings, PublicTickets } from '../api/schema.ts';
import { dataOf, useCity, useReadings, useTickets } from './data.ts';
import { History } from './History.tsx';
import type { Point } from './Map.tsx';
import { Response } from './Response.tsx';
import { useWords } from './words.ts';

const PublicMap = lazy(() => import('./Map.tsx'));

/** A station and one of its metrics. */
export interface Chosen {
  readonly device: string;
  readonly metric: string;
}

/** The city now: what it measures, what is being worked on, and how it responds. */
export function City() {
  const { t } = useWords();
  const city = useCity();
  const readings = dataOf(useReadings());
  const tickets = dataOf(useTickets());
  const [metric, setMetric] = useState<string | null>(null);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  if (city.state === 'failed') return <p className="panel empty">{t('failed')}</p>;
  if (city.state === 'loading') return null;
  const shown = metric ?? city.data.metrics[0]?.id ?? '';
  return (
    <>
      <CityMap {...{ city: city.data, readings, tickets, shown, setMetric }} choose={setChosen} />
      {chosen !== null && <History city={city.data} chosen={chosen} />}
      <Values city={city.data} readings={readings} metric={shown} choose={setChosen} />
      <Tickets city={city.data} tickets={tickets} />
      <Response city={city.data} />
      <Downloads city={city.data} />
    </>
  );
}

interface MapProps {
  readonly city: PublicCity;
  readonly readings: PublicReadings | null;
  readonly tickets: PublicTickets | null;
  readonly shown: string;
  readonly setMetric: (metric: string) => void;
  readonly choose: (chosen: Chosen) => void;
}

function CityMap({ city, readings, tickets, shown, setMetric, choose }: MapProps) {
  const { t, language } = useWords();
  const points = useMemo(() => [...stationsOf(readings, shown), ...ticketsOf(tickets)], [readings, tickets, shown]);
  return (
    <section className="panel" aria-labelledby="map-title">
      <header>
        <h2 id="map-title">{t('map')}</h2>
        {city.metrics.length > 0 && (
          <label className="push">
            {t('shown')}{' '}
            <select value={shown} onChange={(event) => setMetric(event.currentTarget.value)}>
              {city.metrics.map(({ id, title }) => (
                <option key={id} value={id}>
                  {title[language]}
                </option>
              ))}
            </select>
          </label>
        )}
      </header>
      <Suspense fallback={<div className="map" />}>
        <PublicMap
          city={city}
          points={points}
          onPoint={(id) => readings?.features.some((one) => one.id === id) && choose({ device: id, metric: shown })}
        />
      </Suspense>
      <p className="dim">{t('map.about')}</p>
    </section>
  );
}

function stationsOf(readings: PublicReadings | null, metric: string): Point[] {
  const found = (readings?.features ?? []).flatMap(({ id, geometry, properties }) => {
    const value = properties.readings.find((one) => one.metric === metric)?.value;
    return geometry === null || value === undefined ? [] : [{ id, place: geometry.coordinates, value }];
  });
  const values = found.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return found.map(({ id, place: [lon = 0, lat = 0], value }) => ({
    ...{ id, lat, lon },
    level: high === low ? 0.5 : (value - low) / (high - low),
  }));
}

const isOpen = ({ properties }: PublicTickets['features'][number]) =>
  properties.status !== 'resolved' && properties.status !== 'closed';

function ticketsOf(tickets: PublicTickets | null): Point[] {
  return (tickets?.features ?? []).filter(isOpen).flatMap(({ id, geometry }) => {
    const [lon, lat] = geometry?.coordinates ?? [];
    return lon === undefined || lat === undefined ? [] : [{ id, lat, lon, level: null }];
  });
}

interface ValuesProps {
  readonly city: PublicCity;
  readonly readings: PublicReadings | null;
  readonly metric: string;
  readonly choose: (chosen: Chosen) => void;
}

/** The newest value of each station; a click shows its history. */
function Values({ city, readings, metric, choose }: ValuesProps) {
  const { t, language, number, time } = useWords();
  const titleOf = (id: string) => city.districts.find((one) => one.id === id)?.title[language] ?? id;
  const rows = (readings?.features ?? []).flatMap(({ id, properties }) =>
    properties.readings.filter((one) => one.metric === metric).map((one) => ({ id, ...properties, ...one })),
  );
  if (readings !== null && rows.length === 0) return <p className="panel empty">{t('readings.none')}</p>;
  return (
    <section className="panel" aria-labelledby="values">
      <h2 id="values">{`${t('readings')}: ${city.metrics.find(({ id }) => id === metric)?.title[language] ?? ''}`}</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard can scroll only what it reaches. */}
      <section className="scroll tall" tabIndex={0} aria-label={t('readings')}>
        <table className="list">
          <thead>
            <tr>
              <th>{t('station')}</th>
              <th>{t('district')}</th>
              <th className="num">{t('value')}</th>
              <th>{t('at')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ id, district, value, unit, at }) => (
              <tr key={id}>
                <td>
                  <button type="button" className="link" onClick={() => choose({ device: id, metric })}>
                    {id}
                  </button>
                </td>
                <td>{titleOf(district)}</td>
                <td className="num">{`${number(value)} ${unit}`}</td>
                <td className="nowrap">{time(at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

const MOST_ROWS = 100;

function Tickets({ city, tickets }: { readonly city: PublicCity; readonly tickets: PublicTickets | null }) {
  const { t, term, language, duration } = useWords();
  const open = (tickets?.features ?? []).filter(isOpen);
  const titleOf = (id: string) => city.districts.find((one) => one.id === id)?.title[language] ?? id;
  if (tickets === null) return null;
  return (
    <section className="panel" aria-labelledby="tickets">
      <h2 id="tickets">{`${t('tickets.open')} (${open.length})`}</h2>
      {open.length === 0 && <p className="empty">{t('tickets.none')}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard can scroll only what it reaches. */}
      <section className="scroll tall" tabIndex={0} aria-label={t('tickets')}>
        <table className="list">
          <tbody>
            {open.slice(0, MOST_ROWS).map(({ id, properties: { title, district, status, openedAt } }) => (
              <tr key={id} data-id={id}>
                <td>{title[language]}</td>
                <td>{district === '' ? '' : titleOf(district)}</td>
                <td>{term('status', status)}</td>
                <td className="num">{duration(Date.now() - Date.parse(openedAt))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {open.length > MOST_ROWS && <p className="dim">{t('tickets.more', { n: open.length - MOST_ROWS })}</p>}
    </section>
  );
}

const DOWNLOADS = [
  ['/public/readings.geojson', 'download.readings-geojson'],
  ['/public/readings.csv', 'download.readings-csv'],
  ['/public/tickets.geojson', 'download.tickets'],
  ['/public/oversight.json', 'download.oversight'],
  ['/open311/v2/requests.json', 'download.open311'],
] as const;

function Downloads({ city }: { readonly city: PublicCity }) {
  const { t } = useWords();
  return (
    <section className="panel" aria-labelledby="downloads">
      <h2 id="downloads">{t('downloads')}</h2>
      <ul>
        {DOWNLOADS.map(([address, text]) => (
          <li key={address}>
            <a href={address} download>
              {t(text)}
            </a>
          </li>
        ))}
      </ul>
      <p className="dim">{t('downloads.about', { licence: city.licence })}</p>
    </section>
  );
}

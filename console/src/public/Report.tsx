import { lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { distanceM } from '../../../domain/geo.ts';
import type { Open311Posted, PublicCity } from '../api/schema.ts';
import type { Place } from '../parts/places.ts';
import { ask, dataOf, Refused, useCity, useRequests } from './data.ts';
import { useSending } from './sending.tsx';
import { useWords } from './words.ts';

const PublicMap = lazy(() => import('./Map.tsx'));

/** How near a report must be to be shown before another one is made, m: places are published to about 110 m. */
const NEAR_M = 400;
const MOST_NEAR = 5;

type Service = PublicCity['services'][number];

/** A report: what, where, and what one sees of it. What was reported near there is shown before it is sent. */
export function Report() {
  const { t, language } = useWords();
  const city = useCity();
  if (city.state === 'failed') return <p className="panel empty">{t('failed')}</p>;
  if (city.state === 'loading') return null;
  const { requests, contact } = city.data;
  if (!requests) return <p className="panel">{t('report.closed', { contact: contact?.[language] ?? '' })}</p>;
  return <Form city={city.data} />;
}

function Form({ city }: { readonly city: PublicCity }) {
  const { t, language } = useWords();
  const [code, setCode] = useState('');
  const [place, setPlace] = useState<Place | null>(null);
  /** The same report once more is the same: after a broken connection nothing is made twice. */
  const [name, setName] = useState(newName);
  const service = city.services.find(({ id }) => id === code);
  const sent = useRef(false);
  useEffect(() => {
    // Who comes back by the browser's button has sent this one: the next report is another.
    const restart = () => sent.current && location.reload();
    addEventListener('pageshow', restart);
    return () => removeEventListener('pageshow', restart);
  }, []);
  const { send, busy, alert } = useSending(async (form) => {
    form.set('locale', language);
    try {
      const [made] = await ask<Open311Posted[]>('/open311/v2/requests.json', {
        method: 'POST',
        body: form,
        headers: { 'idempotency-key': name },
      });
      sent.current = true;
      location.assign(`/public/requests/${made!.reporter_token}`);
    } catch (error) {
      // What was refused is put right, and then is another one.
      if (error instanceof Refused && error.status < 500) setName(newName());
      throw error;
    }
    // It is busy until the browser has left: a second click would report it twice.
    return new Promise(() => {});
  });
  return (
    <form className="panel stack" onSubmit={send} aria-labelledby="report-title">
      <h1 id="report-title">{t('nav.report')}</h1>
      <label>
        {t('report.what')}
        <select name="service_code" required value={code} onChange={(event) => setCode(event.currentTarget.value)}>
          <option value="">{t('report.choose')}</option>
          {city.services.map(({ id, title, description }) => (
            <option key={id} value={id}>
              {`${title[language]}: ${description[language]}`}
            </option>
          ))}
        </select>
      </label>
      <Where city={city} place={place} setPlace={setPlace} />
      {service !== undefined && place !== null && <Near service={service} place={place} />}
      {service !== undefined && <Questions service={service} />}
      <label>
        {t('report.description')}
        <textarea name="description" required maxLength={4_000} rows={4} aria-describedby="public-text" />
      </label>
      <p className="dim" id="public-text">
        {t('report.public')}
      </p>
      <label>
        {t('report.photo')}
        <input type="file" name="media" accept="image/jpeg,image/png,image/webp" />
      </label>
      {alert}
      <button type="submit" disabled={busy}>
        {t(busy ? 'report.sending' : 'report.send')}
      </button>
    </form>
  );
}

/** 128 random bits: pages that came without encryption have no UUIDs. */
function newName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

interface WhereProps {
  readonly city: PublicCity;
  readonly place: Place | null;
  readonly setPlace: (place: Place | null) => void;
}

/** A pin on the map, which can be written as well, or the place in words. */
function Where({ city, place, setPlace }: WhereProps) {
  const { t } = useWords();
  const none = useMemo(() => [], []);
  const [written, setWritten] = useState({ lat: '', lon: '' });
  const [address, setAddress] = useState('');
  const write = (some: Partial<typeof written>) => {
    const next = { ...written, ...some };
    setWritten(next);
    const [lat, lon] = [Number(next.lat), Number(next.lon)];
    setPlace(next.lat !== '' && next.lon !== '' && Number.isFinite(lat) && Number.isFinite(lon) ? { lat, lon } : null);
  };
  const pinned = (chosen: Place) => write({ lat: chosen.lat.toFixed(6), lon: chosen.lon.toFixed(6) });
  return (
    <fieldset>
      <legend>{t('report.where')}</legend>
      <p className="dim">{t('report.where.about')}</p>
      <Suspense fallback={<div className="map" />}>
        <PublicMap city={city} points={none} onPlace={pinned} pin={place} />
      </Suspense>
      <div className="row">
        <label>
          {t('report.lat')}
          <input
            name="lat"
            inputMode="decimal"
            required={address === ''}
            value={written.lat}
            onChange={(event) => write({ lat: event.currentTarget.value })}
          />
        </label>
        <label>
          {t('report.lon')}
          <input
            name="long"
            inputMode="decimal"
            required={address === ''}
            value={written.lon}
            onChange={(event) => write({ lon: event.currentTarget.value })}
          />
        </label>
        <label className="wide">
          {t('report.address')}
          <input
            name="address_string"
            maxLength={1_000}
            value={address}
            onChange={(event) => setAddress(event.currentTarget.value)}
          />
        </label>
      </div>
    </fieldset>
  );
}

/** Open requests of the service near there, the nearest first. */
function Near({ service, place }: { readonly service: Service; readonly place: Place }) {
  const { t, language, duration } = useWords();
  const query = { service_code: service.id, status: 'open', page_size: '1000', locale: language };
  const requests = dataOf(useRequests(`/open311/v2/requests.json?${new URLSearchParams(query)}`));
  if (requests === null) return null;
  const near = requests
    .flatMap(({ lat, long: lon, ...request }) =>
      lat === null || lon === null ? [] : [{ ...request, metres: distanceM({ lat, lon }, place) }],
    )
    .filter(({ metres }) => metres <= NEAR_M)
    .sort((a, b) => a.metres - b.metres)
    .slice(0, MOST_NEAR);
  return (
    <section id="near" className="near" aria-live="polite">
      {near.length === 0 && <p className="dim">{t('report.near.none')}</p>}
      {near.length > 0 && (
        <>
          <h2>{t('report.near')}</h2>
          <ul>
            {near.map(({ service_request_id: id, description, requested_datetime: at, metres }) => (
              <li key={id}>
                {t('report.near.item', {
                  what: description,
                  age: duration(Date.now() - Date.parse(at)),
                  m: Math.max(10, Math.round(metres / 10) * 10),
                })}
              </li>
            ))}
          </ul>
          <p className="dim">{t('report.near.about')}</p>
        </>
      )}
    </section>
  );
}

/** What the service asks (Open311 attributes). */
function Questions({ service }: { readonly service: Service }) {
  const { language } = useWords();
  return (
    <>
      {service.attributes.map((attribute) => (
        // biome-ignore lint/a11y/noLabelWithoutControl: the field is in Answer.
        <label key={attribute.code}>
          {attribute.title[language]}
          {attribute.hint !== null && <span className="dim"> {attribute.hint[language]}</span>}
          <Answer attribute={attribute} />
        </label>
      ))}
    </>
  );
}

function Answer({ attribute }: { readonly attribute: Service['attributes'][number] }) {
  const { t, language } = useWords();
  const { code, datatype, required, values } = attribute;
  const name = `attribute[${code}]`;
  if (datatype === 'text') return <textarea name={name} required={required} maxLength={4_000} rows={3} />;
  if (values.length === 0) return <input name={name} required={required} maxLength={500} />;
  const isMany = datatype === 'multivaluelist';
  return (
    <select name={isMany ? `${name}[]` : name} required={required} multiple={isMany}>
      {!isMany && <option value="">{t('report.choose')}</option>}
      {values.map(({ key, title }) => (
        <option key={key} value={key}>
          {title[language]}
        </option>
      ))}
    </select>
  );
}

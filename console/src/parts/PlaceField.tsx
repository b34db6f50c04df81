import { TextInput } from '@mantine/core';
import { lazy, Suspense, useState } from 'react';
import { useCity } from '../api/queries.ts';
import { useWords } from '../language.ts';
import type { Place } from './places.ts';

const PinMap = lazy(() => import('./PinMap.tsx'));

interface Props {
  readonly at: Place | null;
  readonly change: (place: Place | null) => void;
}

/** A place: by a pin on the map, or as numbers. */
export function PlaceField({ at, change }: Props) {
  const { t } = useWords();
  const city = useCity();
  const [typed, setTyped] = useState(() => textOf(at));
  function take(some: Partial<typeof typed>) {
    const next = { ...typed, ...some };
    setTyped(next);
    const [lat, lon] = [Number(next.lat), Number(next.lon)];
    const isPlace = next.lat.trim() !== '' && next.lon.trim() !== '' && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
    change(isPlace ? { lat, lon } : null);
  }
  return (
    <>
      {city.data !== undefined && (
        <Suspense fallback={<div className="map pin" />}>
          <PinMap
            city={city.data}
            at={at}
            pick={(place) => {
              setTyped(textOf(place));
              change(place);
            }}
          />
        </Suspense>
      )}
      <div className="bar">
        <TextInput
          label={t('latitude')}
          inputMode="decimal"
          value={typed.lat}
          onChange={(event) => take({ lat: event.currentTarget.value })}
        />
        <TextInput
          label={t('longitude')}
          inputMode="decimal"
          value={typed.lon}
          onChange={(event) => take({ lon: event.currentTarget.value })}
        />
      </div>
    </>
  );
}

function textOf(at: Place | null) {
  return at === null ? { lat: '', lon: '' } : { lat: String(at.lat), lon: String(at.lon) };
}

import { useComputedColorScheme } from '@mantine/core';
import { type Map as MapLibre, Marker } from 'maplibre-gl';
import { useEffect, useRef, useState } from 'react';
import type { City } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { drawCity, onMapFailure } from './cityMap.ts';
import type { Place } from './places.ts';

interface Props {
  readonly city: City;
  readonly at: Place | null;
  readonly pick: (place: Place) => void;
}

/** A map with a pin, set by a click and moved by drawing it. Fields beside it say the same to the keyboard. */
export default function PinMap({ city, at, pick }: Props) {
  const { t, language } = useWords();
  const scheme = useComputedColorScheme('light');
  const box = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<MapLibre | null>(null);
  const [failed, setFailed] = useState(false);
  const picked = useRef(pick);
  picked.current = pick;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours of the scheme are drawn into it.
  useEffect(() => {
    try {
      const made = drawCity(box.current!, city, language, () => ({ sources: {}, layers: [] }));
      onMapFailure(made, () => setFailed(true));
      made.on('click', ({ lngLat }) => picked.current(placeOf(lngLat)));
      setMap(made);
      return () => {
        setMap(null);
        made.remove();
      };
    } catch {
      setFailed(true);
      return undefined;
    }
  }, [city, language, scheme]);
  useEffect(() => {
    if (map === null || at === null) return undefined;
    // The library's own pin has styles in its markup, which the page's policy forbids.
    const element = document.createElement('span');
    element.className = 'pin-mark';
    const pin = new Marker({ element, draggable: true, anchor: 'bottom' }).setLngLat([at.lon, at.lat]).addTo(map);
    pin.on('dragend', () => picked.current(placeOf(pin.getLngLat())));
    return () => void pin.remove();
  }, [map, at]);
  if (failed) return <p className="empty">{t('map.failed')}</p>;
  return <div ref={box} className="map pin" role="application" aria-label={t('pin')} />;
}

/** About a decimetre. */
const DIGITS = 6;

const placeOf = ({ lat, lng }: { readonly lat: number; readonly lng: number }): Place => ({
  lat: Number(lat.toFixed(DIGITS)),
  lon: Number(lng.toFixed(DIGITS)),
});

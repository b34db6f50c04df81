import { type GeoJSONSource, type LayerSpecification, type Map as MapLibre, Marker } from 'maplibre-gl';
import { useEffect, useRef, useState } from 'react';
import type { PublicCity } from '../api/schema.ts';
import { drawCity, type Features, onMapFailure } from '../parts/cityMap.ts';
import type { Place } from '../parts/places.ts';
import { useWords } from './words.ts';

/** Something on the map. `level`: 0 (low) to 1 (high) of a value; null: a ticket. */
export interface Point extends Place {
  readonly id: string;
  readonly level: number | null;
}

interface Props {
  readonly city: PublicCity;
  readonly points: readonly Point[];
  readonly onPoint?: (id: string) => void;
  /** Called with the place that was clicked on. */
  readonly onPlace?: (place: Place) => void;
  readonly pin?: Place | null;
}

/** The districts, and what is in them. */
export default function PublicMap({ city, points, onPoint, onPlace, pin = null }: Props) {
  const { t, language } = useWords();
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<MapLibre | null>(null);
  const latest = useRef({ points, onPoint, onPlace });
  latest.current = { points, onPoint, onPlace };
  const [state, setState] = useState<'drawing' | 'drawn' | 'failed'>('drawing');
  useEffect(() => {
    try {
      const map = drawCity(box.current!, city, language, layersOf(featuresOf(latest.current.points)), '--ground');
      shown.current = map;
      onMapFailure(map, () => setState('failed'));
      map.once('load', () => setState('drawn'));
      map.on('click', (event) => {
        const [feature] = map.queryRenderedFeatures(event.point, { layers: ['stations', 'tickets'] });
        const id: unknown = feature?.properties.id;
        if (typeof id === 'string') latest.current.onPoint?.(id);
        latest.current.onPlace?.({ lat: event.lngLat.lat, lon: event.lngLat.lng });
      });
      return () => {
        shown.current = null;
        map.remove();
      };
    } catch {
      setState('failed');
      return undefined;
    }
  }, [city, language]);
  useEffect(() => {
    shown.current?.getSource<GeoJSONSource>('points')?.setData(featuresOf(points));
  }, [points]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a map that was drawn anew has no pin.
  useEffect(() => {
    if (shown.current === null || pin === null) return undefined;
    const marker = new Marker().setLngLat([pin.lon, pin.lat]).addTo(shown.current);
    return () => void marker.remove();
  }, [pin, city, language]);
  if (state === 'failed') return <p className="empty">{t('map.failed')}</p>;
  return <div ref={box} className="map" aria-busy={state === 'drawing'} />;
}

function featuresOf(points: readonly Point[]): Features {
  const features = points.map(({ id, lat, lon, level }) => ({
    type: 'Feature' as const,
    geometry: { type: 'Point' as const, coordinates: [lon, lat] },
    properties: { id, ticket: level === null, level: level ?? 0 },
  }));
  return { type: 'FeatureCollection', features };
}

/** Stations, coloured by their value, and tickets as rings. */
function layersOf(points: Features) {
  return (colour: (name: string) => string) => {
    const stations: LayerSpecification = {
      id: 'stations',
      type: 'circle',
      source: 'points',
      filter: ['!', ['get', 'ticket']],
      paint: {
        'circle-color': ['interpolate', ['linear'], ['get', 'level'], 0, colour('--low'), 1, colour('--high')],
        'circle-radius': 7,
        'circle-stroke-width': 1.5,
        'circle-stroke-color': colour('--panel'),
      },
    };
    const tickets: LayerSpecification = {
      id: 'tickets',
      type: 'circle',
      source: 'points',
      filter: ['get', 'ticket'],
      paint: {
        'circle-color': colour('--panel'),
        'circle-radius': 5,
        'circle-stroke-width': 3,
        'circle-stroke-color': colour('--accent'),
      },
    };
    return { sources: { points: { type: 'geojson' as const, data: points } }, layers: [stations, tickets] };
  };
}

import 'maplibre-gl/dist/maplibre-gl.css';
import {
  type GeoJSONSource,
  LngLatBounds,
  Map as MapLibre,
  Marker,
  NavigationControl,
  type StyleSpecification,
  setWorkerUrl,
} from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import { useEffect, useRef, useState } from 'react';
import type { PublicCity } from '../api/schema.ts';
import { useWords } from './words.ts';

// From this server, as everything else.
setWorkerUrl(workerUrl);

export interface Place {
  readonly lat: number;
  readonly lon: number;
}
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

type Features = Exclude<Parameters<GeoJSONSource['setData']>[0], string>;

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
      const map = draw(box.current!, city, featuresOf(latest.current.points), language);
      shown.current = map;
      map.on('error', () => setState('failed'));
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

function draw(container: HTMLElement, city: PublicCity, points: Features, language: 'en' | 'zh'): MapLibre {
  const style = getComputedStyle(container);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const map = new MapLibre({
    container,
    style: styleOf(city, points, colour),
    attributionControl: false,
    dragRotate: false,
    cooperativeGestures: false,
  });
  map.addControl(new NavigationControl({ showCompass: false }));
  const bounds = new LngLatBounds();
  for (const { title, geometry } of city.districts) {
    const own = new LngLatBounds();
    for (const place of placesIn(geometry.coordinates)) own.extend(place);
    if (own.isEmpty()) continue;
    bounds.extend(own);
    const element = document.createElement('span');
    element.className = 'place';
    element.textContent = title[language];
    new Marker({ element }).setLngLat(own.getCenter()).addTo(map);
  }
  if (!bounds.isEmpty()) map.fitBounds(bounds, { padding: 16, animate: false });
  return map;
}

/** Returns every position of nested GeoJSON coordinates. */
function placesIn(coordinates: unknown): [number, number][] {
  if (!Array.isArray(coordinates)) return [];
  if (typeof coordinates[0] === 'number') return [[coordinates[0], coordinates[1] as number]];
  return coordinates.flatMap(placesIn);
}

type Areas = Extract<Features, { type: 'FeatureCollection' }>['features'];

function styleOf(city: PublicCity, points: Features, colour: (name: string) => string): StyleSpecification {
  const features = city.districts.map(({ id, geometry }) => ({
    type: 'Feature' as const,
    properties: { id },
    geometry,
  }));
  return {
    version: 8,
    sources: {
      districts: { type: 'geojson', data: { type: 'FeatureCollection', features: features as Areas } },
      points: { type: 'geojson', data: points },
    },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': colour('--ground') } },
      { id: 'areas', type: 'fill', source: 'districts', paint: { 'fill-color': colour('--panel') } },
      { id: 'edges', type: 'line', source: 'districts', paint: { 'line-color': colour('--edge'), 'line-width': 1 } },
      {
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
      },
      {
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
      },
    ],
  };
}

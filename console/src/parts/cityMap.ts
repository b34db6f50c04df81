import 'maplibre-gl/dist/maplibre-gl.css';
import {
  type GeoJSONSource,
  type LayerSpecification,
  LngLatBounds,
  Map as MapLibre,
  Marker,
  NavigationControl,
  type SourceSpecification,
  type StyleSpecification,
  setWorkerUrl,
} from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import type { City } from '../api/schema.ts';
import { placesIn } from './places.ts';

// From this server, as everything else.
setWorkerUrl(workerUrl);

export type Features = Exclude<Parameters<GeoJSONSource['setData']>[0], string>;
type Areas = Extract<Features, { type: 'FeatureCollection' }>['features'];

type Districts = Pick<City, 'districts'>;

/** What a map shows above the districts. */
interface Above {
  readonly sources: Readonly<Record<string, SourceSpecification>>;
  readonly layers: readonly LayerSpecification[];
}

/**
 * Draws the districts of the city with their names, and `above` them what a page shows; around them is the colour
 * `ground` of the style sheet. Throws without WebGL.
 */
export function drawCity(
  container: HTMLElement,
  city: Districts,
  language: 'en' | 'zh',
  above: (colour: (name: string) => string) => Above,
  ground = '--hover',
): MapLibre {
  const style = getComputedStyle(container);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const bounds = new LngLatBounds();
  const map = new MapLibre({
    container,
    style: styleOf(city, above(colour), { colour, ground }),
    attributionControl: false,
    dragRotate: false,
    cooperativeGestures: false,
  });
  map.addControl(new NavigationControl({ showCompass: false }));
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

interface Colours {
  readonly colour: (name: string) => string;
  readonly ground: string;
}

function styleOf(city: Districts, above: Above, { colour, ground }: Colours): StyleSpecification {
  const districts = city.districts.map(({ id, geometry }) => ({
    type: 'Feature' as const,
    properties: { id },
    geometry,
  })) as Areas;
  return {
    version: 8,
    sources: {
      districts: { type: 'geojson', data: { type: 'FeatureCollection', features: districts } },
      ...above.sources,
    },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': colour(ground) } },
      { id: 'areas', type: 'fill', source: 'districts', paint: { 'fill-color': colour('--panel') } },
      { id: 'edges', type: 'line', source: 'districts', paint: { 'line-color': colour('--edge'), 'line-width': 1 } },
      ...above.layers,
    ],
  };
}

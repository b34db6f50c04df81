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

type Described = Pick<City, 'districts' | 'map'>;

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
  city: Described,
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
    attributionControl: attributionOf(city),
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
  drawCoarselyWhereSlow(map);
  return map;
}

/** A frame that takes longer to draw is slow, ms: there is no graphics card. */
const SLOW_MS = 12;

/** How long a map has to stand still until it is sharp, ms: whoever zooms step by step does not wait for that. */
const SHARP_AFTER_MS = 400;

/**
 * Where a frame takes long, a map that moves is drawn with a third of the pixels each way, and sharp again once it
 * stands still.
 */
function drawCoarselyWhereSlow(map: MapLibre): void {
  const sharp = map.getPixelRatio();
  const draw = (ratio: number) => map.getPixelRatio() !== ratio && map.setPixelRatio(ratio);
  let timer: ReturnType<typeof setTimeout> | undefined;
  map.once('load', () => {
    if (msOfFrame(map) < SLOW_MS) return;
    map.on('movestart', () => {
      // A change of the pixels is a move, too, but nothing moves then.
      if (!map.isMoving()) return;
      clearTimeout(timer);
      draw(sharp / 3);
    });
    map.on('idle', () => {
      clearTimeout(timer);
      timer = setTimeout(() => draw(sharp), SHARP_AFTER_MS);
    });
    map.on('remove', () => clearTimeout(timer));
  });
}

/** Draws once more, and waits until it is drawn. */
function msOfFrame(map: MapLibre): number {
  const canvas = map.getCanvas();
  const gl = canvas.getContext('webgl2') ?? canvas.getContext('webgl');
  const from = performance.now();
  map.redraw();
  gl?.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - from;
}

/** Whose map it is; as text, since the library takes HTML. */
function attributionOf({ map: { tiles, attribution } }: Described) {
  if (tiles === null || attribution === '') return false;
  const text = attribution.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return { compact: false, customAttribution: text };
}

/**
 * Calls back where a map cannot be drawn: all that is above the tiles comes from here. Tiles that do not come leave the
 * districts as they are.
 */
export function onMapFailure(map: MapLibre, failed: () => void): void {
  map.on('error', (event) => {
    if ((event as { readonly sourceId?: string }).sourceId !== TILES) failed();
  });
}

const TILES = 'tiles';

/** The tiles, where the city names some. */
function tilesOf({ map: { tiles } }: Described) {
  if (tiles === null) return { sources: {}, layers: [] };
  const source: SourceSpecification = { type: 'raster', tiles: [tiles], tileSize: 256, maxzoom: 19 };
  const layer: LayerSpecification = { id: TILES, type: 'raster', source: TILES };
  return { sources: { [TILES]: source }, layers: [layer] };
}

interface Colours {
  readonly colour: (name: string) => string;
  readonly ground: string;
}

function styleOf(city: Described, above: Above, { colour, ground }: Colours): StyleSpecification {
  const districts = city.districts.map(({ id, geometry }) => ({
    type: 'Feature' as const,
    properties: { id },
    geometry,
  })) as Areas;
  const tiles = tilesOf(city);
  const fill = { 'fill-color': colour('--panel'), 'fill-opacity': tiles.layers.length > 0 ? 0.15 : 1 };
  return {
    version: 8,
    sources: {
      ...tiles.sources,
      districts: { type: 'geojson', data: { type: 'FeatureCollection', features: districts } },
      ...above.sources,
    },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': colour(ground) } },
      ...tiles.layers,
      { id: 'areas', type: 'fill', source: 'districts', paint: fill },
      { id: 'edges', type: 'line', source: 'districts', paint: { 'line-color': colour('--edge'), 'line-width': 1 } },
      ...above.layers,
    ],
  };
}

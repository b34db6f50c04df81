import { useComputedColorScheme } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import type {
  ExpressionSpecification,
  GeoJSONSource,
  LayerSpecification,
  Map as MapLibre,
  MapMouseEvent,
  SourceSpecification,
} from 'maplibre-gl';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { Asset, City, Device, ShownAlert } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { drawCity, type Features, onMapFailure } from '../../parts/cityMap.ts';
import type { DeviceState } from './states.ts';

interface Props {
  readonly city: City;
  readonly devices: readonly Device[];
  readonly states: ReadonlyMap<string, DeviceState>;
  readonly assets: readonly Asset[];
  readonly alerts: readonly ShownAlert[];
  /** Called with the part of the map that is seen, west,south,east,north, where somebody moved it. */
  readonly onMove: (bbox: string) => void;
}

const RANKS = ['none', 'info', 'low', 'medium', 'high', 'critical'];

/**
 * Districts as areas, devices as points by their state; near ones are one point with the colour of the worst alert
 * among them, or grey where none of them sends. Assets are small points below them.
 */
export default function CityMap({ city, devices, states, assets, alerts, onMove }: Props) {
  const { t, language } = useWords();
  const navigate = useNavigate();
  const scheme = useComputedColorScheme('light');
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<MapLibre | null>(null);
  const [failed, setFailed] = useState(false);
  const [drawn, setDrawn] = useState(false);
  const points = useMemo(() => pointsOf(devices, states, alerts), [devices, states, alerts]);
  const places = useMemo(() => placesOf(assets), [assets]);
  const latest = useRef({ points, places, onMove });
  latest.current = { points, places, onMove };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours of the scheme are drawn into it.
  useEffect(() => {
    try {
      const map = draw(box.current!, city, latest.current, language);
      shown.current = map;
      // All that it shows comes from here: without its worker or its style there is no map.
      onMapFailure(map, () => setFailed(true));
      map.once('load', () => {
        // What came meanwhile.
        map.getSource<GeoJSONSource>('devices')?.setData(latest.current.points);
        map.getSource<GeoJSONSource>('assets')?.setData(latest.current.places);
        setDrawn(true);
      });
      // A window that changes its size moves the map too, but neither its centre nor its scale.
      const first = placeOf(map);
      map.on('moveend', () => placeOf(map) !== first && latest.current.onMove(seenIn(map)));
      map.on('click', 'devices', (event) => open(map, event, (id) => navigate({ to: '/devices/$id', params: { id } })));
      map.on('click', 'assets', ({ point, lngLat: { lat, lng } }) => {
        if (map.queryRenderedFeatures(point, { layers: ['devices'] }).length > 0) return;
        void navigate({
          to: '/tickets',
          search: { near: `${lat.toFixed(DIGITS)},${lng.toFixed(DIGITS)},25`, status: 'all' },
        });
      });
      return () => {
        shown.current = null;
        map.remove();
      };
    } catch {
      setFailed(true);
      return undefined;
    }
  }, [city, language, scheme, navigate]);
  useEffect(() => {
    shown.current?.getSource<GeoJSONSource>('devices')?.setData(points);
  }, [points]);
  useEffect(() => {
    shown.current?.getSource<GeoJSONSource>('assets')?.setData(places);
  }, [places]);
  if (failed) return <p className="empty">{t('map.failed')}</p>;
  return <div ref={box} className="map" aria-busy={!drawn} />;
}

/** About a metre. */
const DIGITS = 5;

const placeOf = (map: MapLibre) => `${map.getCenter()} ${map.getZoom()}`;

function seenIn(map: MapLibre): string {
  const bounds = map.getBounds();
  const within = (value: number, most: number) => Math.min(most, Math.max(-most, value)).toFixed(DIGITS);
  const [west, east] = [bounds.getWest(), bounds.getEast()].map((value) => within(value, 180));
  const [south, north] = [bounds.getSouth(), bounds.getNorth()].map((value) => within(value, 90));
  return [west, south, east, north].join();
}

function placesOf(assets: readonly Asset[]): Features {
  const features = assets.map(({ id, location }) => ({
    type: 'Feature' as const,
    geometry: { type: 'Point' as const, coordinates: [location.lon, location.lat] },
    properties: { id },
  }));
  return { type: 'FeatureCollection', features };
}

function pointsOf(
  devices: readonly Device[],
  states: ReadonlyMap<string, DeviceState>,
  alerts: readonly ShownAlert[],
): Features {
  const worst = new Map<string, number>();
  for (const { group, severity } of alerts) {
    worst.set(group, Math.max(worst.get(group) ?? 0, RANKS.indexOf(severity)));
  }
  const features = devices.map(({ id, location }) => ({
    type: 'Feature' as const,
    geometry: { type: 'Point' as const, coordinates: [location!.lon, location!.lat] },
    properties: { id, rank: worst.get(id) ?? 0, state: states.get(id) ?? 'sending' },
  }));
  return { type: 'FeatureCollection', features };
}

interface Shown {
  readonly points: Features;
  readonly places: Features;
}

function draw(container: HTMLElement, city: City, shown: Shown, language: 'en' | 'zh'): MapLibre {
  const map = drawCity(container, city, language, layersOf(shown));
  map.on('mouseenter', 'devices', () => map.getCanvas().classList.add('pointing'));
  map.on('mouseleave', 'devices', () => map.getCanvas().classList.remove('pointing'));
  return map;
}

/** The devices, near ones together. */
function layersOf({ points, places }: Shown) {
  return (colour: (name: string) => string) => {
    const colours = ['--good', '--info', '--low', '--medium', '--high', '--critical'].map(colour);
    const [none, ...ranked] = colours as [string, ...string[]];
    const rank: ExpressionSpecification = ['coalesce', ['get', 'worst'], ['get', 'rank'], 0];
    const devices: SourceSpecification = {
      type: 'geojson',
      data: points,
      cluster: true,
      clusterRadius: 36,
      clusterProperties: {
        worst: ['max', ['get', 'rank']],
        quiet: ['+', ['case', ['==', ['get', 'state'], 'sending'], 0, 1]],
      },
    };
    // Of a point by itself its state; of several, whether none of them sends.
    const isQuiet: ExpressionSpecification = [
      'case',
      ['has', 'point_count'],
      ['==', ['get', 'quiet'], ['get', 'point_count']],
      ['!=', ['get', 'state'], 'sending'],
    ];
    const isHollow: ExpressionSpecification = [
      'in',
      ['coalesce', ['get', 'state'], ''],
      ['literal', ['never', 'suspended']],
    ];
    const grey = colour('--quiet');
    const ring: ExpressionSpecification = [
      'case',
      ['==', ['coalesce', ['get', 'state'], ''], 'suspended'],
      colour('--critical'),
      isHollow,
      grey,
      colour('--panel'),
    ];
    const quiet: ExpressionSpecification = ['case', isHollow, colour('--panel'), isQuiet, grey, none];
    const dots: LayerSpecification = {
      id: 'assets',
      type: 'circle',
      source: 'assets',
      paint: { 'circle-color': colour('--edge'), 'circle-radius': ['interpolate', ['linear'], ['zoom'], 10, 1, 16, 4] },
    };
    const circles: LayerSpecification = {
      id: 'devices',
      type: 'circle',
      source: 'devices',
      paint: {
        'circle-color': ['step', rank, quiet, ...ranked.flatMap((name, i) => [i + 1, name])],
        'circle-radius': ['interpolate', ['linear'], ['coalesce', ['get', 'point_count'], 1], 1, 5, 10, 10, 1000, 24],
        'circle-opacity': 0.85,
        'circle-stroke-width': 1.5,
        'circle-stroke-color': ring,
      },
    };
    const assets: SourceSpecification = { type: 'geojson', data: places };
    return { sources: { assets, devices }, layers: [dots, circles] };
  };
}

/** Opens the device that was clicked on, or looks closer where there are several. */
async function open(
  map: MapLibre,
  { point, lngLat }: MapMouseEvent,
  show: (id: string) => Promise<void>,
): Promise<void> {
  const [feature] = map.queryRenderedFeatures(point, { layers: ['devices'] });
  const { id, cluster_id: cluster } = feature?.properties ?? {};
  if (typeof id === 'string') await show(id);
  if (cluster === undefined) return;
  const zoom = await map.getSource<GeoJSONSource>('devices')!.getClusterExpansionZoom(cluster as number);
  map.easeTo({ center: lngLat, zoom: zoom + 0.5 });
}

import type { District, LocalText } from '../../domain/index.ts';
import { element, type Xml } from '../../domain/index.ts';

/** The area of an alert: its district with its outer borders, or, where it has none, the city by name. */
export function areaOf(district: District | null, city: LocalText, language: keyof LocalText): Xml {
  const title = district?.title ?? city;
  const borders = district === null ? [] : outerRings(district.geometry);
  return element('area', [element('areaDesc', title[language]), ...borders.map((ring) => element('polygon', ring))]);
}

type Ring = readonly (readonly [lon: number, lat: number])[];

/** GeoJSON has longitude first, CAP latitude (§3.3.3); in both the last point is the first. Holes cannot be told. */
function outerRings({ type, coordinates }: District['geometry']): string[] {
  const polygons = (type === 'Polygon' ? [coordinates] : coordinates) as readonly (readonly Ring[])[];
  return polygons.map(([outer]) => outer!.map(([lon, lat]) => `${lat},${lon}`).join(' '));
}

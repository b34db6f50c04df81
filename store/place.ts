import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { boxAround, distanceM, type Place } from '../domain/index.ts';

/** A part of the map: a box, or what is within a distance of a place. Absent: all of it. */
export interface PlaceFilter {
  /** Degrees; a box whose west is greater than its east crosses the date line. */
  readonly bbox?: { readonly west: number; readonly south: number; readonly east: number; readonly north: number };
  readonly near?: Place & { readonly metres: number };
}

/** Expressions of a latitude and a longitude in SQL. */
interface Columns {
  readonly lat: string;
  readonly lon: string;
}

/** Returns a filter as `and …` conditions over a connection, with their parameters. What has no place is not in it. */
export function placeConditions(db: DatabaseSync, { bbox, near }: PlaceFilter, columns: Columns): Conditions {
  const of = [...(bbox === undefined ? [] : [inBox(bbox, columns)]), ...(near ? [inCircle(db, near, columns)] : [])];
  return { sql: of.map(({ sql }) => sql).join(''), params: of.flatMap(({ params }) => params) };
}

interface Conditions {
  readonly sql: string;
  readonly params: SQLInputValue[];
}

function inBox({ west, south, east, north }: NonNullable<PlaceFilter['bbox']>, { lat, lon }: Columns): Conditions {
  const across = west <= east ? `${lon} between ? and ?` : `(${lon} >= ? or ${lon} <= ?)`;
  return { sql: ` and ${lat} between ? and ? and ${across}`, params: [south, north, west, east] };
}

/** The box comes first: the distance is computed of few. */
function inCircle(db: DatabaseSync, near: NonNullable<PlaceFilter['near']>, { lat, lon }: Columns): Conditions {
  db.function('distance_m', { deterministic: true }, (a, b, c, d) =>
    distanceM({ lat: Number(a), lon: Number(b) }, { lat: Number(c), lon: Number(d) }),
  );
  const box = boxAround(near, near.metres);
  const across = box.lon === null ? '' : ` and ${lon} between ? and ?`;
  return {
    sql: ` and ${lat} between ? and ?${across} and distance_m(${lat}, ${lon}, ?, ?) <= ?`,
    params: [...box.lat, ...(box.lon ?? []), near.lat, near.lon, near.metres],
  };
}

/** Returns the pattern of `like … escape '\'` for texts that contain another, whatever that has in it. */
export function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}

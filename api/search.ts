import { z } from 'zod';

const LIMITS = { lat: 90, lon: 180 } as const;
const MOST_METRES = 100_000;

/** Numbers with commas between them. */
const numbersIn = (text: string) => text.split(',').map((one) => (one.trim() === '' ? Number.NaN : Number(one)));
const isDegrees = (value: number, most: number) => Math.abs(value) <= most;

const Bbox = z
  .string()
  .max(200)
  .transform((text, context) => {
    const [west, south, east, north, ...more] = numbersIn(text) as [number, number, number, number];
    const right =
      isDegrees(west, LIMITS.lon) &&
      isDegrees(east, LIMITS.lon) &&
      isDegrees(south, LIMITS.lat) &&
      isDegrees(north, LIMITS.lat);
    if (right && south <= north && more.length === 0) return { west, south, east, north };
    context.addIssue('write west,south,east,north in degrees (RFC 7946), such as 118.7,32.0,118.8,32.1');
    return z.NEVER;
  });

const Near = z
  .string()
  .max(200)
  .transform((text, context) => {
    const [lat, lon, metres, ...more] = numbersIn(text) as [number, number, number];
    const right = isDegrees(lat, LIMITS.lat) && isDegrees(lon, LIMITS.lon) && metres > 0 && metres <= MOST_METRES;
    if (right && more.length === 0) return { lat, lon, metres };
    context.addIssue(`write lat,lon,metres with at most ${MOST_METRES} metres, such as 32.0151,118.7602,200`);
    return z.NEVER;
  });

/** The filters of lists by place and by words. */
export const Search = {
  bbox: Bbox.exactOptional().describe('A box: west,south,east,north in degrees'),
  near: Near.exactOptional().describe('A circle: lat,lon,metres'),
  q: z.string().trim().min(1).max(200).exactOptional().describe('A text that it contains; case does not matter'),
};

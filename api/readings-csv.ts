import { Readable } from 'node:stream';
import type { Series } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import { csvLine } from './csv.ts';

const LINES_AT_ONCE = 1_000;
const HEADER = 'device,metric,unit,ts,value\r\n';

/** Series as CSV (RFC 4180, with a header), made as fast as it is read; ts in ISO 8601 UTC, a gap is an empty value. */
export function csvOf(series: readonly Series[]): Readable {
  return Readable.from(textOf(series), { objectMode: false });
}

function* textOf(series: readonly Series[]): Iterable<string> {
  yield HEADER;
  for (const { device, metric, unit, points } of series) {
    const start = csvLine([device, metric, unit]).slice(0, -2);
    for (let i = 0; i < points.length; i += LINES_AT_ONCE) {
      const lines = points.slice(i, i + LINES_AT_ONCE);
      yield lines.map(([ts, value]) => `${start},${isoOf(ts)},${value ?? ''}\r\n`).join('');
    }
  }
}

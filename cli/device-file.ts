import { readFile } from 'node:fs/promises';
import { LamppostError } from '../domain/index.ts';

const TEXTS = ['id', 'profile', 'district', 'name', 'gateway', 'asset', 'secret', 'secretHash'] as const;
/** Columns of a CSV file of devices; `device export --format csv` writes more, which an import passes over. */
const COLUMNS = [...TEXTS, 'lat', 'lon', 'tags'] as const;
type Column = (typeof COLUMNS)[number];
const NEEDED: readonly Column[] = ['id', 'profile', 'district'];

/**
 * Reads the devices of a file: a JSON array (or one device), or CSV with a header. Throws `config` with the place of a
 * mistake; the server checks the devices themselves.
 */
export async function readDevices(file: string): Promise<readonly unknown[]> {
  try {
    const text = await readFile(file, 'utf8');
    return /\.csv$/i.test(file) ? devicesOfCsv(text) : [JSON.parse(text) as unknown].flat();
  } catch (cause) {
    throw new LamppostError('config', `${file}: ${(cause as Error).message}`, { cause });
  }
}

function devicesOfCsv(text: string): object[] {
  const [header = [], ...rows] = rowsOf(text.replace(/^\uFEFF/, ''));
  const missing = NEEDED.filter((name) => !header.includes(name));
  if (missing.length > 0) throw new Error(`line 1: no column ${missing.join(', ')}; columns are ${COLUMNS.join(', ')}`);
  return rows.map((row, i) => {
    if (row.length !== header.length)
      throw new Error(`line ${i + 2}: ${row.length} values found, the header has ${header.length}`);
    return deviceOf((name) => row[header.indexOf(name)]?.trim() || undefined, i + 2);
  });
}

function deviceOf(cell: (name: Column) => string | undefined, line: number): object {
  const [lat, lon, tags] = [cell('lat'), cell('lon'), cell('tags')];
  if ((lat === undefined) !== (lon === undefined)) throw new Error(`line ${line}: lat and lon belong together`);
  const texts = TEXTS.flatMap((name) => {
    const value = cell(name);
    return value === undefined ? [] : [[name, value]];
  });
  return {
    ...Object.fromEntries(texts),
    ...(lat === undefined ? {} : { location: { lat: Number(lat), lon: Number(lon) } }),
    ...(tags === undefined ? {} : { tags: tagsOf(tags, line) }),
  };
}

function tagsOf(text: string, line: number): Record<string, string> {
  const pairs = text.split(';').map((pair) => {
    const at = pair.indexOf('=');
    if (at <= 0) throw new Error(`line ${line}: tags: "${pair}" found; write name=value, separated by semicolons`);
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

/** The rows of a CSV text (RFC 4180); empty lines are passed over. */
function rowsOf(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    if (quoted === undefined && plain === '' && end === '' && row.length === 0) break;
    row.push(quoted?.replaceAll('""', '"') ?? plain!);
    if (end === ',') continue;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  return rows;
}

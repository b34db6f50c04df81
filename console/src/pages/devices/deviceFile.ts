import type { NewDevice } from '../../api/schema.ts';
import type { en } from '../../texts/en.ts';

type TextKey = keyof typeof en;

/** What is wrong with a file: a text of the catalogue, and its values. */
export class FileMistake extends Error {
  readonly key: TextKey;
  readonly values: Readonly<Record<string, string | number>>;
  constructor(key: TextKey, values: Readonly<Record<string, string | number>> = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** A device to register, as a file has it: the server checks it. */
export type ImportedDevice = Pick<
  NewDevice,
  'id' | 'profile' | 'district' | 'name' | 'location' | 'tags' | 'gateway' | 'asset'
>;

/** The columns that `lamppost device import` reads too. */
const NEEDED = ['id', 'profile', 'district'];
const TEXTS = ['id', 'profile', 'district', 'name', 'gateway', 'asset', 'secret', 'secretHash'];

/** Returns the devices of a file: a JSON list, or CSV with a header. Throws `FileMistake`. */
export function devicesIn(name: string, text: string): ImportedDevice[] {
  if (!/\.csv$/i.test(name)) return devicesOfJson(text);
  const [header = [], ...rows] = rowsOf(text.replace(/^\uFEFF/, ''));
  const missing = NEEDED.filter((column) => !header.includes(column));
  if (missing.length > 0) throw new FileMistake('import.no-columns', { names: missing.join(', ') });
  return rows.map((row, i) => {
    const [found, wanted] = [row.length, header.length];
    if (found !== wanted) throw new FileMistake('import.wrong-row', { line: i + 2, found, wanted });
    return deviceOf((column) => row[header.indexOf(column)]?.trim() ?? '', i + 2);
  });
}

function devicesOfJson(text: string): ImportedDevice[] {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new FileMistake('import.no-json');
  }
  const devices = [found].flat();
  const isDevice = (one: unknown) => typeof one === 'object' && one !== null;
  if (!devices.every(isDevice)) throw new FileMistake('import.no-json');
  return devices as ImportedDevice[];
}

function deviceOf(cell: (column: string) => string, line: number): ImportedDevice {
  const texts = TEXTS.flatMap((column) => (cell(column) === '' ? [] : [[column, cell(column)]]));
  const [lat, lon, tags] = [cell('lat'), cell('lon'), cell('tags')];
  if ((lat === '') !== (lon === '')) throw new FileMistake('import.no-place', { line });
  return {
    ...(Object.fromEntries(texts) as ImportedDevice),
    ...(lat === '' ? {} : { location: { lat: Number(lat), lon: Number(lon) } }),
    ...(tags === '' ? {} : { tags: tagsOf(tags, line) }),
  };
}

function tagsOf(text: string, line: number): Record<string, string> {
  const pairs = text.split(';').map((pair) => {
    const at = pair.indexOf('=');
    if (at <= 0) throw new FileMistake('import.no-tag', { line, tag: pair });
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
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

/** The secrets of new devices as CSV. Ids and secrets have no character that CSV would need quotes for. */
export function secretsCsv(devices: readonly Pick<NewDevice, 'id' | 'secret'>[]): string {
  const lines = devices.map(({ id, secret = '' }) => `${id},${secret}\n`);
  return `id,secret\n${lines.join('')}`;
}

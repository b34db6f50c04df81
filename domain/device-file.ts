const TEXTS = ['id', 'profile', 'district', 'name', 'gateway', 'asset', 'devEui', 'secret', 'secretHash'] as const;
/** Columns of a CSV file of devices. An export has more, which are passed over. */
export const DEVICE_COLUMNS = [...TEXTS, 'lat', 'lon', 'tags'] as const;
const NEEDED = ['id', 'profile', 'district'] as const;

/** What can be wrong with a file of devices, with the line that it is in. */
type MistakeKind = 'no-json' | 'no-columns' | 'wrong-row' | 'no-place' | 'no-tag';

/** A mistake in a file of devices. Who reads the file says it in their words. */
export class DeviceFileMistake extends Error {
  readonly kind: MistakeKind;
  readonly values: Readonly<Record<string, string | number>>;
  constructor(kind: MistakeKind, values: Readonly<Record<string, string | number>> = {}, cause?: unknown) {
    super(`${kind} ${JSON.stringify(values)}`, { cause });
    this.kind = kind;
    this.values = values;
  }
}

/** A device as a file has it: the server checks it. */
export type DeviceOfFile = Readonly<Partial<Record<(typeof TEXTS)[number], string>>> & {
  readonly location?: { readonly lat: number; readonly lon: number };
  readonly tags?: Readonly<Record<string, string>>;
};

/**
 * Returns the devices of a file: a JSON array (or one device), or, where its name ends with `.csv`, CSV with a header
 * (RFC 4180). Throws `DeviceFileMistake`. The command line and the console read files with it.
 */
export function devicesInFile(name: string, text: string): DeviceOfFile[] {
  if (!/\.csv$/i.test(name)) return devicesOfJson(text);
  const [header = [], ...rows] = rowsOf(text.replace(/^\uFEFF/, ''));
  const missing = NEEDED.filter((column) => !header.includes(column));
  if (missing.length > 0) throw new DeviceFileMistake('no-columns', { names: missing.join(', ') });
  return rows.map((row, i) => {
    const [found, wanted] = [row.length, header.length];
    if (found !== wanted) throw new DeviceFileMistake('wrong-row', { line: i + 2, found, wanted });
    return deviceOf((column) => row[header.indexOf(column)]?.trim() ?? '', i + 2);
  });
}

function devicesOfJson(text: string): DeviceOfFile[] {
  const devices = [parsed(text)].flat();
  if (devices.every((one) => typeof one === 'object' && one !== null)) return devices as DeviceOfFile[];
  throw new DeviceFileMistake('no-json');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new DeviceFileMistake('no-json', {}, cause);
  }
}

function deviceOf(cell: (column: (typeof DEVICE_COLUMNS)[number]) => string, line: number): DeviceOfFile {
  const texts = TEXTS.flatMap((column) => (cell(column) === '' ? [] : [[column, cell(column)] as const]));
  const [lat, lon, tags] = [cell('lat'), cell('lon'), cell('tags')];
  if ((lat === '') !== (lon === '')) throw new DeviceFileMistake('no-place', { line });
  return {
    ...Object.fromEntries(texts),
    ...(lat === '' ? {} : { location: { lat: Number(lat), lon: Number(lon) } }),
    ...(tags === '' ? {} : { tags: tagsOf(tags, line) }),
  };
}

function tagsOf(text: string, line: number): Record<string, string> {
  const pairs = text.split(';').map((pair) => {
    const at = pair.indexOf('=');
    if (at <= 0) throw new DeviceFileMistake('no-tag', { line, tag: pair });
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

/** Returns devices with a secret each: what of them has none gets a new one, so that a lost response loses nothing. */
export function withSecrets<T extends { readonly secret?: string; readonly secretHash?: string }>(
  devices: readonly T[],
  newSecret: () => string,
): T[] {
  const hasOne = ({ secret, secretHash }: T) => secret !== undefined || secretHash !== undefined;
  return devices.map((device) => (hasOne(device) ? device : { ...device, secret: newSecret() }));
}

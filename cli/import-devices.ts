import {
  DEVICE_COLUMNS,
  DeviceFileMistake,
  type DeviceOfFile,
  devicesInFile,
  LamppostError,
  type Page,
  withSecrets,
} from '../domain/index.ts';
import { newSecret } from '../registry/index.ts';
import type { Client } from './client.ts';
import { readBytes } from './files.ts';

/** What the server takes at once, all or none. */
const MOST_AT_ONCE = 5_000;
/** Parts of a larger file. */
const PART = 1_000;

interface Output {
  /** Writes a part of the result. */
  readonly out: (text: string) => void;
  /** Says how far it is. */
  readonly progress: (line: string) => void;
  /** Says what somebody should know at the end, too. */
  readonly note: (line: string) => void;
}

/**
 * Registers the devices of a file and writes them, with their new secrets, as one JSON array. Up to 5,000 are
 * registered all or none; a larger file in parts, each of which is written when it is done: what was registered before
 * a mistake stays, and its secrets are in the output. The secrets are drawn here: where the response is lost they are
 * written, too. `skip`: passes over ids that are registered already.
 */
export async function importDevices(
  client: Client,
  file: string,
  { skip, ...output }: Output & { readonly skip: boolean },
): Promise<void> {
  const all = await readDevices(file);
  const known = skip ? await registeredIds(client) : new Set<unknown>();
  const left = all.filter(({ id }) => !known.has(id));
  // A gateway is registered before what is under it, which may be in an earlier part.
  const isUnder = ({ gateway }: DeviceOfFile) => Number(Boolean(gateway));
  const devices = withSecrets(left, newSecret).toSorted((a, b) => isUnder(a) - isUnder(b));
  if (known.size > 0) output.note(`${all.length - devices.length} of ${all.length} are registered already`);
  const part = devices.length <= MOST_AT_ONCE ? MOST_AT_ONCE : PART;
  const write = (some: readonly object[], at: number) =>
    output.out(`${at === 0 ? '' : ','}\n${some.map((one) => JSON.stringify(one)).join(',\n')}`);
  output.out('[');
  try {
    for (let at = 0; at < devices.length; at += part) {
      const some = devices.slice(at, at + part);
      write(await register(client, some, (lost) => write(lost, at)), at);
      output.progress(`${at + some.length} of ${devices.length} registered`);
    }
  } finally {
    output.out('\n]\n');
  }
}

/** Registers devices, and returns them with their secrets. `lost` gets them where nobody says what became of them. */
async function register(
  client: Client,
  devices: readonly DeviceOfFile[],
  lost: (devices: readonly object[]) => void,
): Promise<object[]> {
  try {
    const made = await client.json<{ id: string }[]>('POST', '/api/v1/devices', devices);
    return made.map((one, i) => ({ ...one, ...secretOf(devices[i]!) }));
  } catch (error) {
    if (error instanceof LamppostError && error.code === 'invalid') throw error;
    lost(devices.map((device) => ({ id: device.id, ...secretOf(device), registered: null })));
    const more = 'Whether the last devices of the output are registered is not known: run it again with --skip';
    throw new LamppostError('busy', `${(error as Error).message}. ${more}`, { cause: error });
  }
}

const secretOf = ({ secret }: DeviceOfFile) => (secret === undefined ? {} : { secret });

async function registeredIds(client: Client): Promise<Set<unknown>> {
  const ids = new Set<unknown>();
  for await (const { items } of pages(client)) for (const { id } of items) ids.add(id);
  return ids;
}

async function* pages(client: Client): AsyncGenerator<Page<{ id: string }>> {
  for (let after: string | null = ''; after !== null; ) {
    const query: string = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
    const page: Page<{ id: string }> = await client.json('GET', `/api/v1/devices?limit=1000${query}`);
    yield page;
    after = page.next;
  }
}

/** Writes all registered devices, as JSON or CSV, without secrets. */
export async function exportDevices(client: Client, format: string, out: Output['out']): Promise<void> {
  if (format === 'csv') return exportCsv(client, out);
  let first = true;
  out('[');
  for await (const { items } of pages(client)) {
    if (items.length === 0) continue;
    out(`${first ? '' : ','}\n${items.map((one) => JSON.stringify(one)).join(',\n')}`);
    first = false;
  }
  out('\n]\n');
}

async function exportCsv(client: Client, out: Output['out']): Promise<void> {
  let header = '';
  for (let path: string | null = '/api/v1/devices?limit=1000&format=csv'; path !== null; ) {
    const response: Response = await client.send('GET', path);
    const text = await response.text();
    if (!response.ok) throw client.problem(text, response.status);
    const end = text.indexOf('\n') + 1;
    out(header === '' ? text : text.slice(end));
    header = text.slice(0, end);
    path = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? null;
  }
}

/**
 * Reads the devices of a file: a JSON array (or one device), or CSV with a header. Throws `config` with the place of a
 * mistake; the server checks the devices themselves.
 */
async function readDevices(file: string): Promise<readonly DeviceOfFile[]> {
  const text = readBytes(file).toString();
  try {
    return devicesInFile(file, text);
  } catch (cause) {
    throw new LamppostError('config', `${file}: ${sentenceOf(cause as Error)}`, { cause });
  }
}

function sentenceOf(error: Error): string {
  if (!(error instanceof DeviceFileMistake)) return error.message;
  const { line, found, wanted, names, tag } = error.values;
  switch (error.kind) {
    case 'no-json':
      return `${(error.cause as Error | undefined)?.message ?? 'this is no list of devices'}; CSV files end with .csv`;
    case 'no-columns':
      return `line 1: no column ${names}; columns are ${DEVICE_COLUMNS.join(', ')}`;
    case 'wrong-row':
      return `line ${line}: ${found} values found, the header has ${wanted}`;
    case 'no-place':
      return `line ${line}: lat and lon belong together`;
    case 'no-tag':
      return `line ${line}: tags: "${tag}" found; write name=value, separated by semicolons`;
  }
}

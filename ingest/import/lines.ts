import { shown } from '../decode/format.ts';
import type { TextOptions } from './csv.ts';
import type { RowCollector } from './rows.ts';
import { numberIn, TimeReader } from './values.ts';

const TRUE = /^(t|T|true|True|TRUE)$/;
const FALSE = /^(f|F|false|False|FALSE)$/;
/** Names that Lamppost writes with an addition, as these are taken in InfluxDB. */
const RENAMED: Readonly<Record<string, string>> = {
  'time.value': 'time',
  'device.value': 'device',
  'district.value': 'district',
};

/**
 * Reads InfluxDB's line protocol into rows: each field of a line is a reading of the device that the tag `device`
 * names. Measurement and other tags are not used.
 */
export function readLines(text: string, { device, precision, firstLine }: TextOptions, into: RowCollector): void {
  const time = new TimeReader(precision ?? 'ns');
  let line = firstLine;
  for (let at = 0; at < text.length; line++) {
    const end = text.indexOf('\n', at);
    const to = end === -1 ? text.length : end;
    const from = at;
    at = to + 1;
    const one = text.slice(from, to).trim();
    if (one !== '' && !one.startsWith('#')) readLine(one, { device, time, line }, into);
  }
}

interface Context {
  readonly device: string | null;
  readonly time: TimeReader;
  readonly line: number;
}

function readLine(text: string, { device: given, time, line }: Context, into: RowCollector): void {
  const [key = '', fields, stamp, ...rest] = split(text, ' ');
  if (fields === undefined || fields === '' || rest.length > 0) {
    into.refuse('malformed', '', line, () => `${shown(text)} is no line of measurement,tags fields time`);
    return;
  }
  const ts = stamp === undefined ? Number.NaN : time.read(stamp, 0, stamp.length);
  if (Number.isNaN(ts)) {
    into.refuse('bad-timestamp', '', line, () => `${shown(stamp ?? '')} found; an import needs the time of each line`);
    return;
  }
  const tag = split(key, ',').find((one, at) => at > 0 && one.startsWith('device='));
  const device = tag === undefined ? given : plain(tag.slice('device='.length));
  if (device === null) {
    into.refuse('unknown-device', '', line, () => 'the line has no tag device, and no device is given');
    return;
  }
  for (const field of split(fields, ',')) readField(field, { device, ts, line }, into);
}

function readField(
  field: string,
  { device, ts, line }: { readonly device: string; readonly ts: number; readonly line: number },
  into: RowCollector,
): void {
  const parts = split(field, '=');
  const [name, text = ''] = [plain(parts[0]!), parts.slice(1).join('=')];
  const value = readingIn(text);
  const quoted = /^"([^"\\]+)"$/.exec(text)?.[1];
  if (quoted !== undefined && into.addText(device, name, ts, quoted, line)) return;
  if (Number.isNaN(value)) {
    into.refuse('not-a-number', name, line, () => `${name}: ${shown(text)} found; a number is expected`);
    return;
  }
  into.add(device, Object.hasOwn(RENAMED, name) ? RENAMED[name]! : name, null, ts, value, line);
}

function readingIn(text: string): number {
  if (TRUE.test(text)) return 1;
  if (FALSE.test(text)) return 0;
  // Integers and unsigned integers.
  const isWhole = text.length > 1 && (text.endsWith('i') || text.endsWith('u'));
  return numberIn(text, 0, isWhole ? text.length - 1 : text.length);
}

/** Splits at a separator that is neither escaped nor in a quoted value. */
function split(text: string, at: string): string[] {
  if (!/[\\"]/.test(text)) return text.split(at).filter((part) => at !== ' ' || part !== '');
  const parts: string[] = [];
  let [part, quoted] = ['', false];
  for (let i = 0; i < text.length; i++) {
    const one = text[i]!;
    if (one === '\\') part += one + (text[++i] ?? '');
    else if (one === at && !quoted) {
      parts.push(part);
      part = '';
    } else {
      if (one === '"') quoted = !quoted;
      part += one;
    }
  }
  return [...parts, part].filter((found) => at !== ' ' || found !== '');
}

/** A name without its escapes. */
const plain = (name: string) => (name.includes('\\') ? name.replaceAll(/\\([,= \\])/g, '$1') : name);

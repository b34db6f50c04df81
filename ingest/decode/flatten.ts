import type { Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { isObject, type RawReading } from './format.ts';
import { memberOf } from './lenient-json.ts';

const MOST_DEPTH = 16;
const MOST_FIELDS = 1_024;
const MOST_NAME = 256;
/** Of an item of a list: members that may name it; and names of one field besides its own. */
const MOST_MEMBERS = 6;
const MOST_ALIASES = 24;

/** The leaves of a nested object as fields of one reading. */
interface Flat {
  readonly metrics: RawReading['metrics'];
  readonly paths: Readonly<Record<string, string>>;
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  readonly rejections: readonly Rejection[];
}

/**
 * Flattens a nested object. Field names are dotted paths (`air.temperature`; items of arrays by index:
 * `probes.0.level`). An item that is an object is also named by each of its members that is a text or a whole number
 * (`probes[id=4097].level`), for lists whose order varies. Of two leaves with the same name the second is refused.
 * Leaves deeper than 16 levels or past 1,024 fields are refused too.
 */
export function flatten(object: Record<string, unknown>, root: string): Flat {
  const walk = new Walk();
  walk.container(object, { name: '', path: root, also: [] }, 1);
  const { metrics, paths, aliases, rejections } = walk;
  return { metrics, paths, rejections, ...(walk.hasAliases ? { aliases } : {}) };
}

/** Where a value is. */
interface Place {
  readonly name: string;
  readonly path: string;
  /** Other names of it. */
  readonly also: readonly string[];
}

class Walk implements Flat {
  readonly metrics: Record<string, unknown> = Object.create(null);
  readonly paths: Record<string, string> = Object.create(null);
  readonly aliases: Record<string, readonly string[]> = Object.create(null);
  readonly rejections: Rejection[] = [];
  hasAliases = false;
  #fields = 0;

  container(value: Record<string, unknown> | readonly unknown[], place: Place, depth: number): void {
    if (depth > MOST_DEPTH) {
      this.#count(place.path, `nested deeper than ${MOST_DEPTH} levels`);
      return;
    }
    const isList = Array.isArray(value);
    for (const [key, one] of Object.entries(value)) {
      if (this.#fields > MOST_FIELDS) return;
      this.#member(one, isList ? itemOf(place, key, one) : fieldIn(place, key), depth);
    }
  }

  #member(value: unknown, place: Place, depth: number): void {
    if (place.name.length > MOST_NAME) {
      this.#count(place.path.slice(0, MOST_NAME), `the name is longer than ${MOST_NAME} characters`);
    } else if (Array.isArray(value) || isObject(value)) this.container(value, place, depth + 1);
    else this.#leaf(value, place);
  }

  #leaf(value: unknown, { name, path, also }: Place): void {
    if (name in this.metrics) {
      this.#count(path, `the field "${name}" is also at ${this.paths[name]}`, 'ambiguous');
    } else if (this.#count(path)) {
      this.metrics[name] = value;
      this.paths[name] = path;
      if (also.length === 0) return;
      this.aliases[name] = also;
      this.hasAliases = true;
    }
  }

  /** Counts a field and refuses it where there is a fault. Returns false where there are too many fields. */
  #count(path: string, fault?: string, reason: Rejection['reason'] = 'wrong-shape'): boolean {
    this.#fields++;
    if (this.#fields > MOST_FIELDS) {
      this.#refuse('wrong-shape', path, `more than ${MOST_FIELDS} fields; from here on nothing was read`);
      return false;
    }
    if (fault !== undefined) this.#refuse(reason, path, fault);
    return true;
  }

  #refuse(reason: Rejection['reason'], path: string, detail: string): void {
    this.rejections.push({ reason, path, detail });
  }
}

function fieldIn({ name, path, also }: Place, key: string): Place {
  if (name === '') return { name: key, path: path + memberOf(key), also };
  return { name: `${name}.${key}`, path: path + memberOf(key), also: also.map((other) => `${other}.${key}`) };
}

function itemOf({ name, path, also }: Place, index: string, item: unknown): Place {
  const members = isObject(item) ? Object.entries(item).filter(([key, value]) => isName(key, value)) : [];
  const named = [name, ...also].flatMap((list) =>
    members.slice(0, MOST_MEMBERS).map(([key, value]) => `${list}[${key}=${String(value)}]`),
  );
  const places = [...also.map((other) => `${other}.${index}`), ...named].filter(({ length }) => length <= MOST_NAME);
  return { name: `${name}.${index}`, path: `${path}[${index}]`, also: places.slice(0, MOST_ALIASES) };
}

function isName(key: string, value: unknown): boolean {
  return key.length <= 64 && (typeof value === 'string' ? value.length <= 64 : Number.isInteger(value));
}

/** Base64, and its variant for URLs. */
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
/** Of a frame. LoRaWAN has 255 at most; the work of the sandbox grows with them. */
const MOST_BYTES = 1_024;

/** Returns what a codec makes of the raw frame at a path, or why it is refused; null where there is no frame. */
export function codedOf(
  codec: Codec,
  { frame, path, port, receivedAtMs }: { frame: unknown; path: string; port: unknown; receivedAtMs: number },
): { readonly data: Readonly<Record<string, unknown>> } | Rejection | null {
  if (typeof frame !== 'string' || frame === '') return null;
  const refused = (detail: string, reason: Rejection['reason'] = 'not-decoded') => ({ reason, path, detail });
  if (!BASE64.test(frame)) return refused(`${codec.name}: the frame is not Base64`);
  const bytes = new Uint8Array(Buffer.from(frame, 'base64'));
  if (bytes.length > MOST_BYTES)
    return refused(`${codec.name}: the frame has ${bytes.length} bytes, more than ${MOST_BYTES}`);
  const coded = codec.decode({ bytes, port: Number.isInteger(port) ? Number(port) : 0, receivedAtMs });
  if (!('fault' in coded)) return coded;
  return refused(`${codec.name}: ${coded.fault}`, coded.isTooSlow ? 'codec-too-slow' : 'not-decoded');
}

/** What identifies the uplink of a LoRaWAN device. */
interface Frame {
  /** The session, by its key or address; undefined where the network server does not say it. */
  readonly session: unknown;
  readonly counter: unknown;
  readonly port: unknown;
  /** The decrypted frame, Base64. */
  readonly frame: unknown;
  /** What the codec made of it. */
  readonly fields: RawReading['metrics'];
}

/**
 * Proto3 JSON omits zero: in a session, a frame without a counter is the first one. Without the session (ChirpStack
 * before 3.11) the counter must be there. The content belongs to it: the counter of a device with a fixed session (ABP)
 * starts again when the device does.
 */
export function uplinkOf({ session, counter, port, frame, fields }: Frame): { uplink?: string } {
  const name = typeof session === 'string' ? session : '';
  const number = name === '' ? counter : (counter ?? 0);
  if (!Number.isInteger(number)) return {};
  const content = typeof frame === 'string' && frame !== '' ? frame : JSON.stringify(fields);
  return { uplink: `${name}:${number as number}:${Number(port ?? 0)}:${content}` };
}

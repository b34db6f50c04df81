import type { Rejection } from '../../domain/index.ts';
import { isObject, type RawReading } from './format.ts';

const MOST_DEPTH = 16;
const MOST_FIELDS = 1_024;
const MOST_NAME = 256;

/** The leaves of a nested object as fields of one reading. */
interface Flat {
  readonly metrics: RawReading['metrics'];
  readonly paths: Readonly<Record<string, string>>;
  readonly rejections: readonly Rejection[];
}

/**
 * Flattens a nested object. Field names are dotted paths (`air.temperature`; items of arrays by index:
 * `probes.0.level`).
 * Of two leaves with the same name the second is refused. Leaves deeper than 16 levels or past 1,024 fields are refused
 * too.
 */
export function flatten(object: Record<string, unknown>, root: string): Flat {
  const walk = new Walk();
  walk.container(object, '', root, 1);
  return walk;
}

class Walk implements Flat {
  readonly metrics: Record<string, unknown> = Object.create(null);
  readonly paths: Record<string, string> = Object.create(null);
  readonly rejections: Rejection[] = [];
  #fields = 0;

  container(value: Record<string, unknown> | readonly unknown[], name: string, path: string, depth: number): void {
    if (depth > MOST_DEPTH) {
      this.#count(path, `nested deeper than ${MOST_DEPTH} levels`);
      return;
    }
    const isList = Array.isArray(value);
    for (const [key, one] of Object.entries(value)) {
      if (this.#fields > MOST_FIELDS) return;
      const at = isList ? `[${key}]` : memberOf(key);
      this.#member(one, name === '' ? key : `${name}.${key}`, path + at, depth);
    }
  }

  #member(value: unknown, name: string, path: string, depth: number): void {
    if (name.length > MOST_NAME) {
      this.#count(path.slice(0, MOST_NAME), `the name is longer than ${MOST_NAME} characters`);
    } else if (Array.isArray(value) || isObject(value)) this.container(value, name, path, depth + 1);
    else this.#leaf(value, name, path);
  }

  #leaf(value: unknown, name: string, path: string): void {
    if (name in this.metrics) {
      this.#count(path, `the field "${name}" is also at ${this.paths[name]}`, 'ambiguous');
    } else if (this.#count(path)) {
      this.metrics[name] = value;
      this.paths[name] = path;
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

function memberOf(key: string): string {
  return /^[A-Za-z_$][\w$-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

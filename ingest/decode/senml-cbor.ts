import { decodeFirst, type TagDecoder, type Token, Tokenizer, Type } from 'cborg';
import type { Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, kindOf, nulsBehind } from './format.ts';
import { packed } from './looks-like.ts';
import { resolvePack } from './senml-pack.ts';

/** SenML CBOR (`devices/{id}/senml-cbor`), RFC 8428 §6: the records of SenML JSON with integer labels. */
export const senmlCbor: Format = { name: 'senml-cbor', decode };

/** RFC 8428 §6, table 4. The table is final: extensions have text labels. */
const CBOR_LABELS = new Map<unknown, string>([
  [-1, 'bver'],
  [-2, 'bn'],
  [-3, 'bt'],
  [-4, 'bu'],
  [-5, 'bv'],
  [-6, 'bs'],
  [0, 'n'],
  [1, 'u'],
  [2, 'v'],
  [3, 'vs'],
  [4, 'vb'],
  [5, 's'],
  [6, 't'],
  [7, 'ut'],
  [8, 'vd'],
]);

const MOST_DEPTH = 16;

function decode(payload: Buffer, receivedAt: number): Decoded | Rejection {
  const parsed = parse(payload);
  if ('reason' in parsed) return parsed;
  if (!Array.isArray(parsed.value)) return resolvePack(parsed.value, receivedAt);
  const pack = recordsOf(parsed.value);
  const decoded = 'reason' in pack ? pack : resolvePack(pack, receivedAt);
  if ('reason' in decoded || parsed.faults.length === 0) return decoded;
  return { ...decoded, rejections: [...parsed.faults, ...decoded.rejections] };
}

function parse(payload: Buffer): { value: unknown; faults: readonly Rejection[] } | Rejection {
  const faults: Rejection[] = [];
  try {
    return { value: cborIn(payload, faults, TAGS), faults };
  } catch (error) {
    const why = (error as Error).message.replace(/^CBOR decode error: /, '');
    const kind = packed(payload);
    return {
      reason: 'malformed',
      path: '$',
      detail: `not CBOR: ${why}${kind === null ? '' : `; it looks like ${kind}`}`,
    };
  }
}

/** Returns the value of a payload, with maps for objects. NUL bytes behind it are passed over, which is said. */
export function cborIn(payload: Buffer, faults: Rejection[], tags: Record<number, TagDecoder> = {}): unknown {
  const tokenizer = new BoundedTokenizer(payload, { allowBigInt: true });
  const [value, rest] = decodeFirst(payload, { useMaps: true, rejectDuplicateMapKeys: true, tags, tokenizer });
  if (rest.some((byte) => byte !== 0)) throw new Error('there is more behind its first item');
  if (rest.length > 0) faults.push(nulsBehind(rest.length, '$'));
  return value;
}

/**
 * Limits the depth: cborg recurses for each level, and a deep message would overflow the stack at an unpredictable
 * depth.
 */
class BoundedTokenizer extends Tokenizer {
  /** The number of items that each open array, map or tag still needs. */
  readonly #open: number[] = [];

  override next(): Token {
    const token = super.next();
    if (Type.equals(token.type, Type.break)) this.#open.pop();
    else this.#open.push((this.#open.pop() ?? 1) - 1);
    if (Type.equals(token.type, Type.array)) this.#open.push(token.value);
    else if (Type.equals(token.type, Type.map)) this.#open.push(token.value * 2);
    else if (Type.equals(token.type, Type.tag)) this.#open.push(1);
    if (this.#open.length > MOST_DEPTH) throw new Error(`nested deeper than ${MOST_DEPTH} levels`);
    while (this.#open.at(-1) === 0) this.#open.pop();
    return token;
  }
}

/**
 * A decimal fraction (tag 4) is a number (§6). The meaning of other tags is not known; it matters in a known field
 * only.
 */
const TAGS: Record<number, TagDecoder> = new Proxy(
  {},
  {
    get: (_, tag): TagDecoder => {
      return (content) => (tag === '4' ? fractionOf(content()) : { tag: String(tag), content: content() });
    },
  },
);

/**
 * RFC 8949 §3.4.4: [exponent, mantissa], to the base ten. Written as text and parsed, it becomes the nearest double.
 */
function fractionOf(content: unknown): unknown {
  if (!Array.isArray(content) || content.length !== 2 || !content.every(isInteger)) return { tag: '4', content };
  const [exponent, mantissa] = content;
  return Number(`${mantissa}e${exponent}`);
}

function isInteger(value: unknown): boolean {
  return typeof value === 'bigint' || Number.isInteger(value);
}

/**
 * Returns the records with the labels of SenML JSON, which the resolver expects; a rejection where a label is invalid.
 */
function recordsOf(items: readonly unknown[]): unknown[] | Rejection {
  const records: unknown[] = [];
  for (const [i, item] of items.entries()) {
    if (!(item instanceof Map)) records.push(item);
    else {
      const record: Record<string, unknown> = Object.create(null);
      for (const [key, value] of item) {
        const fault = labelFault(key, value);
        if (fault !== null) return { ...fault, path: `$[${i}]` };
        record[CBOR_LABELS.get(key) ?? key] = typeof value === 'bigint' ? Number(value) : value;
      }
      records.push(record);
    }
  }
  return records;
}

function labelFault(key: unknown, value: unknown): Omit<Rejection, 'path'> | null {
  // cborg returns a symbol where a map ends after a label.
  if (typeof value === 'symbol') return { reason: 'malformed', detail: 'not CBOR: a map ends behind a label' };
  if (CBOR_LABELS.has(key)) return null;
  if (typeof key !== 'string') {
    const found = typeof key === 'number' ? String(key) : kindOf(key);
    return { reason: 'wrong-shape', detail: `${found} is no label; integer labels are -6 to 8 (RFC 8428 §6)` };
  }
  for (const [integer, label] of CBOR_LABELS) {
    if (label === key)
      return { reason: 'wrong-shape', detail: `the label "${key}" is written ${integer} in CBOR (RFC 8428 §6)` };
  }
  return null;
}

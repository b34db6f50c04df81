import { parseTimestamp } from '../times.ts';

/** What a number that is a time counts. */
export const PRECISIONS = ['s', 'ms', 'us', 'ns'] as const;
export type Precision = (typeof PRECISIONS)[number];

const PER_MS: Readonly<Record<Precision, number>> = { s: 0.001, ms: 1, us: 1_000, ns: 1_000_000 };
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const POWERS = Array.from({ length: 16 }, (_, n) => 10 ** n);
const [ZERO, NINE, POINT, MINUS] = [0x30, 0x39, 0x2e, 0x2d];
/** Whole numbers of so many digits are exact; so is their quotient by a power of ten, correctly rounded. */
const EXACT_DIGITS = 15;

/** Returns the number that a part of a text is; NaN where it is none. `Number` takes '' and '0x1', and more time. */
export function numberIn(text: string, from: number, to: number): number {
  const negative = text.charCodeAt(from) === MINUS;
  let [whole, digits, decimals] = [0, 0, -1];
  for (let i = negative ? from + 1 : from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code >= ZERO && code <= NINE) {
      whole = whole * 10 + (code - ZERO);
      digits++;
      if (decimals !== -1) decimals++;
    } else if (code === POINT && decimals === -1 && digits > 0) decimals = 0;
    else return slowly(text.slice(from, to));
  }
  if (digits === 0 || digits > EXACT_DIGITS) return slowly(text.slice(from, to));
  const value = decimals > 0 ? whole / POWERS[decimals]! : whole;
  return negative ? -value : value;
}

function slowly(text: string): number {
  const trimmed = text.trim();
  return NUMBER.test(trimmed) ? Number(trimmed) : Number.NaN;
}

const WHOLE = /^-?\d{1,19}$/;
const PLAIN_LENGTH = '2026-01-31T12:00:00Z'.length;
const MILLIS_LENGTH = '2026-01-31T12:00:00.000Z'.length;

/** Reads times: ISO 8601 with a zone, or numbers of a precision. */
export class TimeReader {
  readonly #perMs: number;
  #day = '';
  #dayMs = 0;

  constructor(precision: Precision) {
    this.#perMs = PER_MS[precision];
  }

  /** Returns epoch ms; NaN where the text is no time. */
  read(text: string, from: number, to: number): number {
    const length = to - from;
    const isIso = (length === PLAIN_LENGTH || length === MILLIS_LENGTH) && text.charCodeAt(from + 10) === 0x54;
    if (isIso && text.charCodeAt(to - 1) === 0x5a) {
      const ms = this.#utc(text, from, length === MILLIS_LENGTH);
      if (!Number.isNaN(ms)) return ms;
    }
    const part = text.slice(from, to).trim();
    if (!WHOLE.test(part)) return parseTimestamp(part);
    // A number of nanoseconds has more digits than a double; the last ones are none of milliseconds.
    if (this.#perMs === PER_MS.ns) return part.length > 6 ? Number(part.slice(0, -6)) : 0;
    return Math.floor(Number(part) / this.#perMs);
  }

  /** `…THH:MM:SSZ`: most rows are of the day of the row before. */
  #utc(text: string, from: number, hasMillis: boolean): number {
    const day = text.slice(from, from + 10);
    if (day !== this.#day) {
      const ms = parseTimestamp(`${day}T00:00:00Z`);
      if (Number.isNaN(ms)) return ms;
      [this.#day, this.#dayMs] = [day, ms];
    }
    const [hours, minutes, seconds] = [two(text, from + 11), two(text, from + 14), two(text, from + 17)];
    const isTime = text.charCodeAt(from + 13) === 0x3a && text.charCodeAt(from + 16) === 0x3a;
    // Anything unusual, such as a leap second, is left to the slower reader.
    if (!isTime || !(hours < 24 && minutes < 60 && seconds < 60)) return Number.NaN;
    const millis = hasMillis ? (text.charCodeAt(from + 19) === POINT ? numberIn(text, from + 20, from + 23) : NaN) : 0;
    return this.#dayMs + ((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis;
  }
}

function two(text: string, at: number): number {
  const [tens, ones] = [text.charCodeAt(at) - ZERO, text.charCodeAt(at + 1) - ZERO];
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

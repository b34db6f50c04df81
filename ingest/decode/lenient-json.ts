/** What stands in the place of a value and is none in JSON: `NaN`, `+5`, nothing at all. It is refused where it is. */
export class Unreadable {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** A JSON text that was read part by part. */
export interface LenientJson {
  readonly value: unknown;
  /** How many values of it are unreadable. */
  readonly unreadable: number;
  /** Paths of keys that an object has more than once with different values; the last value counts. */
  readonly repeated: readonly string[];
}

const MOST_DEPTH = 64;
/** Further repeated keys are not listed: each has a path of its own, and keys may be long. */
const MOST_REPEATED = 64;
const SPACE = /[ \t\r\n]*/y;
/** What may stand in the place of a value: no bracket, quote or colon, by which other parts are found. */
const TOKEN = /[^\s,:"'[\]{}]*/y;
const DECIMALS = /,\d+(?=[ \t\r\n]*[,}])/y;
const LITERAL = /^(-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false|null)$/;

/**
 * Reads an object or array in which single values are no JSON (RFC 8259), and finds repeated keys. Returns null where
 * more is wrong than single values, and for what is nested deeper than 64 levels.
 */
export function readLeniently(text: string, root: string): LenientJson | null {
  try {
    return new Reader(text, root).read();
  } catch (error) {
    if (error instanceof Lost) return null;
    throw error;
  }
}

/** Thrown where the structure cannot be followed. */
class Lost extends Error {}

class Reader implements LenientJson {
  value: unknown;
  unreadable = 0;
  readonly repeated: string[] = [];
  readonly #text: string;
  /** The path of the current value, in parts. */
  readonly #path: string[];
  #at = 0;

  constructor(text: string, root: string) {
    this.#text = text;
    this.#path = [root];
  }

  read(): this {
    const first = this.#next();
    if (first !== '{' && first !== '[') throw new Lost();
    this.value = this.#read();
    if (this.#next() !== '') throw new Lost();
    return this;
  }

  #read(): unknown {
    const first = this.#next();
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    return first === '"' ? this.#string() : this.#literal();
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#open();
    while (this.#next() !== '}') {
      const key = this.#next() === '"' ? this.#string() : null;
      if (typeof key !== 'string') throw new Lost();
      this.#take(':');
      this.#path.push(memberOf(key));
      const value = this.#withComma(this.#read());
      const isRepeated = Object.hasOwn(object, key) && !Object.is(object[key], value);
      if (isRepeated && this.repeated.length < MOST_REPEATED) this.repeated.push(this.#path.join(''));
      this.#path.pop();
      // `__proto__` is an ordinary key, as it is for JSON.parse.
      Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
      if (this.#next() === ',') this.#takeBefore('"');
      else if (this.#next() !== '}') throw new Lost();
    }
    this.#at++;
    return object;
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#open();
    while (this.#next() !== ']') {
      this.#path.push(`[${items.length}]`);
      items.push(this.#read());
      this.#path.pop();
      if (this.#next() === ',') this.#at++;
      else if (this.#next() !== ']') throw new Lost();
    }
    this.#at++;
    return items;
  }

  #open(): void {
    if (this.#path.length > MOST_DEPTH) throw new Lost();
    this.#at++;
  }

  /** A text with what a text cannot hold (a control character, an unknown escape) is unreadable. */
  #string(): string | Unreadable {
    const from = this.#at++;
    for (let char = this.#text[this.#at]; char !== '"'; char = this.#text[this.#at]) {
      if (char === undefined) throw new Lost();
      this.#at += char === '\\' ? 2 : 1;
    }
    const text = this.#text.slice(from, ++this.#at);
    try {
      return JSON.parse(text) as string;
    } catch {
      return this.#bad(text);
    }
  }

  #literal(): unknown {
    const token = this.#match(TOKEN);
    // An item of a list that is missing would move those behind it.
    if (token === '' && this.#path.at(-1)!.startsWith('[')) throw new Lost();
    return LITERAL.test(token) ? JSON.parse(token) : this.#bad(token);
  }

  /** `"a": 1,5` in an object: a number with a decimal comma. Where the next key should be there are digits alone. */
  #withComma(value: unknown): unknown {
    const digits = Number.isInteger(value) ? this.#match(DECIMALS) : '';
    return digits === '' ? value : this.#bad(`${value as number}${digits}`);
  }

  #bad(text: string): Unreadable {
    this.unreadable++;
    return new Unreadable(text);
  }

  /** Skips white space. Returns the character behind it; an empty text at the end. */
  #next(): string {
    this.#match(SPACE);
    return this.#text.charAt(this.#at);
  }

  #take(char: string): void {
    if (this.#next() !== char) throw new Lost();
    this.#at++;
  }

  #takeBefore(char: string): void {
    this.#at++;
    if (this.#next() !== char) throw new Lost();
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [''];
    this.#at += found.length;
    return found;
  }
}

/** Returns the part of a JSON path that stands for a member of an object. */
export function memberOf(key: string): string {
  return /^[A-Za-z_$][\w$-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

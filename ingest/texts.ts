import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { DAY_MS } from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';

/** Steps of the table of texts, in the room of intake: each by its code, with the time of a block that had it. */
export const TEXT_STEPS: RoomSchema['steps'] = [
  'create table texts (code integer primary key, text text not null, seen_ms integer not null) strict;',
];

/** Characters of a text. */
export const LONGEST_TEXT = 256;
/** Below it every whole number has fifteen digits: as many as any database of numbers keeps. */
const TEXT_CODES = 1e15;

const MOST_CACHED = 4_096;
const codes = new Map<string, number>();

/**
 * Returns the number that is stored for a text: a hash of it, the same everywhere and for ever. Of a million texts two
 * have the same once in two thousand cities; then the first one is shown for both.
 */
export function codeOfText(text: string): number {
  const known = codes.get(text);
  if (known !== undefined) return known;
  const code = Number(createHash('sha256').update(text).digest().readBigUInt64BE() % BigInt(TEXT_CODES));
  if (codes.size >= MOST_CACHED) codes.clear();
  codes.set(text, code);
  return code;
}

/** Texts by their code. */
export type Texts = ReadonlyMap<number, string>;

/** Keeps the texts that readings have, in the state file. */
export class TextStore {
  readonly #save;
  readonly #prune;
  /** What has no row yet, with the time of its block. */
  readonly #unsaved = new Map<number, { readonly text: string; readonly seenMs: number }>();

  constructor(db: DatabaseSync) {
    this.#save = db.prepare(`
      insert into texts values (?, ?, ?)
      on conflict (code) do update set seen_ms = excluded.seen_ms where excluded.seen_ms >= seen_ms + ${DAY_MS}`);
    this.#prune = db.prepare('delete from texts where seen_ms < ?');
  }

  /** Takes the texts of a block. */
  learn(texts: Texts, seenMs: number): void {
    for (const [code, text] of texts) this.#unsaved.set(code, { text, seenMs });
  }

  /** Writes them, inside a transaction. Call the result after the commit. */
  persist(): () => void {
    const saved = [...this.#unsaved];
    for (const [code, { text, seenMs }] of saved) this.#save.run(code, text, seenMs);
    return () => {
      for (const [code, one] of saved) if (this.#unsaved.get(code) === one) this.#unsaved.delete(code);
    };
  }

  /** Deletes texts that no reading since a time has. A row may say a day less, and readings be a day ahead. */
  prune(beforeMs: number): void {
    this.#prune.run(beforeMs - 2 * DAY_MS);
  }
}

/** Returns the text of a code; null where none is known (any more). */
export type TextOf = (code: number) => string | null;

/** Returns it over any connection to the state file. */
export function createTextReader(db: DatabaseSync): TextOf {
  const one = db.prepare('select text from texts where code = ?');
  return (code) => (one.get(code)?.text as string | undefined) ?? null;
}

import type { DatabaseSync } from 'node:sqlite';

/**
 * SQL of what decoding needs of earlier messages, by the message that said it, and of the number that the next message
 * of a sender should have (ADR 53).
 */
export const PAST_SCHEMA = `
  create table context_past (
    device text not null, name text not null, seq integer not null, position integer not null, said integer not null,
    body text,
    primary key (device, name, seq, position)
  ) strict, without rowid;
  create table context_sequences (device text primary key, next integer not null) strict, without rowid;
`;

/** A message's place in the log: its block, and its own number. */
interface LogPlace {
  readonly seq: number;
  readonly position: number;
}

/** What an earlier message said. */
interface Fact extends LogPlace {
  /** Number of the message when it first came: that of a replay is older than its place. */
  readonly said: number;
  readonly body: unknown;
  readonly bytes: number;
}

type Said = Pick<Fact, 'seq' | 'position' | 'said'>;

/** What one device may have kept, as JSON, and all together. */
const MOST_BYTES = 256 * 1024;
const MOST_BYTES_OF_ALL = 256 * 1024 ** 2;
const MOST_FACTS = 512;
/** Beside its body, bytes. */
const FACT_BYTES = 128;

/** The facts of one device by their names: the versions of each in the order of the log. */
interface Line {
  readonly facts: Map<string, Fact[]>;
  /** Of the newest version of each that is not forgotten. */
  bytes: number;
  count: number;
}

/**
 * What decoding needs of earlier messages (births, discoveries), as of any message. It is learned when a block is read
 * for the first time; a block that is read again finds what was known at its place. Bounded for each device.
 */
export class PastFacts {
  readonly #lines = new Map<string, Line>();
  readonly #several = new Set<Fact[]>();
  readonly #next = new Map<string, number>();
  readonly #moved = new Set<string>();
  readonly #unsaved: (() => void)[] = [];
  readonly #sql: ReturnType<typeof statementsOf>;
  #bytes = 0;

  constructor(db: DatabaseSync) {
    this.#sql = statementsOf(db);
    for (const { device, name, seq, position, said, body } of this.#sql.all.all()) {
      const at = { seq: Number(seq), position: Number(position), said: Number(said) };
      this.#add(String(device), String(name), at, body === null ? null : String(body));
    }
    for (const { device, next } of this.#sql.sequences.all()) this.#next.set(String(device), Number(next));
  }

  /** Returns what was known at a place, what is said there included; null: nothing. */
  recall(device: string, name: string, at: LogPlace): Fact | null {
    const versions = this.#lines.get(device)?.facts.get(name);
    const fact = versions?.findLast((one) => !isAfter(one, at));
    return fact === undefined || fact.body === null ? null : fact;
  }

  /**
   * Keeps what a message says, null to forget it. Returns false where it is more than a device may have kept. Where the
   * block was read before, nothing changes, and the result is that of the first time.
   */
  learn(device: string, name: string, body: unknown, at: Said, fresh: boolean): boolean {
    const text = body === null ? null : JSON.stringify(body);
    if (!fresh) {
      const versions = this.#lines.get(device)?.facts.get(name) ?? [];
      return text === null || versions.some(({ seq, position }) => seq === at.seq && position === at.position);
    }
    if (!this.#hasRoom(device, name, text)) return false;
    this.#add(device, name, at, text);
    this.#unsaved.push(() => this.#sql.save.run(device, name, at.seq, at.position, at.said, text));
    return true;
  }

  /**
   * Counts the messages of a sender, whose numbers go from 0 to 255. Returns how many are missing before this one; the
   * same number again is a repetition. To be called for fresh blocks only.
   */
  count(device: string, number: number, restarts: boolean): number {
    const expected = this.#next.get(device);
    if (expected !== undefined && !restarts && number === (expected + 255) % 256) return 0;
    this.#next.set(device, (number + 1) % 256);
    this.#moved.add(device);
    return expected === undefined || restarts ? 0 : (number - expected + 256) % 256;
  }

  /** The device was revoked at a block: another one of its name begins anew. */
  forget(device: string, seq: number): void {
    for (const name of this.#lines.get(device)?.facts.keys() ?? [])
      this.learn(device, name, null, { seq, position: 0, said: 0 }, true);
    if (!this.#next.delete(device)) return;
    this.#unsaved.push(() => this.#sql.dropSequence.run(device));
  }

  /** Writes what was learned, inside a transaction. Call the result after the commit, or it is written again. */
  persist(): () => void {
    const { length } = this.#unsaved;
    for (const save of this.#unsaved) save();
    const moved = [...this.#moved];
    for (const device of moved) {
      const next = this.#next.get(device);
      if (next !== undefined) this.#sql.saveSequence.run(device, next);
    }
    return () => {
      this.#unsaved.splice(0, length);
      for (const device of moved) this.#moved.delete(device);
    };
  }

  /** Forgets, inside a transaction, the versions that others replaced up to a block. */
  prune(settled: number): void {
    for (const [device, { facts }] of this.#lines) {
      for (const [name, versions] of facts) {
        if (!this.#several.has(versions) && versions[0]!.body !== null) continue;
        this.#pruneFact(device, name, versions, settled);
        if (versions.length === 0) facts.delete(name);
      }
      if (facts.size === 0) this.#lines.delete(device);
    }
  }

  #pruneFact(device: string, name: string, versions: Fact[], settled: number): void {
    const newest = versions.findLastIndex(({ seq }) => seq <= settled);
    if (newest < 0) return;
    // What was forgotten needs no row that says so.
    const gone = versions.splice(0, versions[newest]!.body === null ? newest + 1 : newest);
    for (const { seq, position } of gone) this.#sql.drop.run(device, name, seq, position);
    if (versions.length < 2) this.#several.delete(versions);
  }

  #hasRoom(device: string, name: string, text: string | null): boolean {
    if (text === null) return true;
    const line = this.#lines.get(device);
    const before = line?.facts.get(name)?.at(-1);
    const more = text.length + FACT_BYTES - (before?.bytes ?? 0);
    if ((before?.body ?? null) === null && (line?.count ?? 0) >= MOST_FACTS) return false;
    return (line?.bytes ?? 0) + more <= MOST_BYTES && this.#bytes + more <= MOST_BYTES_OF_ALL;
  }

  #add(device: string, name: string, at: Said, text: string | null): void {
    let line = this.#lines.get(device);
    if (line === undefined) {
      line = { facts: new Map(), bytes: 0, count: 0 };
      this.#lines.set(device, line);
    }
    let versions = line.facts.get(name);
    if (versions === undefined) {
      versions = [];
      line.facts.set(name, versions);
    }
    const bytes = text === null ? 0 : text.length + FACT_BYTES;
    const before = versions.at(-1);
    const more = bytes - (before?.bytes ?? 0);
    line.bytes += more;
    line.count += Number(text !== null) - Number((before?.body ?? null) !== null);
    this.#bytes += more;
    const body: unknown = text === null ? null : JSON.parse(text);
    if (versions.push({ ...at, body, bytes }) > 1) this.#several.add(versions);
  }
}

/** Whether what was said at a place is not known yet at another one. */
function isAfter(one: LogPlace, at: LogPlace): boolean {
  return one.seq > at.seq || (one.seq === at.seq && one.position > at.position);
}

function statementsOf(db: DatabaseSync) {
  return {
    all: db.prepare('select * from context_past order by device, name, seq, position'),
    sequences: db.prepare('select * from context_sequences'),
    save: db.prepare('insert or replace into context_past values (?, ?, ?, ?, ?, ?)'),
    drop: db.prepare('delete from context_past where device = ? and name = ? and seq = ? and position = ?'),
    saveSequence: db.prepare('insert or replace into context_sequences values (?, ?)'),
    dropSequence: db.prepare('delete from context_sequences where device = ?'),
  };
}

import { createHash, type Hash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';

/** SQL of the checksum of what was decided, and of its marks. A state from before begins to count where it is. */
export const CHECKSUM_STEP = `
  create table rules_checksum (
    one integer primary key check (one = 1), since integer not null, seq integer not null, marked integer not null,
    hash text not null
  ) strict;
  insert into rules_checksum select 1, n, n, n, '' from (select coalesce((select seq from rules_cursor), 0) as n);
  create table rules_marks (seq integer primary key, since integer not null, hash text not null) strict;
`;

/** A mark is at every block whose number is a multiple of this: so two nodes compare the same place. */
export const MARK_BLOCKS = 1_000;
/** Marks that are kept: three days of an idle log. */
const MARKS = 256;

/** The checksum of everything that was decided up to a block. */
export interface Mark {
  readonly seq: number;
  /** SHA-256, hex; empty where nothing was decided yet. */
  readonly hash: string;
}

/** The checksum of a state: only those that count from the same block can be compared. */
export interface ChecksumReport {
  /** What was decided up to this block is not in it; 0: everything is. */
  readonly since: number;
  /** The newest block that decided something. */
  readonly newest: Mark;
  /** The marks that are kept, the oldest first. */
  readonly marks: readonly Mark[];
}

interface Row extends Mark {
  readonly since: number;
  /** Up to this block all marks are written. */
  readonly marked: number;
}

/**
 * A running hash of what the engine decides, in the transaction that writes it: the hash before, the number of the
 * block, and each decision in its order. It keeps nothing in memory between two transactions. Blocks that decide
 * nothing are not in it, so it does not depend on how blocks are grouped into transactions.
 */
export class Checksum {
  readonly #sql: ReturnType<typeof statementsOf>;
  #row: Row = { since: 0, seq: 0, marked: 0, hash: '' };
  #block = 0;
  #open: Hash | null = null;

  /** Over a file that has `RULES_SCHEMA`. */
  constructor(db: DatabaseSync) {
    this.#sql = statementsOf(db);
  }

  /** Begins a transaction: what one before it left is forgotten. */
  begin(): void {
    this.#row = rowOf(this.#sql.read.get());
    this.#open = null;
  }

  /** What is added from here on is of this block. Blocks come in order. */
  at(seq: number): void {
    if (seq === this.#block && this.#open !== null) return;
    this.#close();
    this.#mark(seq - 1);
    this.#block = seq;
  }

  /** Adds a decision of the block: the JSON that is written, or that says all of it. */
  add(decision: string): void {
    this.#open ??= createHash('sha256').update(`${this.#row.hash} ${this.#block}`);
    this.#open.update(`\n${decision}`);
  }

  /** Writes it, as the last of the transaction that moves the cursor to this block. */
  save(cursor: number): void {
    const before = this.#sql.read.get();
    this.#close();
    this.#mark(cursor);
    const { since, seq, marked, hash } = this.#row;
    if (hash !== before?.hash || marked !== before.marked) this.#sql.save.run(since, seq, marked, hash);
  }

  #close(): void {
    if (this.#open === null) return;
    this.#row = { ...this.#row, seq: this.#block, hash: this.#open.digest('hex') };
    this.#open = null;
  }

  #mark(upTo: number): void {
    const { since, marked, hash } = this.#row;
    const first = (Math.floor(marked / MARK_BLOCKS) + 1) * MARK_BLOCKS;
    if (first > upTo) return;
    const last = Math.floor(upTo / MARK_BLOCKS) * MARK_BLOCKS;
    for (let seq = first; seq <= last; seq += MARK_BLOCKS) this.#sql.mark.run(seq, since, hash);
    this.#sql.forget.run(last - MARKS * MARK_BLOCKS);
    this.#row = { ...this.#row, marked: last };
  }
}

function statementsOf(db: DatabaseSync) {
  return {
    read: db.prepare('select since, seq, marked, hash from rules_checksum'),
    save: db.prepare('insert or replace into rules_checksum values (1, ?, ?, ?, ?)'),
    mark: db.prepare('insert or replace into rules_marks values (?, ?, ?)'),
    forget: db.prepare('delete from rules_marks where seq <= ?'),
  };
}

function rowOf(row: Readonly<Record<string, unknown>> | undefined): Row {
  const { since, seq, marked, hash } = row ?? { since: 0, seq: 0, marked: 0, hash: '' };
  return { since: Number(since), seq: Number(seq), marked: Number(marked), hash: String(hash) };
}

/** Reads the checksum of a state file, over any connection to it. */
export function createChecksumReader(db: DatabaseSync): () => ChecksumReport {
  const { read } = statementsOf(db);
  const marks = db.prepare('select seq, hash from rules_marks where since = ? order by seq');
  return () => {
    const { since, seq, hash } = rowOf(read.get());
    const kept = marks.all(since).map((row) => ({ seq: Number(row.seq), hash: String(row.hash) }));
    return { since, newest: { seq, hash }, marks: kept };
  };
}

/** What a node says of its decisions. */
export interface NodeMarks extends Pick<ChecksumReport, 'since' | 'marks'> {
  readonly node: string;
}

/** The first mark at which nodes differ. */
export interface Difference {
  readonly seq: number;
  /** The names of the nodes by their hash there, the most first. */
  readonly groups: readonly { readonly hash: string; readonly nodes: readonly string[] }[];
  /** Nodes whose hash is not that of most; empty where no hash has more nodes than every other. */
  readonly minority: readonly string[];
}

/**
 * Compares what nodes decided, at places that this node and another one have a mark of, counted from the same block.
 * Returns the first place at which a node differs from this one; null where none does.
 */
export function compareMarks(mine: NodeMarks, others: readonly NodeMarks[]): Difference | null {
  const known = others.filter(({ node, since }) => node !== mine.node && since === mine.since);
  const hashes = known.map(({ node, marks }) => ({ node, at: new Map(marks.map(({ seq, hash }) => [seq, hash])) }));
  for (const { seq, hash } of mine.marks) {
    const there = hashes.flatMap(({ node, at }) => (at.has(seq) ? [{ node, hash: at.get(seq)! }] : []));
    if (there.some((one) => one.hash !== hash)) return differenceAt(seq, [{ node: mine.node, hash }, ...there]);
  }
  return null;
}

function differenceAt(seq: number, nodes: readonly { readonly node: string; readonly hash: string }[]): Difference {
  const groups = [...Map.groupBy(nodes, ({ hash }) => hash)]
    .map(([hash, of]) => ({ hash, nodes: of.map(({ node }) => node).sort() }))
    .sort((a, b) => b.nodes.length - a.nodes.length || (a.hash < b.hash ? -1 : 1));
  const isClear = groups[0]!.nodes.length > groups[1]!.nodes.length;
  return { seq, groups, minority: isClear ? groups.slice(1).flatMap((group) => group.nodes) : [] };
}

/** Returns why a node must not serve any more, as a sentence; null where it may go on. */
export function whyToStop(node: string, difference: Difference | null): string | null {
  if (difference === null || !difference.minority.includes(node)) return null;
  const { seq, groups } = difference;
  const most = groups[0]!.nodes.join(', ');
  return (
    `this node decided something else than ${most} between blocks ${seq - MARK_BLOCKS + 1} and ${seq} of the log: ` +
    'it stops serving; put its data folder aside and start it again, so that it takes a snapshot of the others'
  );
}

import type { DatabaseSync } from 'node:sqlite';
import type { SessionsControl } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';

/** Which node has a client, or had it last. */
export interface Holder {
  readonly node: string;
  /** Whether it is connected there. */
  online: boolean;
  /** Whether it is a device, which has a status. */
  device: boolean;
}

interface Node {
  run: string;
  /** Number of its newest record in this run. */
  n: number;
  /** `Holders.aliveMs` at its newest record. */
  aliveMs: number;
  gone: boolean;
}

/** A node is gone whose last record is so much older than those of the others, ms. */
export const GONE_MS = 10_000;
/** What passes between two records counts so much at the most: while nobody can append, nobody is gone. */
const MOST_BETWEEN_MS = 4_000;

/**
 * Which node has which client, and which nodes are there: a function of the `sessions` records, the same on every node
 * that has read up to the same record. It is in the file of sessions, written with what the records change there.
 */
export class Holders {
  readonly me: string;
  readonly #file: SessionsFile;
  readonly #sql;
  readonly #byId = new Map<string, Holder>();
  readonly #nodes = new Map<string, Node>();
  /** The record up to which this is. */
  #seq = 0;
  /** When the newest record came, steady ms, and the time with records up to then. */
  #atMs = 0;
  #aliveMs = 0;
  /** Whether the sessions that this folder had before it was of a cluster are in the log. */
  #adopted = false;
  /** Whether the file is that of another node: a copy of it began this one. */
  readonly isOfAnother: boolean;

  constructor(file: SessionsFile, me: string) {
    this.me = me;
    this.#file = file;
    this.#sql = statementsOf(file);
    const followed = this.#sql.followed.get();
    this.isOfAnother = followed !== undefined && followed.node !== me;
    if (followed === undefined) return;
    this.#seq = Number(followed.seq);
    this.#atMs = Number(followed.at_ms);
    this.#aliveMs = Number(followed.alive_ms);
    this.#adopted = Boolean(followed.adopted);
    for (const { id, node, online, device } of this.#sql.holders.iterate())
      this.#byId.set(String(id), { node: String(node), online: Boolean(online), device: Boolean(device) });
    for (const { node, run, n, alive_ms, gone } of this.#sql.nodes.iterate()) {
      const known = { run: String(run), n: Number(n), aliveMs: Number(alive_ms), gone: Boolean(gone) };
      this.#nodes.set(String(node), known);
    }
    if (this.isOfAnother) this.followed(this.#seq);
  }

  get seq(): number {
    return this.#seq;
  }

  get adopted(): boolean {
    return this.#adopted;
  }

  get(id: string): Holder | undefined {
    return this.#byId.get(id);
  }

  /** Whether the session of this name is this node's. */
  isHere(id: string): boolean {
    return this.#byId.get(id)?.node === this.me;
  }

  /** The devices that are connected to some node. */
  *online(): Generator<string> {
    for (const [id, { online, device }] of this.#byId) if (online && device) yield id;
  }

  /**
   * Whether this node is the one to end a session whose client does not come back: the last one that had it; where that
   * is gone, the first of the others.
   */
  endsHere(id: string): boolean {
    const there = [...this.#nodes].filter(([, { gone }]) => !gone).map(([node]) => node);
    const last = this.#byId.get(id)?.node;
    return (last !== undefined && there.includes(last) ? last : there.toSorted()[0]) === this.me;
  }

  /**
   * Takes the head of a record; null where it came before. Returns the clients whose connections have ended with it:
   * those of a run before, and of nodes that are gone.
   */
  take(
    { node, run, n }: Pick<SessionsControl, 'node' | 'run' | 'n'>,
    atMs: number,
  ): { readonly ended: string[] } | null {
    const before = this.#nodes.get(node);
    if (before !== undefined && (before.run === run ? n <= before.n : n > 0)) return null;
    this.#aliveMs += Math.max(0, Math.min(atMs - this.#atMs, MOST_BETWEEN_MS));
    this.#atMs = Math.max(this.#atMs, atMs);
    const ended = before === undefined || before.run === run ? [] : this.#onlineAt(node);
    this.#put(node, { run, n, aliveMs: this.#aliveMs, gone: false });
    for (const [other, known] of this.#nodes) {
      if (known.gone || this.#aliveMs - known.aliveMs <= GONE_MS) continue;
      this.#put(other, { ...known, gone: true });
      ended.push(...this.#onlineAt(other));
    }
    return { ended };
  }

  /** Whether this node is gone: the others have said so. */
  isGone(): boolean {
    return this.#nodes.get(this.me)?.gone ?? false;
  }

  set(id: string, holder: Holder): void {
    this.#byId.set(id, holder);
    this.#file.write(this.#sql.setHolder, id, holder.node, Number(holder.online), Number(holder.device));
  }

  delete(id: string): void {
    if (this.#byId.delete(id)) this.#file.write(this.#sql.deleteHolder, id);
  }

  /** Notes how far the log was followed. */
  followed(seq: number, adopted = this.#adopted): void {
    this.#seq = seq;
    this.#adopted = adopted;
    this.#file.write(this.#sql.setFollowed, this.me, seq, this.#atMs, this.#aliveMs, Number(adopted));
  }

  #onlineAt(node: string): string[] {
    return [...this.#byId].filter(([, holder]) => holder.online && holder.node === node).map(([id]) => id);
  }

  #put(node: string, known: Node): void {
    this.#nodes.set(node, known);
    const { run, n, aliveMs, gone } = known;
    this.#file.write(this.#sql.setNode, node, run, n, aliveMs, Number(gone));
  }
}

/** Returns the block of the log up to which a file of sessions is; null where that is not of a cluster. */
export function followedTo(db: DatabaseSync): number | null {
  const row = db.prepare('select seq from followed').get();
  return row === undefined ? null : Number(row.seq);
}

function statementsOf({ db }: SessionsFile) {
  return {
    followed: db.prepare('select * from followed'),
    setFollowed: db.prepare('insert or replace into followed values (1, ?, ?, ?, ?, ?)'),
    holders: db.prepare('select * from holders'),
    setHolder: db.prepare('insert or replace into holders values (?, ?, ?, ?)'),
    deleteHolder: db.prepare('delete from holders where id = ?'),
    nodes: db.prepare('select * from nodes'),
    setNode: db.prepare('insert or replace into nodes values (?, ?, ?, ?, ?)'),
  };
}

import { createHash } from 'node:crypto';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { type ActionsControl, type AuditHead, isoOf, type Page, requesterId, type ShapeOf } from '../domain/index.ts';
import { conditionsOf, positionOf } from '../store/index.ts';
import { actionOf, type Command } from './command.ts';

/** One entry of the audit trail. Times are ISO 8601 UTC. */
export const AuditEntrySchema = z
  .object({
    n: z.int().describe('1, 2, 3 … without gaps, but for entries that have expired'),
    at: z.iso.datetime().describe("The log's time"),
    place: z.string().describe('Block of the log, and number within it'),
    actor: z.string().describe('Id of the key, `person:<id>`, or `sign-in` for whoever was not let in'),
    role: z.string(),
    department: z.string().nullable(),
    address: z.string().nullable().describe('Where the request came from'),
    action: z.string().describe('Such as `ticket.acknowledge`'),
    target: z.string().describe('What it was done to, such as `ticket t-1-0`'),
    result: z
      .string()
      .describe(
        '`done`, `requested` (allowed, and tried), `repeated` (it got the first result), or why it was refused',
      ),
    detail: z.string().describe('The refusal in words; empty where it was done'),
    hash: z.string().describe('SHA-256 over this entry and the hash of the one before, hex'),
  })
  .meta({ id: 'AuditEntry', description: 'Who did what, on what, with which result, from where, and when' });
export type AuditEntry = ShapeOf<typeof AuditEntrySchema>;

/** What an entry is made of. */
export type Audited = Omit<AuditEntry, 'n' | 'at' | 'hash'> & { readonly atMs: number };

/** Which entries are asked for. Times in epoch ms. */
export interface AuditQuery {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly result?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly limit: number;
  readonly after: string | null;
}

const FOREVER = Number.MAX_SAFE_INTEGER;
/** Before the first entry. */
const NOTHING = Buffer.alloc(32);

/** Returns the writer of the trail. The caller holds the transaction. */
export function createAuditWriter(db: DatabaseSync) {
  const newest = db.prepare('select n, hash from audit order by n desc limit 1');
  const add = db.prepare('insert into audit values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const oldest = db.prepare(
    'select n from audit where at_ms < ? and n < (select max(n) from audit) order by n limit ?',
  );
  const drop = db.prepare('delete from audit where n <= ?');
  return {
    add(entry: Audited): void {
      const last = newest.get();
      const n = Number(last?.n ?? 0) + 1;
      const { atMs, place, actor, role, department, address, action, target, result, detail } = entry;
      const hash = hashOf((last?.hash as Uint8Array | undefined) ?? NOTHING, n, entry);
      add.run(n, atMs, place, actor, role, department, address, action, target, result, detail, hash);
    },
    /** Deletes the oldest entries from before a moment, at most `most`; the newest stays. Returns how many. */
    expire(beforeMs: number, most: number): number {
      const rows = oldest.all(beforeMs, most);
      return rows.length === 0 ? 0 : Number(drop.run(rows.at(-1)!.n!).changes);
    },
  };
}

/** Reads the trail over any connection to the file. */
export function createAuditReader(db: DatabaseSync) {
  const newest = db.prepare('select n, hash from audit order by n desc limit 1');
  const all = db.prepare('select * from audit where n > ? order by n limit ?');
  const placed = db.prepare('select * from audit where place = ? and n > ?');
  return {
    /** Returns a page, newest first. Throws `invalid` on a bad `after`. */
    page({ limit, after, fromMs = 0, toMs = FOREVER, actor, action, target, result }: AuditQuery): Page<AuditEntry> {
      const { sql, params } = conditionsOf({ actor, action, target, result });
      const select = `select * from audit where n < ? and at_ms >= ? and at_ms < ?${sql} order by n desc limit ?`;
      const first = positionOf(after, Number.MAX_SAFE_INTEGER);
      const rows = db.prepare(select).all(first, fromMs, toMs, ...params, limit + 1);
      const items = rows.slice(0, limit).map(entryOf);
      return { items, next: rows.length > limit ? String(items.at(-1)!.n) : null };
    },
    head(): AuditHead | null {
      const row = newest.get();
      return row === undefined ? null : { n: Number(row.n), hash: hexOf(row.hash) };
    },
    /** Returns the entries after one, in order, at most `limit`. */
    after: (n: number, limit: number): AuditEntry[] => all.all(n, limit).map(entryOf),
    /** Returns the entry of a place in the log, of those after one; null where there is none. */
    at(place: string, n: number): AuditEntry | null {
      const row = placed.get(place, n);
      return row === undefined ? null : entryOf(row);
    },
  };
}

export type AuditReader = ReturnType<typeof createAuditReader>;

/** Where the trail does not fit: the number of the first entry, and why. */
export interface AuditFault {
  readonly n: number;
  readonly why: string;
}

const AT_ONCE = 1_000;

/** What the entry of an action says, as the log has it. */
export interface LoggedAction {
  readonly place: string;
  readonly actor: string;
  readonly action: string;
}

/** Returns what the entries of a block of actions say. */
export function loggedIn(seq: number, { items }: Pick<ActionsControl, 'items'>): LoggedAction[] {
  return items.map(({ actor, command }, item) => {
    return { place: `${seq}-${item}`, actor: requesterId(actor), action: actionOf(command as Command) };
  });
}

/**
 * Checks the whole trail: every entry against its hash, which covers those before it, and the anchors in the log
 * against the entries that they name. `newest`: the newest actions of the log, in order, of which no anchor may name
 * the entries yet. Returns the first entry that does not fit, null where all do. The oldest entry that is kept vouches
 * for those that have expired.
 */
export function verifyAudit(
  reader: AuditReader,
  anchors: Iterable<AuditHead>,
  newest: readonly LoggedAction[] = [],
): AuditFault | null {
  const expected = new Map([...anchors].map(({ n, hash }) => [n, hash]));
  let last: AuditEntry | null = null;
  for (let from = 0; ; ) {
    const some = reader.after(from, AT_ONCE);
    for (const entry of some) {
      const fault = faultIn(entry, last) ?? faultAgainst(entry, expected);
      if (fault !== null) return { n: entry.n, why: fault };
      expected.delete(entry.n);
      last = entry;
    }
    if (some.length < AT_ONCE) break;
    from = some.at(-1)!.n;
  }
  return missing(expected, last?.n ?? 0) ?? faultOfNewest(reader, newest, last?.n ?? 0);
}

/** Compares the actions since the oldest entry that is kept, and that the log has here, with their entries. */
function faultOfNewest(reader: AuditReader, newest: readonly LoggedAction[], head: number): AuditFault | null {
  const from = Math.max(0, head - newest.length);
  const first = newest.findIndex(({ place }) => reader.at(place, from) !== null);
  for (const { place, actor, action } of newest.slice(Math.max(0, first))) {
    const entry = reader.at(place, from);
    if (entry === null) return { n: head + 1, why: `the log has an action at ${place} that is no entry` };
    if (entry.actor !== actor || entry.action !== action)
      return { n: entry.n, why: 'the log has another action at its place' };
  }
  return null;
}

function faultIn(entry: AuditEntry, last: AuditEntry | null): string | null {
  // An entry whose predecessor has expired can be checked by its successor only.
  if (last === null && entry.n > 1) return null;
  if (last !== null && entry.n !== last.n + 1) return `entries ${last.n + 1} to ${entry.n - 1} are missing`;
  const before = last === null ? NOTHING : Buffer.from(last.hash, 'hex');
  const hash = hashOf(before, entry.n, { ...entry, atMs: Date.parse(entry.at) }).toString('hex');
  return hash === entry.hash ? null : 'its hash does not fit its content and the entry before it';
}

function faultAgainst({ n, hash }: AuditEntry, expected: ReadonlyMap<number, string>): string | null {
  const anchor = expected.get(n);
  return anchor === undefined || anchor === hash ? null : 'the log has another hash for it';
}

/** Anchors beyond the newest entry: entries were cut off. */
function missing(expected: ReadonlyMap<number, string>, newest: number): AuditFault | null {
  const beyond = [...expected.keys()].filter((n) => n > newest);
  return beyond.length === 0 ? null : { n: newest + 1, why: `the log names entries up to ${Math.max(...beyond)}` };
}

function hashOf(before: Uint8Array, n: number, entry: Omit<Audited, 'hash'>): Buffer {
  const { atMs, place, actor, role, department, address, action, target, result, detail } = entry;
  const content = [n, atMs, place, actor, role, department, address, action, target, result, detail];
  return createHash('sha256').update(before).update(JSON.stringify(content)).digest();
}

const hexOf = (hash: SQLOutputValue | undefined) => Buffer.from(hash as Uint8Array).toString('hex');

function entryOf(row: Readonly<Record<string, SQLOutputValue>>): AuditEntry {
  const { n, at_ms, place, actor, role, department, address, action, target, result, detail, hash } = row;
  return {
    n: Number(n),
    at: isoOf(Number(at_ms)),
    place: String(place),
    actor: String(actor),
    role: String(role),
    department: department === null ? null : String(department),
    address: address === null ? null : String(address),
    action: String(action),
    target: String(target),
    result: String(result),
    detail: String(detail),
    hash: hexOf(hash),
  };
}

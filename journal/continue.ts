import { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError } from '../domain/index.ts';
import { damageOf, openDatabase, transact } from '../store/index.ts';
import { type BlockRow, faultOf, KINDS } from './blocks.ts';
import { JOURNAL_SCHEMA, PAGE_SIZE } from './store.ts';

/** What a journal holds after `continueJournal`. */
export interface Continued {
  /** The newest block, and when it was received. */
  readonly newest: number;
  readonly atMs: number;
  /** Blocks that were taken from the other journal, and blocks that were deleted because they came later. */
  readonly added: number;
  readonly dropped: number;
}

/** Blocks of one transaction. */
const AT_ONCE = 256;

/**
 * Makes a journal end with the newest block that was received at or before a moment: takes the blocks that it lacks
 * from another journal of the same log (null: there is none), and deletes those that came later. Throws `invalid` where
 * the two are not of one log, where blocks between them are missing, or where the moment is before its first block, and
 * `damaged` where a block that is needed is.
 */
export function continueJournal(path: string, from: string | null, untilMs: number): Continued {
  const db = openDatabase(path, { schemas: [JOURNAL_SCHEMA], pageSize: PAGE_SIZE });
  const source = from === null ? null : new DatabaseSync(from, { readOnly: true });
  try {
    const before = newestOf(db);
    if (source !== null) refuseOther(db, source, { path, from: from! });
    const added = source === null ? 0 : copyAfter(source, db, { path: from!, untilMs, before });
    const until = upTo(db, untilMs);
    if (until === null)
      throw new LamppostError('invalid', `the log begins after ${isoOf(untilMs)}: take an older backup`);
    const dropped = cutAfter(db, until.seq);
    return { newest: until.seq, atMs: until.received_at, added, dropped };
  } finally {
    source?.close();
    db.close();
  }
}

const newestOf = (db: DatabaseSync) =>
  db.prepare('select * from blocks order by seq desc limit 1').get() as BlockRow | undefined;

/** The newest block received at or before a moment: a wall clock that was set back makes times come twice. */
const upTo = (db: DatabaseSync, ms: number) =>
  (db.prepare('select seq, received_at from blocks where received_at <= ? order by seq desc limit 1').get(ms) ??
    null) as Pick<BlockRow, 'seq' | 'received_at'> | null;

/** Throws `invalid` where the other journal is of another log, or begins after this one ends. */
function refuseOther(db: DatabaseSync, source: DatabaseSync, { path, from }: Record<'path' | 'from', string>): void {
  const newest = newestOf(db);
  const oldest = Number(source.prepare('select min(seq) as n from blocks').get()?.n ?? 0);
  if (newest === undefined || oldest === 0) return;
  if (oldest > newest.seq + 1)
    throw new LamppostError(
      'invalid',
      `${from} begins with block ${oldest} and ${path} ends with block ${newest.seq}: ` +
        'name a log that has the blocks between them (that of the next backup), or a newer backup',
    );
  const common = Math.min(newest.seq, newestOf(source)!.seq);
  const one = 'select seq, kind, first, count, received_at, sum from blocks where seq = ?';
  const [here, there] = [db, source].map((each) => JSON.stringify(each.prepare(one).get(common)));
  if (here === there || here === undefined || there === undefined) return;
  throw new LamppostError('invalid', `${from} is not the log of ${path}: block ${common} is another one`);
}

interface Copy {
  /** Of the source, for errors. */
  readonly path: string;
  readonly untilMs: number;
  /** The newest block that there is. */
  readonly before: BlockRow | undefined;
}

/** Appends what comes after the newest block, up to a moment; returns how many blocks. */
function copyAfter(source: DatabaseSync, db: DatabaseSync, { path, untilMs, before }: Copy): number {
  const last = upTo(source, untilMs)?.seq ?? 0;
  const next = source.prepare('select * from blocks where seq > ? and seq <= ? order by seq limit ?');
  const insert = db.prepare(
    'insert into blocks (seq, kind, first, count, received_at, body, steady_at, sum) values (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  let newest = before ?? null;
  let added = 0;
  for (;;) {
    const rows = next.all(newest?.seq ?? 0, last, AT_ONCE) as BlockRow[];
    if (rows.length === 0) return added;
    transact(db, () => {
      for (const row of rows) {
        const fault = faultOf(row, newest);
        if (fault !== null) throw damageOf(path, `block ${row.seq}: ${fault}; the blocks before it are sound`);
        const { seq, kind, first, count, received_at: at, body, steady_at: steady, sum } = row;
        insert.run(seq, kind, first, count, at, body, steady, sum);
        noteReplayed(db, row, 1);
        newest = row;
      }
    });
    added += rows.length;
  }
}

/** Deletes the blocks after one, and brings the heads to it; returns how many blocks. */
function cutAfter(db: DatabaseSync, seq: number): number {
  return transact(db, () => {
    const replays = db.prepare('select kind, count from blocks where seq > ? and kind = ?');
    for (const row of replays.all(seq, KINDS.indexOf('replay'))) noteReplayed(db, row as BlockRow, -1);
    const gone = db.prepare('select 1 from blocks where seq > ? and kind = ? limit 1');
    const lost = HEADS.filter(({ kind }) => gone.get(seq, KINDS.indexOf(kind)) !== undefined);
    const { changes } = db.prepare('delete from blocks where seq > ?').run(seq);
    for (const head of HEADS) setHead(db, head, lost.includes(head));
    return Number(changes);
  });
}

const HEADS = [
  { name: 'city', kind: 'city' },
  { name: 'registry', kind: 'devices' },
] as const;

/** Sets a head to the version that the newest block of its kind names. */
function setHead(db: DatabaseSync, { name, kind }: (typeof HEADS)[number], isLost: boolean): void {
  const newest = db.prepare('select body from blocks where kind = ? order by seq desc limit 1');
  const row = newest.get(KINDS.indexOf(kind));
  // Without one, the next start appends city and devices again.
  if (row === undefined && isLost) db.prepare('delete from heads where name = ?').run(name);
  if (row === undefined) return;
  const { version } = JSON.parse(Buffer.from(row.body as Uint8Array).toString('utf8')) as { version: string | number };
  db.prepare('insert or replace into heads values (?, ?)').run(name, String(version));
}

function noteReplayed(db: DatabaseSync, { kind, count }: Pick<BlockRow, 'kind' | 'count'>, sign: 1 | -1): void {
  if (KINDS[kind] !== 'replay') return;
  db.prepare(
    `insert into heads values ('replayed', ?) on conflict (name) do update set value = value + excluded.value`,
  ).run(String(sign * count));
}

import type { DatabaseSync } from 'node:sqlite';
import type { HistoryProgress, Ledger } from '../domain/index.ts';
import { type JournalReader, walkRecords } from '../journal/index.ts';
import type { RoomSchema } from '../store/index.ts';
import { CLOCKS_STEP, createClockWriter } from './clocks.ts';
import { type DeclaredFormats, formatOf, NO_FORMATS } from './decode/index.ts';
import { createHardwareNames } from './hardware.ts';
import { emptyTally, type Outcome, type Replayed, type Tally } from './outcome.ts';

/** SQL of the ledger: the counts of each device, up to the block `seq` of the cursor. */
export const LEDGER_SCHEMA: RoomSchema = {
  room: 'ledger',
  steps: [
    `
  create table if not exists ledger_cursor (
    one integer primary key check (one = 1), seq integer not null, messages integer not null
  ) strict;
  create table if not exists ledger (
    device text primary key, decoded integer not null, quarantined integer not null,
    stored integer not null, duplicate integer not null, replaced integer not null, refused integer not null
  ) strict, without rowid;
`,
    // Of imports: readings of the past, which no message brought.
    `create table ledger_imported (
      device text primary key, stored integer not null, refused integer not null
    ) strict, without rowid`,
    CLOCKS_STEP,
    // Of a history over the network: the block up to which its readings are on its disk.
    'create table history_confirmed (one integer primary key check (one = 1), seq integer not null) strict',
    // The same as the log says it, where nodes share such a history, and under which lease.
    `create table history_progress (
      one integer primary key check (one = 1), revision integer not null, seq integer not null
    ) strict`,
  ],
};

/** The row of the ledger for messages in damaged blocks that a repair passed over; no device has such an id. */
export const LOST = '(lost)';

/** What the log says of a history that nodes share: up to which block its readings are on its disk. */
export interface SharedProgress {
  /** Null where the log says nothing. */
  confirmed(): number | null;
  /** Takes a record of the log, inside a transaction: not one of a lease older than the newest. */
  take(progress: HistoryProgress): void;
}

/** Returns it over a file that has `LEDGER_SCHEMA`. */
export function createHistoryProgress(db: DatabaseSync): SharedProgress {
  const read = db.prepare('select seq from history_progress');
  const take = db.prepare(`
    insert into history_progress values (1, ?, ?) on conflict (one) do update
      set revision = excluded.revision, seq = max(seq, excluded.seq) where excluded.revision >= revision`);
  return {
    confirmed() {
      const row = read.get();
      return row === undefined ? null : Number(row.seq);
    },
    take: ({ revision, seq }) => void take.run(revision, seq),
  };
}

/** Writes the ledger: it counts the blocks whose readings are in the history. */
export interface LedgerStore {
  /** Returns the number of the newest block that is counted. */
  cursor(): number;
  /** The block up to which a database over the network has readings on its disk; null where that is not known. */
  confirmed(): number | null;
  /** Writes the number that `confirmed` returns. Call it inside a transaction. */
  confirm(seq: number): void;
  /** Counts blocks in order, and the entries that left the quarantine with them. Call it inside a transaction. */
  count(outcomes: readonly Outcome[], replayed: readonly Replayed[]): void;
}

/** Creates the writer of a state file's ledger. */
export function createLedgerStore(db: DatabaseSync): LedgerStore {
  const add = db.prepare(`
    insert into ledger values (?, ?, ?, ?, ?, ?, ?) on conflict (device) do update set
      decoded = decoded + excluded.decoded, quarantined = quarantined + excluded.quarantined,
      stored = stored + excluded.stored, duplicate = duplicate + excluded.duplicate,
      replaced = replaced + excluded.replaced, refused = refused + excluded.refused`);
  const addImported = db.prepare(`
    insert into ledger_imported values (?, ?, ?) on conflict (device) do update set
      stored = stored + excluded.stored, refused = refused + excluded.refused`);
  const move = db.prepare(`
    insert into ledger_cursor values (1, ?, ?) on conflict (one) do update set
      seq = excluded.seq, messages = messages + excluded.messages`);
  // A file of before may be asked for its cursor only.
  let noteClocks: ReturnType<typeof createClockWriter> | null = null;
  const confirm = db.prepare('insert or replace into history_confirmed values (1, ?)');
  return {
    confirmed() {
      const row = db.prepare('select seq from history_confirmed').get();
      return row === undefined ? null : Number(row.seq);
    },
    confirm: (seq) => void confirm.run(seq),
    cursor: () => Number(db.prepare('select seq from ledger_cursor').get()?.seq ?? 0),
    count(outcomes, replayed) {
      const last = outcomes.at(-1)?.block;
      if (last === undefined) return;
      for (const sum of sumTallies([...outcomes.flatMap(({ tallies }) => tallies), ...replayed.flatMap(moves)])) {
        add.run(sum.device, sum.decoded, sum.quarantined, sum.stored, sum.duplicate, sum.replaced, sum.refused);
      }
      for (const { imported } of outcomes) {
        for (const { device, stored, refused } of imported?.tallies ?? []) addImported.run(device, stored, refused);
      }
      noteClocks ??= createClockWriter(db);
      noteClocks(outcomes);
      move.run(last.seq, messagesIn(outcomes));
    },
  };
}

/** A replayed message is counted once: its earlier count is subtracted. */
function moves({ device, scope, count, tally }: Replayed): Tally[] {
  const before = emptyTally(device);
  if (scope === 'message') before.quarantined = -1;
  else before.refused = -count;
  return [before, tally];
}

function messagesIn(outcomes: readonly Outcome[]): number {
  const counts = outcomes.map(({ block }) => (block.kind === 'messages' || block.kind === 'lost' ? block.count : 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

function sumTallies(tallies: readonly Tally[]): Iterable<Tally> {
  const sums = new Map<string, Tally>();
  for (const tally of tallies) {
    const sum = sums.get(tally.device);
    if (sum === undefined) sums.set(tally.device, { ...tally });
    else {
      sum.decoded += tally.decoded;
      sum.quarantined += tally.quarantined;
      sum.stored += tally.stored;
      sum.duplicate += tally.duplicate;
      sum.replaced += tally.replaced;
      sum.refused += tally.refused;
    }
  }
  return sums.values();
}

const TOTAL = `
  select coalesce(sum(decoded), 0) as decoded, coalesce(sum(quarantined), 0) as quarantined,
    coalesce(sum(stored), 0) as stored, coalesce(sum(duplicate), 0) as duplicate,
    coalesce(sum(replaced), 0) as replaced, coalesce(sum(refused), 0) as refused from ledger`;

/**
 * Creates the reader of the ledger for any thread: the state file read-only, and the journal for what is pending.
 * `declared`: the formats of the city in force.
 */
export function createLedgerReader(
  db: DatabaseSync,
  journal: JournalReader,
  declared: () => DeclaredFormats = () => NO_FORMATS,
) {
  const total = db.prepare(TOTAL);
  const ofDevice = db.prepare('select * from ledger where device = ?');
  const importedTotal = db.prepare(`${IMPORTED_TOTAL} having count(*) > 0`);
  const importedOf = db.prepare(`${IMPORTED_TOTAL} where device = ? having count(*) > 0`);
  const lost = () => Number(ofDevice.get(LOST)?.quarantined ?? 0);
  const cursorRow = db.prepare('select seq, messages from ledger_cursor');
  const nameOf = createHardwareNames(db);

  function pendingOf(device: string, after: number, until: number): number {
    const isNamed = nameOf(device);
    let pending = 0;
    for (let seq = after; seq < until; ) {
      const blocks = journal.after(seq, 64).filter((block) => block.seq <= until);
      if (blocks.length === 0) break;
      for (const block of blocks) {
        seq = block.seq;
        if (block.kind !== 'messages') continue;
        const body = Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength);
        walkRecords(
          body,
          (identity, topic) => formatOf(identity, topic, declared()),
          ({ format, device: named, by }, from, to) => {
            const hardware = format?.deviceOf?.(body.subarray(from, to)) ?? null;
            if (hardware === null ? isNamed(named, by === 'hardware') : isNamed(hardware, true)) pending++;
          },
        );
      }
    }
    return pending;
  }

  return {
    /**
     * Returns the ledger of the city, or of one device (null where nothing came from it and it is not registered). It
     * is one snapshot: the journal's head is read first, so that messages that come in meanwhile are on neither side.
     */
    read(device?: string, isRegistered = false): Ledger | null {
      const head = journal.head();
      db.exec('begin');
      try {
        const cursor = cursorRow.get();
        const seq = Number(cursor?.seq ?? 0);
        const counted = Number(cursor?.messages ?? 0);
        const row = device === undefined ? total.get()! : ofDevice.get(device);
        // The history may have moved past the head that was read: then nothing is pending in this snapshot.
        const pending = device === undefined ? Math.max(0, head.messages - counted) : pendingOf(device, seq, head.seq);
        const found = device === undefined ? importedTotal.get() : importedOf.get(device);
        if (!isRegistered && row === undefined && pending === 0 && found === undefined) return null;
        const imported = found === undefined ? null : importedIn(found);
        const received = device === undefined ? Math.max(head.messages, counted) : null;
        return ledgerOf(row, { pending, received, lost: device === undefined ? lost() : 0, imported });
      } finally {
        db.exec('commit');
      }
    },
  };
}

const IMPORTED_TOTAL = 'select sum(stored) as stored, sum(refused) as refused from ledger_imported';

function importedIn(row: Record<string, unknown>): NonNullable<Ledger['imported']> {
  const [stored, refused] = [Number(row.stored), Number(row.refused)];
  return { received: stored + refused, stored, refused };
}

/** What is counted beside the row of the ledger. */
interface Beside {
  readonly pending: number;
  readonly received: number | null;
  readonly lost: number;
  readonly imported: Ledger['imported'] | null;
}

function ledgerOf(row: Record<string, unknown> | undefined, { pending, received, lost, imported }: Beside): Ledger {
  const number = (name: string) => Number(row?.[name] ?? 0);
  const [decoded, quarantined] = [number('decoded'), number('quarantined')];
  const [stored, duplicate, refused] = [number('stored'), number('duplicate'), number('refused')];
  const replaced = number('replaced');
  return {
    // For the city `received` is the journal's own count, so that the equation can fail; for a device it is the sum.
    messages: {
      received: received ?? decoded + quarantined + pending,
      decoded,
      quarantined,
      pending,
      ...(lost > 0 ? { lost } : {}),
    },
    readings: { received: stored + duplicate + refused, stored, replaced, duplicate, quarantined: refused },
    ...(imported === null ? {} : { imported }),
  };
}

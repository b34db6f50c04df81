import type { DatabaseSync } from 'node:sqlite';
import type { Block, CityControl, DevicesControl, RuleControl } from '../domain/index.ts';
import { HOUR_MS } from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import { Acceptance } from './acceptance.ts';
import { createColumns } from './columns.ts';
import type { CityVersion, Context } from './context.ts';
import { createMemo, type Outcome } from './outcome.ts';
import { createReader } from './reader.ts';

/** SQL of what intake remembers: how far it learned, and which keys it has seen. */
export const INTAKE_SCHEMA: RoomSchema = {
  room: 'intake',
  steps: [
    `
  create table if not exists intake (one integer primary key check (one = 1), seq integer not null) strict;
  create table if not exists seen (last integer primary key, entries blob not null) strict;
  create table if not exists seen_hours (hour integer primary key, first integer not null) strict;
`,
  ],
};

/** How long a key is remembered, hours of receipt … */
const HORIZON_HOURS = 24;
// A consumer that lags for days still finds the marks of its own day.
const KEEP_HOURS = 24 * 14;
/** … and for how many messages at the most, so that a flood cannot fill the memory (24 bytes and 4 a value each). */
const HORIZON_MESSAGES = 8_388_608;
/** A consumer that is further behind than this may take a repetition for new: memory is bounded whatever happens to the history. */
const MOST_MESSAGES = 2 * HORIZON_MESSAGES;
// In a flood the horizon moves with every block; it is noted this often.
const NOTE_EVERY_BLOCKS = 1_000;

/** Turns blocks into outcomes. Blocks never met before must come in order; those met before may come again at any time. */
export interface Intake {
  outcome(block: Block): Outcome;
  /** The last outcomes are kept: a consumer close behind another need not decode again. Undefined where it is gone. */
  recall(seq: number): Outcome | undefined;
  /** The newest block that was met. */
  head(): number;
  /** Writes what was learned, inside a consumer's transaction; call the answer once that is committed, or it is written again. */
  persist(): () => void;
  /** Frees what no consumer needs any more, where all of them have taken the blocks up to `settled`. */
  prune(settled: number): void;
}

/** Decode, validate, find duplicates. */
export function createIntake(db: DatabaseSync, context: Context): Intake {
  const acceptance = new Acceptance();
  const { duplicates } = acceptance;
  const hours: [hour: number, first: number][] = db
    .prepare('select * from seen_hours order by hour')
    .all()
    .map((row) => [Number(row.hour), Number(row.first)]);
  let head = Number(db.prepare('select seq from intake').get()?.seq ?? 0);
  let savedHours = hours.length;
  /** Horizons as they stood at some blocks, for a consumer that is behind: they never decrease. */
  const horizons: [seq: number, horizon: number][] = [];
  let newest = 0;
  for (const row of db.prepare('select entries from seen order by last').iterate()) {
    duplicates.restore(row.entries as Uint8Array);
  }
  const recent = createMemo();
  const reader = createReader(context, acceptance);

  const saveHead = db.prepare('insert or replace into intake values (1, ?)');
  const saveSeen = db.prepare('insert or replace into seen values (?, ?)');
  const dropSeen = db.prepare('delete from seen where last < ?');
  const dropHour = db.prepare('delete from seen_hours where hour = ?');
  const saveHour = db.prepare('insert or replace into seen_hours values (?, ?)');

  function horizonAt(block: Block, fresh: boolean): number {
    const hour = Math.floor(block.receivedAt / HOUR_MS);
    if (fresh && block.count > 0 && (hours.at(-1)?.[0] ?? -1) < hour) hours.push([hour, block.first]);
    const oldest = hours.find(([at]) => at >= hour - HORIZON_HOURS)?.[1] ?? block.first;
    const horizon = Math.max(oldest, block.first - HORIZON_MESSAGES);
    if (fresh) noteHorizon(block, horizon, horizon === oldest);
    return horizon;
  }

  function noteHorizon({ seq, first, count }: Block, horizon: number, byHour: boolean): void {
    newest = first + count;
    const [lastSeq, last] = horizons.at(-1) ?? [0, -1];
    if (horizon > last && (byHour || seq >= lastSeq + NOTE_EVERY_BLOCKS)) horizons.push([seq, horizon]);
  }

  function read(block: Block, fresh: boolean): Outcome {
    const horizon = horizonAt(block, fresh);
    if (block.kind === 'messages') return reader.messages(block, { fresh, horizon });
    if (block.kind === 'replay') return reader.replay(block, { fresh, horizon });
    const { body, ...head } = block;
    const base: Outcome = {
      block: head,
      fresh,
      readings: createColumns(0),
      replaced: createColumns(0),
      tallies: [],
      refusals: [],
      replays: [],
      city: null,
      devices: null,
      rule: null,
    };
    if (block.kind === 'city') return { ...base, city: cityOf(block, body, fresh) };
    if (block.kind === 'devices') return { ...base, devices: devicesOf(block, body, fresh) };
    if (block.kind === 'rule') return { ...base, rule: ruleOf(block, body, fresh) };
    return base;
  }

  function cityOf(block: Block, body: Uint8Array, fresh: boolean): CityVersion | null {
    if (fresh) return context.learnCity(block.seq, parseBody<CityControl>(body));
    const version = context.cityAt(block.seq);
    return version?.seq === block.seq ? version : null;
  }

  function ruleOf({ seq }: Block, body: Uint8Array, fresh: boolean): RuleControl | null {
    return fresh ? context.learnRule(seq, parseBody<RuleControl>(body)) : context.ruleIn(seq);
  }

  function devicesOf(block: Block, body: Uint8Array, fresh: boolean) {
    return fresh ? context.learnDevices(block.seq, parseBody<DevicesControl>(body)) : context.devicesIn(block.seq);
  }

  return {
    outcome(block) {
      const kept = recent.get(block.seq);
      if (kept !== undefined) return kept;
      if (block.seq > head + 1) throw new Error(`intake has met blocks up to ${head}, not up to ${block.seq}`);
      const outcome = read(block, block.seq === head + 1);
      head = Math.max(head, block.seq);
      recent.put(outcome);
      return outcome;
    },
    recall: (seq) => recent.get(seq),
    head: () => head,
    persist() {
      const contextSaved = context.persist();
      const added = duplicates.added();
      if (added !== null) saveSeen.run(added.last, added.blob);
      for (const hour of hours.slice(savedHours)) saveHour.run(...hour);
      saveHead.run(head);
      const hoursNow = hours.length;
      return () => {
        contextSaved();
        duplicates.forgetAdded(added);
        savedHours = hoursNow;
      };
    },
    prune(settled) {
      while (horizons.length > 1 && horizons[1]![0] <= settled) horizons.shift();
      const [seq, horizon] = horizons[0] ?? [0, 0];
      const keepFrom = Math.max(seq <= settled ? horizon : 0, newest - MOST_MESSAGES);
      duplicates.prune(keepFrom);
      dropSeen.run(keepFrom);
      const surplus = Math.max(0, savedHours - KEEP_HOURS);
      for (const [hour] of hours.splice(0, surplus)) dropHour.run(hour);
      savedHours -= surplus;
    },
  };
}

function parseBody<T>(body: Uint8Array): T {
  return JSON.parse(Buffer.from(body).toString('utf8')) as T;
}

import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { isoOf, type ShapeOf } from '../domain/index.ts';
import type { Outcome } from './outcome.ts';

/** SQL of devices whose clock differs from the time of receipt, and for how many messages by the same. */
export const CLOCKS_STEP = `
  create table device_clocks (
    device text primary key, offset_ms integer not null, messages integer not null, since_ms integer not null
  ) strict, without rowid;
`;

/** A clock that differs by less is right: messages take their time. */
const RIGHT_MS = 60_000;
/** A difference that varies by less is steady. */
const STEADY_MS = 30_000;
/** Messages after which a difference is called steady. */
const STEADY_MESSAGES = 10;

/** A clock that is wrong by a steady offset. */
export const DeviceClockSchema = z
  .object({
    offsetSeconds: z.int().describe('Time of the newest reading in a message, minus the time of receipt'),
    messages: z.int().describe('Messages in a row with this offset'),
    since: z.iso.datetime(),
  })
  .meta({ id: 'DeviceClock', description: 'The clock of a device that differs by a steady offset' });
export type DeviceClock = ShapeOf<typeof DeviceClockSchema>;

interface Clock {
  readonly offsetMs: number;
  readonly messages: number;
  readonly sinceMs: number;
}

/** Returns what is known of a clock after a message; null where it is right. */
function clockAfter(before: Clock | null, offsetMs: number, atMs: number): Clock | null {
  if (before !== null && Math.abs(offsetMs - before.offsetMs) <= STEADY_MS)
    return { ...before, messages: before.messages + 1 };
  return Math.abs(offsetMs) > RIGHT_MS ? { offsetMs, messages: 1, sinceMs: atMs } : null;
}

/**
 * Notes how the clocks of devices differ, in the order of the log. Call it inside a transaction, which may be undone: a
 * row is read and written once for each device that a batch has something to say of.
 */
export function createClockWriter(db: DatabaseSync): (outcomes: readonly Outcome[]) => void {
  /** Devices that may have a row. */
  const noted = new Set(
    db
      .prepare('select device from device_clocks')
      .all()
      .map(({ device }) => String(device)),
  );
  const stored = db.prepare('select offset_ms, messages, since_ms from device_clocks where device = ?');
  const write = db.prepare('insert or replace into device_clocks values (?, ?, ?, ?)');
  const end = db.prepare('delete from device_clocks where device = ?');

  function storedOf(device: string): Clock | null {
    const row = noted.has(device) ? stored.get(device) : undefined;
    if (row === undefined) return null;
    return { offsetMs: Number(row.offset_ms), messages: Number(row.messages), sinceMs: Number(row.since_ms) };
  }

  return (outcomes) => {
    const now = new Map<string, Clock | null>();
    for (const { block, tallies } of outcomes) {
      for (const { device, clockMs } of tallies) {
        if (clockMs === undefined) continue;
        let before = now.get(device);
        if (before === undefined) before = storedOf(device);
        if (before === null && Math.abs(clockMs) <= RIGHT_MS) continue;
        now.set(device, clockAfter(before, clockMs, block.receivedAt));
      }
    }
    for (const [device, clock] of now) {
      if (clock === null) end.run(device);
      else write.run(device, clock.offsetMs, clock.messages, clock.sinceMs);
      noted.add(device);
    }
  };
}

/** Reads clocks that are wrong by a steady offset: 60 s or more, in ten messages or more. */
export function createClockReader(db: DatabaseSync): (device: string) => DeviceClock | null {
  const one = db.prepare('select * from device_clocks where device = ? and messages >= ?');
  return (device) => {
    const row = one.get(device, STEADY_MESSAGES);
    if (row === undefined) return null;
    const offsetSeconds = Math.round(Number(row.offset_ms) / 1_000);
    return { offsetSeconds, messages: Number(row.messages), since: isoOf(Number(row.since_ms)) };
  };
}

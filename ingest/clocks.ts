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

/** Notes how the clocks of devices differ, in the order of the log. Call it inside a transaction. */
export function createClockWriter(db: DatabaseSync): (outcomes: readonly Outcome[]) => void {
  const rows = db.prepare('select device, offset_ms from device_clocks').all();
  const offsets = new Map(rows.map(({ device, offset_ms }) => [String(device), Number(offset_ms)]));
  const begin = db.prepare('insert or replace into device_clocks values (?, ?, 1, ?)');
  const go = db.prepare('update device_clocks set messages = messages + 1 where device = ?');
  const end = db.prepare('delete from device_clocks where device = ?');

  function note(device: string, offsetMs: number, atMs: number): void {
    const before = offsets.get(device);
    if (before !== undefined && Math.abs(offsetMs - before) <= STEADY_MS) {
      // A transaction before may have been undone.
      if (go.run(device).changes === 0) begin.run(device, before, atMs);
    } else if (Math.abs(offsetMs) > RIGHT_MS) {
      begin.run(device, offsetMs, atMs);
      offsets.set(device, offsetMs);
    } else if (before !== undefined) {
      end.run(device);
      offsets.delete(device);
    }
  }

  return (outcomes) => {
    for (const { block, tallies } of outcomes) {
      for (const { device, clockMs } of tallies) if (clockMs !== undefined) note(device, clockMs, block.receivedAt);
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

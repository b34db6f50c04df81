import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClockReader } from '../../../ingest/clocks.ts';
import { createLedgerStore } from '../../../ingest/index.ts';
import { cityControl, intakeBench, native, openState, testDir } from '../../kit/ingest/intake.ts';

const T0 = Date.parse('2026-03-01T12:00:00Z');
const MINUTE = 60_000;
const title = { en: 'A', zh: '甲' };

const city = (clock: string) =>
  cityControl({ files: { 'profiles.yaml': { bin: { title, metrics: ['a', 'b'], interval: '1m', clock } } } });

function bench(clock: string) {
  const intake = intakeBench();
  intake.city(city(clock), T0);
  intake.devices([{ id: 'd', profile: 'bin', district: 'east' }], [], T0);
  return intake;
}

describe('a clock that is wrong', () => {
  let db: ReturnType<typeof openState>;
  beforeEach(() => {
    db = openState(`${testDir()}/state.sqlite`);
  });
  afterEach(() => db.close());

  /** Sends one message a minute, each with a clock that differs by so much; returns what is then known of the clock. */
  function known(offsets: readonly number[], again: (at: number) => boolean = () => false) {
    const intake = bench('device');
    let ledger = createLedgerStore(db);
    offsets.forEach((offset, i) => {
      const at = T0 + i * MINUTE;
      if (again(i)) ledger = createLedgerStore(db);
      ledger.count([intake.send([native('d', { ts: at + offset, metrics: { a: i } }, at)])], []);
    });
    return createClockReader(db)('d');
  }
  const hour = (i: number) => 60 * MINUTE + (i % 3) * 5_000;

  test('clocks - a steady offset of ten messages is reported, also where each of them was refused', () => {
    const ahead = Array.from({ length: 12 }, (_, i) => hour(i));
    expect(known(ahead)).toEqual({ offsetSeconds: 3_600, messages: 12, since: '2026-03-01T12:00:00.000Z' });
    expect(known(ahead.map((ms) => -ms))).toMatchObject({ offsetSeconds: -3_600 });
  });

  test('clocks - a restart in between changes nothing', () => {
    const behind = Array.from({ length: 12 }, (_, i) => -hour(i));
    expect(known(behind, (i) => i % 4 === 2)).toMatchObject({ offsetSeconds: -3_600, messages: 12 });
  });

  test('clocks - a batch counts each of its messages, and once where its transaction was undone', () => {
    const intake = bench('device');
    const ledger = createLedgerStore(db);
    const sent = Array.from({ length: 12 }, (_, i) => {
      const at = T0 + i * MINUTE;
      return intake.send([native('d', { ts: at + hour(i), metrics: { a: i } }, at)]);
    });
    const count = (from: number, to: number) => ledger.count(sent.slice(from, to), []);
    count(0, 2);
    db.exec('begin');
    count(2, 12);
    db.exec('rollback');
    count(2, 12);
    const found = { offsetSeconds: 3_600, messages: 12, since: '2026-03-01T12:00:00.000Z' };
    expect(createClockReader(db)('d')).toEqual(found);
    db.exec('begin');
    ledger.count([intake.send([native('d', { ts: T0, metrics: { b: 1 } }, T0)])], []);
    expect(createClockReader(db)('d')).toBeNull();
    db.exec('rollback');
    expect(createClockReader(db)('d')).toEqual(found);
  });

  test('clocks - nine messages, a clock that is right, and one that jumps are not reported', () => {
    expect(known(Array(9).fill(hour(0)))).toBeNull();
    expect(known(Array(20).fill(-50_000))).toBeNull();
    expect(known(Array.from({ length: 20 }, (_, i) => i * MINUTE + 2 * MINUTE))).toBeNull();
    expect(known([...Array(15).fill(hour(0)), 0])).toBeNull();
  });

  test.each([
    ['a number beyond all times', 1e300],
    ['nanoseconds', 1_772_366_400_000_000_000],
  ])('clocks - %s is no time, and harms nobody', (_, ts) => {
    const intake = bench('device');
    for (let i = 0; i < 12; i++) {
      // Each as if the process had started anew.
      createLedgerStore(db).count([intake.send([native('d', { ts, metrics: { a: i } }, T0 + i * MINUTE)])], []);
    }
    expect(createClockReader(db)('d')).toBeNull();
  });

  test('clocks - messages without a time say nothing of the clock', () => {
    const intake = bench('device');
    expect(intake.send([native('d', { metrics: { a: 1 } }, T0)]).tallies[0]).not.toHaveProperty('clockMs');
  });
});

describe('a profile whose clock is the receipt', () => {
  const rows = (intake: ReturnType<typeof bench>, payload: object, at = T0) => {
    const outcome = intake.send([native('d', payload, at)]);
    const [tally] = outcome.tallies;
    return [intake.rows(outcome).map(([, metric, ts, value]) => [metric, ts - T0, value]), tally!.duplicate];
  };

  test('clocks - the newest time of a message becomes that of its receipt, the others keep their distance', () => {
    const off = -30 * 24 * 60 * MINUTE;
    const items = [-120_000, 0, -60_000].map((ms, i) => ({ ts: T0 + off + ms, metrics: { a: i } }));
    expect(rows(bench('receipt'), items)).toEqual([
      [
        ['a', -120_000, 0],
        ['a', 0, 1],
        ['a', -60_000, 2],
      ],
      0,
    ]);
    expect(rows(bench('receipt'), { metrics: { a: 1 } })).toEqual([[['a', 0, 1]], 0]);
    expect(rows(bench('device'), items)[0]).toEqual([]);
  });

  test('clocks - a message that is delivered again later is a duplicate, though its receipt is another', () => {
    const intake = bench('receipt');
    const message = { ts: T0 + 3 * 60 * MINUTE, metrics: { a: 1 } };
    expect(rows(intake, message)).toEqual([[['a', 0, 1]], 0]);
    expect(rows(intake, message, T0 + 10_000)).toEqual([[], 1]);
    expect(rows(intake, { ts: message.ts + MINUTE, metrics: { a: 1 } }, T0 + MINUTE)).toEqual([[['a', MINUTE, 1]], 0]);
  });

  test('clocks - a time that is none is still refused', () => {
    const intake = bench('receipt');
    const { refusals } = intake.send([native('d', { ts: 'noon', metrics: { a: 1 } }, T0)]);
    expect(refusals).toMatchObject([{ reason: 'bad-timestamp' }]);
  });
});

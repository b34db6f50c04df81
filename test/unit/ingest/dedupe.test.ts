import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../ingest/index.ts';
import { cityControl, intakeBench, native } from '../../kit/ingest/intake.ts';

const HOUR = 3_600_000;
const T0 = 1_699_999_200_000;

/** Two profiles of 30 and 32 metrics: the metrics of the second are in two lanes of 32. */
const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `m${from + i}`);
const ALL = ids(0, 62);
const city = cityControl({
  past: '90d',
  ahead: '90d',
  metrics: Object.fromEntries(ALL.map((id) => [id, { min: -1e9, max: 1e9 }])),
  profiles: { first: ids(0, 30), second: ids(30, 62) },
});

function bench() {
  const made = intakeBench();
  made.city(city, T0);
  made.devices([{ id: 'd', profile: 'second', district: 'east' }], [], T0);
  return made;
}

const reading = (metrics: Record<string, number>, ts = T0) => ({ ts, metrics });
const sent = (payload: unknown, receivedAt = T0) => native('d', payload, receivedAt);
const tallyOf = ({ tallies }: Outcome) => {
  const [{ stored, duplicate, replaced }] = tallies as [Outcome['tallies'][number]];
  return { stored, duplicate, replaced };
};
const NEW = { stored: 1, duplicate: 0, replaced: 0 };
const DUPLICATE = { stored: 0, duplicate: 1, replaced: 0 };
const REPLACED = { stored: 1, duplicate: 0, replaced: 1 };

describe('dedupe', () => {
  test('the same value of the same device, metric and time is stored once; of another metric, time or device again', () => {
    const intake = bench();
    intake.devices([{ id: 'e', profile: 'second', district: 'east' }]);
    expect(tallyOf(intake.send([sent(reading({ m30: 1 }))]))).toEqual(NEW);
    expect(tallyOf(intake.send([sent(reading({ m30: 1 }))]))).toEqual(DUPLICATE);
    expect(tallyOf(intake.send([sent(reading({ m31: 1 }))]))).toEqual(NEW);
    expect(tallyOf(intake.send([sent(reading({ m30: 1 }, T0 + 1))]))).toEqual(NEW);
    expect(tallyOf(intake.send([native('e', reading({ m30: 1 }), T0)]))).toEqual(NEW);
  });

  test('another value replaces the earlier one, and the rules do not see it', () => {
    const intake = bench();
    intake.send([sent(reading({ m30: 1 }))]);
    const outcome = intake.send([sent(reading({ m30: 2 }))]);
    expect(tallyOf(outcome)).toEqual(REPLACED);
    expect([intake.rows(outcome), outcome.replaced.length, outcome.replaced.value[0]]).toEqual([[], 1, 2]);
    expect(tallyOf(intake.send([sent(reading({ m30: 2 }))]))).toEqual(DUPLICATE);
    expect(tallyOf(intake.send([sent(reading({ m30: 1 }))]))).toEqual(REPLACED);
  });

  test('a message with new and old metrics stores the new ones', () => {
    const intake = bench();
    intake.send([sent(reading({ m30: 1, m31: 1 }))]);
    const outcome = intake.send([sent(reading({ m29: 5, m31: 1, m32: 1, m61: 1 }))]);
    expect(intake.rows(outcome).map(([, metric]) => metric)).toEqual(['m32', 'm61']);
    expect(tallyOf(outcome)).toEqual({ stored: 2, duplicate: 1, replaced: 0 });
  });

  test('metrics on both sides of the border of a lane of 32 are no duplicates of each other', () => {
    const intake = bench();
    const both = Object.fromEntries(ids(30, 62).map((id, i) => [id, i]));
    expect(tallyOf(intake.send([sent(reading(both))]))).toEqual({ stored: 32, duplicate: 0, replaced: 0 });
    // m30 and m62 % 32, m31 (a bit that is a sign), m32 (the first of the next lane): alone and across.
    for (const some of [['m30'], ['m31'], ['m32'], ['m31', 'm32'], ['m61', 'm31'], ids(30, 62)]) {
      const again = Object.fromEntries(some.map((id) => [id, both[id]!]));
      expect(tallyOf(intake.send([sent(reading(again))])), some.join()).toEqual({
        stored: 0,
        duplicate: some.length,
        replaced: 0,
      });
    }
    expect(tallyOf(intake.send([sent(reading({ m32: 2, m31: 99 }))]))).toEqual({
      stored: 1,
      duplicate: 1,
      replaced: 1,
    });
  });

  test('duplicates are found within one message and within one block', () => {
    const intake = bench();
    const twice = intake.send([sent([reading({ m30: 1 }), reading({ m30: 1, m31: 2 }), reading({ m31: 2 }, T0 + 1)])]);
    expect(tallyOf(twice)).toEqual({ stored: 3, duplicate: 1, replaced: 0 });
    const block = intake.send([
      sent(reading({ m40: 1 })),
      sent(reading({ m40: 1 })),
      sent([reading({ m40: 1 }), reading({ m40: 1 })]),
    ]);
    expect(tallyOf(block)).toEqual({ stored: 1, duplicate: 3, replaced: 0 });
    expect(tallyOf(intake.send([sent([reading({ m41: 1 }), reading({ m41: 2 })])]))).toEqual({
      stored: 2,
      duplicate: 0,
      replaced: 1,
    });
  });

  test('of two values in one message the last one counts', () => {
    const intake = bench();
    intake.send([sent(reading({ m30: 0 }))]);
    intake.send([sent([reading({ m30: 1 }), reading({ m30: 0 })])]);
    expect(tallyOf(intake.send([sent(reading({ m30: 1 }))]))).toEqual(REPLACED);
  });

  test('a restart forgets nothing that was persisted, and finds the rest again in the journal', () => {
    const intake = bench();
    intake.send([sent(reading({ m30: 1, m61: 1 }))]);
    intake.persist();
    intake.send([sent(reading({ m30: 1 }, T0 + 1))]);
    expect(intake.restart()).toBe(3);
    intake.catchUp();
    expect(tallyOf(intake.send([sent([reading({ m30: 1, m61: 1 }), reading({ m30: 1 }, T0 + 1)])]))).toEqual({
      stored: 0,
      duplicate: 3,
      replaced: 0,
    });
  });

  test('a block that is read again has the same outcome as the first time, also after a restart', () => {
    const intake = bench();
    const values = fc.record(
      { m30: fc.nat({ max: 2 }), m31: fc.nat({ max: 2 }), m61: fc.nat({ max: 2 }) },
      { requiredKeys: [] },
    );
    const some = values.filter((metrics) => Object.keys(metrics).length > 0) as fc.Arbitrary<Record<string, number>>;
    const message = fc.array(fc.tuple(some, fc.nat({ max: 4 })), { minLength: 1, maxLength: 3 });
    const blocks = fc.sample(fc.array(message, { minLength: 1, maxLength: 4 }), { numRuns: 200, seed: 7 });
    const first = blocks.map((messages) => {
      const payloads = messages.map((items) => items.map(([metrics, ts]) => reading(metrics, T0 + ts)));
      return summary(intake.send(payloads.map((items) => sent(items))));
    });
    intake.persist();
    intake.restart();
    const again = blocks.map((_, i) => summary(intake.again(i + 3)));
    expect(again).toEqual(first.map((one) => ({ ...one, fresh: false })));
    expect(first.some(({ replaced }) => replaced.length > 0)).toBe(true);
  });

  test('a key counts for the hours of receipt of the last day, and no longer', () => {
    const again = (hours: number) => {
      const intake = bench();
      intake.send([sent(reading({ m30: 1 }), T0 + HOUR - 1)]);
      return tallyOf(intake.send([sent(reading({ m30: 1 }), T0 + hours * HOUR)]));
    };
    expect(again(23)).toEqual(DUPLICATE);
    expect(again(24.9)).toEqual(DUPLICATE);
    expect(again(25)).toEqual(NEW);
  });

  test('a reading of three days ago that comes again within the day is a duplicate, also after a restart', () => {
    const intake = bench();
    const old = reading({ m30: 1, m61: 2 }, T0 - 72 * HOUR);
    intake.send([sent(old, T0)]);
    intake.send([sent(reading({ m30: 1 }), T0 + HOUR)]);
    intake.persist();
    intake.prune();
    intake.restart();
    const twice = { stored: 0, duplicate: 2, replaced: 0 };
    expect(tallyOf(intake.send([sent(old, T0 + 20 * HOUR)]))).toEqual(twice);
    expect(tallyOf(intake.send([sent(old, T0 + 24 * HOUR)]))).toEqual(twice);
  });

  test('a key counts for eight million messages at the most', () => {
    const again = (messages: number) => {
      const intake = bench();
      intake.send([sent(reading({ m30: 1 }))]);
      return tallyOf(intake.send([sent(reading({ m30: 1 }))], messages));
    };
    expect(again(8_388_608)).toEqual(DUPLICATE);
    expect(again(8_388_609)).toEqual(NEW);
  });

  test('a key counts for so many bytes of keys, however few messages brought them, and the same when read again', () => {
    const made = intakeBench(undefined, { bytes: 28_000, spanBytes: 2_800 });
    made.city(city, T0);
    made.devices([{ id: 'd', profile: 'second', district: 'east' }], [], T0);
    const many = (from: number, readings: number) =>
      made.send([sent(Array.from({ length: readings }, (_, i) => reading({ m30: 1 }, T0 + from + i)))]);
    const first = sent(reading({ m31: 1 }));
    made.send([first]);
    const at = [100, 800, 200].map((readings, i) => {
      many(i * 1_000, readings);
      return [made.send([first]), made.send([first])].map((outcome) => [outcome.block.seq, tallyOf(outcome)] as const);
    });
    expect(at.map((both) => both.map(([, tally]) => tally))).toEqual([
      [DUPLICATE, DUPLICATE],
      [DUPLICATE, DUPLICATE],
      [NEW, DUPLICATE],
    ]);
    made.persist();
    made.restart();
    for (const [seq, tally] of at.flat()) expect(tallyOf(made.again(seq)), `block ${seq}`).toEqual(tally);
    for (let i = 3; i < 20; i++) {
      many(i * 1_000, 500);
      made.persist();
      made.prune();
    }
    expect(made.count('seen_spans')).toBeLessThan(15);
    expect(made.count('seen')).toBeLessThan(15);
    expect(made.count('seen_chunks')).toBeLessThan(25);
  });

  test('pruning keys that no horizon needs changes no result, before and after a restart', () => {
    const intake = bench();
    intake.send([sent(reading({ m30: 1 }), T0)]);
    intake.send([sent(reading({ m31: 1 }), T0 + 20 * HOUR)]);
    intake.persist();
    intake.send([sent(reading({ m32: 1 }), T0 + 30 * HOUR)]);
    intake.persist();
    intake.prune();
    const both = reading({ m30: 1, m31: 1 });
    expect(tallyOf(intake.send([sent(both, T0 + 30 * HOUR)]))).toEqual({ stored: 1, duplicate: 1, replaced: 0 });
    intake.persist();
    intake.restart();
    expect(tallyOf(intake.send([sent(both, T0 + 31 * HOUR)]))).toEqual({ stored: 0, duplicate: 2, replaced: 0 });
  });

  test('a consumer that lags for more than a day gets the results of its own day', () => {
    const intake = bench();
    const first = summary(intake.send([sent(reading({ m30: 1 })), sent(reading({ m30: 1 }))]));
    intake.persist();
    // The other consumer is two days ahead; what its day does not need is kept for the one behind.
    intake.send([sent(reading({ m31: 1 }), T0 + 48 * HOUR)]);
    intake.persist();
    intake.prune(2);
    expect(intake.restart()).toBe(4);
    expect(summary(intake.again(3))).toEqual({ ...first, fresh: false });
  });
});

function summary({ fresh, readings, replaced, tallies }: Outcome) {
  const rows = ({ length, ts, metric, value }: Outcome['readings']) =>
    Array.from({ length }, (_, i) => [metric[i], ts[i], value[i]]);
  return { fresh, readings: rows(readings), replaced: rows(replaced), tallies };
}

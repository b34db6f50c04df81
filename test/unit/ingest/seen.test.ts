import type { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeenKeys } from '../../../ingest/seen.ts';
import { HASHED_LANE, hashKey, hashValue, type SeenPlace } from '../../../ingest/seen-entries.ts';
import { atOnce, transact } from '../../../store/index.ts';
import { openState } from '../../kit/ingest/intake.ts';
import { runs } from '../../kit/runs.ts';

/** The keys as a plain list: what `SeenKeys` must agree with. */
class Model {
  readonly #entries: (SeenPlace & { bit: number; hash: number })[] = [];

  add(at: SeenPlace, bits: readonly number[], hashes: Int32Array): void {
    for (const bit of bits) this.#entries.unshift({ ...at, bit, hash: hashes[bit]! });
  }

  find({ device, lane, ts, position, horizon }: SeenPlace, bits: readonly number[], hashes: Int32Array) {
    let [found, changed] = [0, 0];
    for (const bit of bits) {
      const newest = this.#entries.find(
        (one) =>
          one.device === device &&
          one.lane === lane &&
          one.ts === ts &&
          one.bit === bit &&
          one.position < position &&
          one.position >= horizon,
      );
      if (newest === undefined) continue;
      found |= 1 << bit;
      if (newest.hash !== hashes[bit]) changed |= 1 << bit;
    }
    return { found, changed };
  }
}

const maskOf = (bits: readonly number[]) => bits.reduce((mask, bit) => mask | (1 << bit), 0);
const ALL = Array.from({ length: 32 }, (_, bit) => bit);
const SMALL = 400;

function opened(db: DatabaseSync, chunkBytes: number): SeenKeys {
  const keys = new SeenKeys(db, chunkBytes);
  atOnce(keys.restore());
  return keys;
}

const commit = (db: DatabaseSync, keys: SeenKeys) => transact(db, () => keys.persist())();
const rows = (db: DatabaseSync, table: string) => Number(db.prepare(`select count(*) as n from ${table}`).get()!.n);

describe('seen keys', () => {
  test('keys are found whatever their order, in memory, in chunks and after a restart', () => {
    const bits = fc.uniqueArray(fc.constantFrom(0, 1, 5, 31), { minLength: 1 });
    const one = fc.record({
      device: fc.nat(2),
      lane: fc.constantFrom(0, 1, HASHED_LANE),
      ts: fc.nat(40),
      bits,
      value: fc.nat(2),
    });
    const message = fc.record({
      readings: fc.array(one, { minLength: 1, maxLength: 5 }),
      next: fc.constantFrom('nothing', 'nothing', 'commit', 'commit', 'restart'),
    });
    const histories = fc.record({
      messages: fc.array(message, { maxLength: 60 }),
      chunkBytes: fc.constantFrom(1, SMALL, 1_000, 1_000_000),
      horizon: fc.nat(30),
    });
    let chunks = 0;
    fc.assert(
      fc.property(histories, ({ messages, chunkBytes, horizon }) => {
        const db = openState(':memory:');
        let keys = opened(db, chunkBytes);
        const [model, hashes] = [new Model(), new Int32Array(32)];
        for (const [i, { readings, next }] of messages.entries()) {
          for (const { bits: some, value, ...key } of readings) {
            const at = { ...key, horizon, position: i + 1 };
            for (const bit of some) hashes[bit] = hashValue(value);
            keys.add(at, maskOf(some), hashes);
            model.add(at, some, hashes);
          }
          if (next === 'nothing') continue;
          commit(db, keys);
          if (next === 'restart') keys = opened(db, chunkBytes);
        }
        chunks += rows(db, 'seen_chunks');
        for (const device of [0, 1, 2])
          for (const lane of [0, 1, HASHED_LANE])
            for (let ts = 0; ts <= 41; ts += 3)
              for (const position of [1, messages.length >> 1, messages.length + 1]) {
                const at = { device, lane, ts, horizon, position };
                const found = keys.find(at, -1, hashes);
                expect({ found, changed: keys.changed }).toEqual(model.find(at, ALL, hashes));
              }
        db.close();
      }),
      { numRuns: runs(200) },
    );
    expect(chunks).toBeGreaterThan(runs(30));
  });

  test('rows of before there were chunks become chunks at a start', () => {
    const db = openState(':memory:');
    const [before, hashes] = [opened(db, Number.POSITIVE_INFINITY), new Int32Array(32)];
    const place = (ts: number, position = 100_000) => ({ device: 1, lane: 0, ts, horizon: 0, position });
    for (let i = 0; i < 1_000; i++) {
      before.add(place(i, i), 1, hashes);
      commit(db, before);
    }
    expect([rows(db, 'seen'), rows(db, 'seen_chunks')]).toEqual([1_000, 0]);
    const keys = opened(db, 4_000);
    expect(rows(db, 'seen')).toBeLessThan(200);
    expect(rows(db, 'seen_chunks')).toBeGreaterThan(5);
    for (let i = 0; i < 1_000; i++) expect(keys.find(place(i), 1, hashes)).toBe(1);
    expect(keys.find(place(-1), 1, hashes)).toBe(0);
  });

  test('a commit that fails loses nothing and writes it again', () => {
    const db = openState(':memory:');
    const [keys, hashes] = [opened(db, SMALL), new Int32Array(32)];
    const place = (ts: number, position: number) => ({ device: 1, lane: 0, ts, horizon: 0, position });
    for (let i = 0; i < 100; i++) keys.add(place(i, i), 1, hashes);
    const fails = () =>
      transact(db, () => {
        keys.persist();
        throw new Error('the disk is full');
      });
    expect(fails).toThrow('the disk is full');
    expect(keys.find(place(5, 200), 1, hashes)).toBe(1);
    commit(db, keys);
    expect(rows(db, 'seen_chunks')).toBe(1);
    expect(keys.find(place(5, 200), 1, hashes)).toBe(1);
    expect(opened(db, SMALL).find(place(99, 200), 1, hashes)).toBe(1);
  });

  test('chunks of messages that nobody needs are deleted with their pages', () => {
    const db = openState(':memory:');
    const [keys, hashes] = [opened(db, 1), new Int32Array(32)];
    const place = (ts: number, position: number, horizon = 0) => ({ device: 1, lane: 0, ts, horizon, position });
    for (let i = 1; i <= 10; i++) {
      for (let j = 0; j < 300; j++) keys.add(place(i * 1_000 + j, i), 1, hashes);
      commit(db, keys);
    }
    expect([rows(db, 'seen'), rows(db, 'seen_chunks'), rows(db, 'seen_pages')]).toEqual([0, 10, 20]);
    keys.prune(8);
    expect([rows(db, 'seen_chunks'), rows(db, 'seen_pages')]).toEqual([3, 6]);
    const found = [7_000, 8_000, 10_299].map((ts) => keys.find(place(ts, 11), 1, hashes));
    expect(found).toEqual([0, 1, 1]);
    keys.prune(100);
    expect([rows(db, 'seen_chunks'), rows(db, 'seen_pages')]).toEqual([0, 0]);
  });

  test('of one key that gets one value after the other, a search looks at the newest 256', () => {
    const db = openState(':memory:');
    const [keys, hashes] = [opened(db, Number.POSITIVE_INFINITY), new Int32Array(32)];
    const place = (position: number) => ({ device: 1, lane: 0, ts: 5, horizon: 0, position });
    keys.add(place(0), 2, hashes);
    for (let i = 1; i < 256; i++) {
      hashes[0] = i;
      keys.add(place(i), 1, hashes);
    }
    expect(keys.find(place(1_000), 3, hashes)).toBe(3);
    keys.add(place(256), 1, hashes);
    expect(keys.find(place(1_000), 3, hashes)).toBe(1);
    expect(keys.find(place(256), 3, hashes)).toBe(3);
  });

  test('keys are spread evenly over the hashes, also those of devices that send each second', () => {
    const buckets = new Int32Array(1_024);
    for (let device = 0; device < 100; device++)
      for (let i = 0; i < 1_024; i++) {
        const at = { device, lane: 0, ts: 1_700_000_000_000 + i * 1_000, horizon: 0, position: 0 };
        buckets[hashKey(at, 12_345) & 1_023]!++;
      }
    expect(Math.max(...buckets)).toBeLessThan(170);
    expect(Math.min(...buckets)).toBeGreaterThan(50);
  });
});

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Intake, Outcome } from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import {
  cityControl,
  type Entry,
  intakeBench,
  native,
  openIntake,
  openState,
  persist,
  rowsOf,
  testDir,
  write,
} from '../../kit/ingest/intake.ts';
import { type Counts, Model } from '../../kit/ingest/model.ts';
import { DAYS, journals, MINUTES } from '../../kit/journal/random.ts';

const T0 = 1_699_999_200_000;
const bin = { id: 'd', profile: 'bin', district: 'east' };
const sent = (a: number, ts = T0) => native('d', { ts, metrics: { a } }, T0);
const reasons = ({ refusals }: Outcome) => refusals.map(({ scope, reason }) => `${scope} ${reason}`);

/** What happens between two blocks: nothing, a commit, or a restart over the same file. */
const between = fc.constantFrom('nothing', 'nothing', 'commit', 'commit', 'restart');

/** Returns the tallies of an outcome, summed by device. */
function countsOf({ tallies }: Outcome): Record<string, Counts> {
  const sums: Record<string, Counts> = {};
  for (const { device, clockMs: _, ...tally } of tallies) {
    const sum = sums[device];
    if (sum === undefined) sums[device] = { ...tally };
    else for (const name of Object.keys(tally) as (keyof Counts)[]) sum[name] += tally[name];
  }
  return sums;
}

/** Returns what the model counted between two moments. */
function difference(before: ReadonlyMap<string, Counts>, after: ReadonlyMap<string, Counts>): Record<string, Counts> {
  const changed: Record<string, Counts> = {};
  for (const [device, counts] of after) {
    const old = before.get(device);
    const names = Object.keys(counts) as (keyof Counts)[];
    const moved = names.map((name) => [name, counts[name] - (old?.[name] ?? 0)] as const);
    if (moved.some(([, by]) => by !== 0)) changed[device] = Object.fromEntries(moved) as unknown as Counts;
  }
  return changed;
}

function expectModel(entries: readonly Entry[], happens: readonly string[]): void {
  const dir = testDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of entries) write(store, entry);
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  const blocks = reader.after(0, 1_000);
  let db = openState(join(dir, 'state.sqlite'));
  let { intake, context } = openIntake(db);
  const model = new Model();
  entries.forEach((entry, i) => {
    if (happens[i] === 'commit') persist(db, intake);
    if (happens[i] === 'restart') {
      db.close();
      db = openState(join(dir, 'state.sqlite'));
      ({ intake, context } = openIntake(db));
      for (const block of blocks.slice(intake.head(), i)) intake.outcome(block);
    }
    const before = new Map([...model.counts].map(([device, counts]) => [device, { ...counts }]));
    model.play(entry);
    const outcome = intake.outcome(blocks[i]!);
    expect(rowsOf(outcome, context)).toEqual(model.news);
    expect(countsOf(outcome)).toEqual(difference(before, model.counts));
  });
  for (const one of [reader, store, db]) one.close();
  rmSync(dir, { recursive: true });
}

describe('intake', () => {
  test.each([
    ['minutes', MINUTES, 150],
    ['days', DAYS, 80],
  ])(
    'over %s, it accepts, replaces, ignores and refuses the same as a plain count, whenever it restarts',
    (_what, extent, numRuns) => {
      const happens = fc.array(between, { minLength: 50, maxLength: 50 });
      fc.assert(fc.property(journals(extent), happens, expectModel), { numRuns });
    },
  );

  test('a message is validated against the city and the device as of its block', () => {
    const intake = intakeBench();
    expect(reasons(intake.send([sent(1)]))).toEqual(['message unknown-device']);
    intake.devices([bin]);
    expect(reasons(intake.send([sent(1)]))).toEqual(['message unknown-profile']);
    intake.city(cityControl());
    expect(reasons(intake.send([sent(50)]))).toEqual([]);
    intake.city(cityControl({ metrics: { a: { min: 0, max: 10 }, b: { min: 0, max: 1 }, c: { min: 0, max: 1 } } }));
    expect(reasons(intake.send([sent(51)]))).toEqual(['reading out-of-range']);
    intake.devices([{ ...bin, profile: 'pole' }]);
    expect(reasons(intake.send([sent(1)]))).toEqual(['reading unknown-metric']);
    intake.devices([], ['d']);
    expect(reasons(intake.send([sent(1)]))).toEqual(['message unknown-device']);
    intake.persist();
    intake.restart();
    // The blocks are read again, in any order, by another process.
    expect(reasons(intake.again(9))).toEqual(['reading unknown-metric']);
    expect(reasons(intake.again(1))).toEqual(['message unknown-device']);
    expect(intake.rows(intake.again(5))).toEqual([['d', 'a', T0, 50]]);
    expect(reasons(intake.again(3))).toEqual(['message unknown-profile']);
  });

  test('a city folder with mistakes changes nothing', () => {
    const intake = intakeBench();
    intake.city(cityControl());
    intake.devices([bin]);
    const { files } = cityControl();
    expect(intake.city({ version: 'broken', files: files.slice(1) }).city).toBeNull();
    expect(reasons(intake.send([sent(1)]))).toEqual([]);
  });

  test('only a block that is read for the first time is fresh', () => {
    const intake = intakeBench();
    intake.city(cityControl());
    intake.devices([bin]);
    expect(intake.send([sent(1), sent(500)]).fresh).toBe(true);
    intake.persist();
    intake.restart();
    expect(intake.again(3).fresh).toBe(false);
    expect(intake.send([sent(2)]).fresh).toBe(true);
  });

  test('what a consumer could not commit is written with the next transaction', () => {
    const path = join(testDir(), 'state.sqlite');
    const db = openState(path);
    const { intake } = openIntake(db);
    const read = (seq: number, kind: 'city' | 'devices', body: unknown) =>
      intake.outcome({
        seq,
        kind,
        first: 0,
        count: 0,
        receivedAt: T0,
        steadyAt: T0,
        body: Buffer.from(JSON.stringify(body)),
      });
    read(1, 'city', cityControl());
    failToPersist(intake);
    read(2, 'devices', { version: 1, registered: [bin], revoked: [] });
    failToPersist(intake);
    persist(db, intake);
    const again = openIntake(openState(path));
    expect(again.intake.head()).toBe(2);
    expect(again.context.cityAt(2)?.city.profiles.has('bin')).toBe(true);
    expect(again.context.devicesAt(2)).toMatchObject([bin]);

    function failToPersist(one: Intake): void {
      db.exec('begin immediate');
      one.persist();
      db.exec('rollback');
    }
  });

  test('versions of cities and devices that no consumer needs are forgotten, and blocks after them read the same', () => {
    const intake = intakeBench();
    const cityOf = (max: number) =>
      cityControl({ metrics: { a: { min: 0, max }, b: { min: 0, max: 1 }, c: { min: 0, max: 1 } } });
    for (let i = 1; i <= 50; i++) {
      intake.city(cityOf(i));
      intake.devices([bin, { ...bin, id: 'gone', tags: { n: String(i) } }]);
    }
    intake.devices([], ['gone']);
    const settled = intake.blocks.length;
    intake.send([sent(50), sent(51)]);
    intake.city(cityOf(60));
    intake.send([sent(51, T0 + 1), sent(61, T0 + 1)]);
    const shown = () =>
      [settled + 1, settled + 3].map((seq) => [intake.rows(intake.again(seq)), reasons(intake.again(seq))]);
    const before = shown();
    intake.persist();
    intake.prune(settled);
    expect([intake.count('context_cities'), intake.count('context_devices')]).toEqual([2, 3]);
    intake.restart();
    expect(shown()).toEqual(before);
    expect(before.map(([rows]) => rows!.length)).toEqual([1, 1]);
    intake.prune();
    expect([intake.count('context_cities'), intake.count('context_devices')]).toEqual([1, 3]);
    intake.devices([{ ...bin, id: 'gone', district: 'west' }]);
    intake.persist();
    intake.prune();
    expect(intake.count('context_devices')).toBe(2);
  });

  test('a block that is not the next throws: nothing may be learned in another order', () => {
    const intake = intakeBench();
    intake.city(cityControl());
    const block = { ...intake.blocks[0]!, seq: 3 };
    intake.blocks.push(block, block);
    expect(() => intake.again(2)).toThrow('intake has read blocks up to 1; block 3 is not the next');
  });
});

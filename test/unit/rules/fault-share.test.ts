import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Transition } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { cityControl, type Entry, native, testDir, write } from '../../kit/ingest/intake.ts';
import { startConsumer } from '../../kit/rules/consumer-run.ts';

const invalid = [{ value: -127, reason: 'no probe' }];
const metrics = { a: { min: 0, max: 100, invalid }, b: { min: -50, max: 50 }, c: { min: 0, max: 1 } };
const rules = [
  { id: 'broken', title: 'A', when: { metric: 'a', faults: '1h', above: 50, clear: 20 }, severity: 'low' },
  { id: 'silent', title: 'A', when: { absent: '2m' }, severity: 'low' },
];
const HEAD: Entry[] = [
  { kind: 'city', atMs: 0, body: cityControl({ metrics, rules }) },
  {
    kind: 'devices',
    atMs: 0,
    body: { version: 1, registered: [{ id: 'd1', profile: 'bin', district: 'east' }], revoked: [] },
  },
];

/** The transitions of one message of each value, ten seconds apart; the process starts again after each of `stops`. */
function transitionsOf(values: readonly object[], stops: readonly number[] = []) {
  const dir = testDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of HEAD) write(store, entry);
  const found: string[] = [];
  const effects = ({ rule, to, value }: Transition) => void found.push(`${rule} ${to} ${value}`);
  const open = () => startConsumer(dir, { effects });
  let process = open();
  for (const [i, metrics] of values.entries()) {
    const ts = (i + 1) * 10_000;
    write(store, { kind: 'messages', atMs: ts, messages: [native('d1', { ts, metrics }, ts)] });
    while (process.rules.step().length > 0);
    if (!stops.includes(i)) continue;
    process.close();
    process = open();
  }
  process.close();
  store.close();
  return found;
}

const VALUES = [{ a: 5 }, { a: -127 }, { a: -127 }, { a: -127 }, ...Array.from({ length: 20 }, () => ({ a: 5 }))];

test('fault codes - a rule watches their share of the values of a metric', () => {
  const ofShare = transitionsOf(VALUES).filter((one) => one.startsWith('broken'));
  expect(ofShare[0]).toMatch(/^broken firing 66\.6/);
  expect(ofShare[1]).toMatch(/^broken resolved/);
  expect(ofShare).toHaveLength(2);
});

test('fault codes - the share is the same after restarts', () => {
  expect(transitionsOf(VALUES, [1, 3, 8])).toEqual(transitionsOf(VALUES));
});

test('fault codes - a device that sends nothing else is silent', () => {
  const silent = transitionsOf([{ a: 5 }, ...Array.from({ length: 18 }, () => ({ a: -127 }))]);
  expect(silent.filter((one) => one.startsWith('silent'))).toEqual(['silent firing 120']);
});

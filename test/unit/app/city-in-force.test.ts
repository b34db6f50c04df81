import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type CityActions,
  cityAtStart,
  compileCity,
  createCityInForce,
  createFolderSeen,
  differingFiles,
  firstOfCluster,
} from '../../../app/city-in-force.ts';
import { cityActions } from '../../../app/recorded.ts';
import type { CityControl } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { cityControl } from '../../kit/ingest/intake.ts';

const warnings: unknown[] = [];
const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line)) });
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
  warnings.length = 0;
});
afterEach(() => rmSync(dir, { recursive: true }));

const [one, two, three] = ['1h', '2h', '3h'].map((past) => cityControl({ past, rules: [] })) as [
  CityControl,
  CityControl,
  CityControl,
];
const loaded = (control: CityControl) => compileCity(control, 'the city');

function recording(failing: readonly string[] = []) {
  const passed: string[] = [];
  const actions: CityActions = {
    change: async ({ control }) => {
      passed.push(`appended ${control.version}`);
      return 100;
    },
    pass: async ({ control }) => {
      if (failing.includes(control.version)) throw new Error('the broker is gone');
      passed.push(control.version);
    },
    keep: async () => {},
    repeated: () => null,
  };
  return { passed, actions };
}

const inForce = (actions: CityActions) =>
  createCityInForce({ folder: dir, first: loaded(one), seq: 10, seen: createFolderSeen(dir), log }, actions);

test('city - one whose caller gets no result in time is in force all the same', async () => {
  const { actions } = recording();
  const late = new Error('the rules have much to read before it');
  const change: CityActions['change'] = async (_next, _caller, inForce) => {
    inForce();
    throw late;
  };
  for (const { path, text } of two.files) writeFileSync(join(dir, path), text);
  const parts = { folder: dir, first: loaded(one), seq: 10, seen: null, log };
  const city = createCityInForce(parts, { ...actions, change });
  await expect(city.reload(null)).rejects.toBe(late);
  expect(city.current().control.version).not.toBe(one.version);
});

test('city - a reload that a person repeats is known by their name', () => {
  const result = { id: 'a', value: { changed: true, version: 'v1' }, error: null };
  const get = (actor: string, key: string) => (actor === 'person:p-1' && key === 'k' ? { command: '', result } : null);
  const never = () => Promise.reject(new Error('it is not asked for'));
  const { repeated } = cityActions({
    ...{ journal: { control: never }, notify: { city: never }, bound: never },
    recorded: () => ({ actions: { submit: never, accompany: never }, results: { get } }),
  });
  const ask = (kind: 'key' | 'person') =>
    repeated({ actor: { kind, id: 'p-1', role: 'admin', department: null }, address: null, key: 'k' });
  expect([ask('person'), ask('key')]).toEqual(['v1', null]);
});

test('city - what another node brought is in force here, without another record', async () => {
  const { passed, actions } = recording();
  const city = inForce(actions);
  await city.adopt(11, two);
  expect([city.current().control.version, passed]).toEqual([two.version, [two.version]]);
  // An event of a block before it, which is read again after a crash, brings nothing back.
  await city.adopt(10, one);
  await city.adopt(11, three);
  expect([city.current().control.version, passed]).toEqual([two.version, [two.version]]);
});

test('city - of two that come together the later block wins; one that cannot be read here leaves the one before it', async () => {
  const { passed, actions } = recording([three.version]);
  const city = inForce(actions);
  await Promise.all([city.adopt(12, two), city.adopt(13, three)]);
  expect([city.current().control.version, passed]).toEqual([two.version, [two.version]]);
  await city.adopt(14, { version: 'x', files: [{ path: 'city.yaml', text: ': :' }] });
  expect(city.current().control.version).toBe(two.version);
  expect(warnings).toMatchObject([{ block: 13 }, { block: 14 }]);
  await city.adopt(15, one);
  expect(city.current().control.version).toBe(one.version);
});

test('city - a start brings its folder into force where it is the first, or has changed since this node saw it', () => {
  expect(cityAtStart(one, null, null)).toBe('append');
  expect(cityAtStart(one, one, null)).toBe('same');
  expect(cityAtStart(one, two, null)).toBe('adopt');
  expect(cityAtStart(one, two, one.version)).toBe('adopt');
  expect(cityAtStart(one, two, three.version)).toBe('append');
  expect(cityAtStart(one, two, two.version)).toBe('append');
});

test('city - a node of a cluster starts with the city of the log where its folder is an old one, and names the files', () => {
  const seen = createFolderSeen(dir);
  expect(seen.get()).toBeNull();
  expect(firstOfCluster(loaded(one), dir, seen, log)).toMatchObject({ seq: null });
  const journal = new JournalStore(join(dir, 'journal.sqlite')).open();
  journal.appendControl('tick', Buffer.from('{}'), 1, null);
  expect(firstOfCluster(loaded(one), dir, seen, log)).toMatchObject({ seq: null });
  const append = (city: CityControl) =>
    journal.appendControl('city', Buffer.from(JSON.stringify({ ...city, action: {} })), 1, city.version);
  append(three);
  append(two);
  seen.put(one.version);
  expect(warnings).toEqual([]);
  const { loaded: first, seq } = firstOfCluster(loaded(one), dir, createFolderSeen(dir), log);
  expect([first.control, seq]).toEqual([two, 3]);
  expect(firstOfCluster(loaded(two), dir, seen, log)).toMatchObject({ loaded: { control: two }, seq: 3 });
  expect(warnings).toMatchObject([{ files: differingFiles(one, two) }]);
  expect(differingFiles(one, two).length).toBeGreaterThan(0);
  // Somebody changed the folder here.
  expect(firstOfCluster(loaded(three), dir, seen, log)).toMatchObject({ seq: null });
  journal.close();
});

test('city - files that are missing on one side differ, too', () => {
  const files = (...all: [string, string][]) => ({ files: all.map(([path, text]) => ({ path, text })) });
  expect(differingFiles(files(['a', '1'], ['b', '1'], ['c', '1']), files(['d', '1'], ['b', '2'], ['c', '1']))).toEqual([
    'a',
    'b',
    'd',
  ]);
});

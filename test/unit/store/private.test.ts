import { chmodSync, mkdirSync, mkdtempSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { keepPrivate, openDatabase } from '../../../store/index.ts';
import { othersIn } from '../../kit/store/modes.ts';

let dir: string;
let lines: unknown[];
const log = {
  info: (fields: unknown) => void lines.push(fields),
  warn: (fields: unknown) => void lines.push(fields),
};
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'lamppost-private-')), 'data');
  lines = [];
});

test('files - a new data folder is its owner’s only', () => {
  keepPrivate(dir, log);
  keepPrivate(dir, log);
  expect([modeOf(dir), lines]).toEqual(['700', []]);
});

test('files - a database and its side files are private from their first byte', () => {
  mkdirSync(dir);
  const db = openDatabase(join(dir, 'a.sqlite'), { schemas: [] });
  db.exec('create table t (n integer)');
  expect(readdirSync(dir).toSorted()).toEqual(['a.sqlite', 'a.sqlite-shm', 'a.sqlite-wal']);
  chmodSync(dir, 0o700);
  expect(othersIn(dir)).toEqual([]);
  db.close();
});

test('files - a folder of an earlier version is tightened, with one line of log; the folder of backups stays', () => {
  mkdirSync(join(dir, 'media'), { recursive: true });
  mkdirSync(join(dir, 'backups'));
  for (const name of ['state.sqlite', 'state.sqlite-wal', 'media/a.jpg', 'backups/b']) {
    writeFileSync(join(dir, name), '');
    chmodSync(join(dir, name), 0o644);
  }
  for (const name of ['', 'media', 'backups']) chmodSync(join(dir, name), 0o755);
  const outside = join(dir, '..', 'outside');
  writeFileSync(outside, '');
  chmodSync(outside, 0o644);
  symlinkSync(outside, join(dir, 'link'));
  keepPrivate(dir, log, join(dir, 'backups'));
  expect(lines).toEqual([{ dir, changed: 5 }]);
  expect(
    ['', 'state.sqlite', 'state.sqlite-wal', 'media', 'media/a.jpg'].map((name) => modeOf(join(dir, name))),
  ).toEqual(['700', '600', '600', '700', '600']);
  expect([modeOf(join(dir, 'backups')), modeOf(join(dir, 'backups/b')), modeOf(outside)]).toEqual([
    '755',
    '644',
    '644',
  ]);
  keepPrivate(dir, log, join(dir, 'backups'));
  expect(lines).toHaveLength(1);
});

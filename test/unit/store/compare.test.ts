import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareFiles } from '../../../store/index.ts';

let dir: string;
const at = (name: string) => join(dir, name);

function create(name: string, sql: string): void {
  const db = new DatabaseSync(at(name));
  db.exec(`create table a (id integer primary key, text text, bytes blob); create table b (id text) strict; ${sql}`);
  db.close();
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-compare-'));
  create('one', "insert into a values (1, null, x'00'), (2, 'two', x'01'), (3, 'x', null); insert into b values ('b')");
  create(
    'same',
    "insert into a values (3, 'x', null), (2, 'two', x'01'), (1, null, x'00'); insert into b values ('b')",
  );
  create('other', "insert into a values (1, null, x'00'), (2, 'two', x'02'); insert into b values ('c')");
});
afterAll(() => rmSync(dir, { recursive: true }));

test('compare - the same rows are equal, in whatever order they were written', () => {
  expect(compareFiles(at('one'), at('same'), { except: [] })).toEqual([]);
});

test('compare - every table that differs is listed with the rows that only one file has', () => {
  const [found, ...more] = compareFiles(at('one'), at('other'), { except: ['b'] });
  expect(more).toEqual([]);
  expect(found).toMatchObject({
    table: 'a',
    left: [{ id: 2, text: 'two' }, { id: 3 }],
    right: [{ id: 2, text: 'two' }],
  });
});

test('compare - at most so many rows of a table are listed', () => {
  expect(compareFiles(at('one'), at('other'), { except: [], most: 1 }).map(({ left }) => left.length)).toEqual([1, 1]);
});

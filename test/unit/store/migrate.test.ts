import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { migrate, openDatabase, type RoomSchema, transact } from '../../../store/index.ts';

const BINS = 'create table if not exists bins (id text primary key) strict';
const LAMPS = 'create table if not exists lamps (id text primary key, bin text references bins (id)) strict';

const newFile = () => join(mkdtempSync(join(tmpdir(), 'lamppost-store-')), 'a.sqlite');
const bins = (...steps: RoomSchema['steps']): RoomSchema => ({ room: 'bins', steps });
const versions = (db: DatabaseSync) =>
  Object.fromEntries(
    db
      .prepare('select * from schema_versions')
      .all()
      .map(({ room, version }) => [room, version]),
  );
const columns = (db: DatabaseSync, table: string) =>
  db
    .prepare('select name from pragma_table_info(?)')
    .all(table)
    .map(({ name }) => name);

describe('migrate', () => {
  test('every step runs once, in order; rooms have versions of their own', () => {
    const db = new DatabaseSync(':memory:');
    const ran: string[] = [];
    const step = (name: string) => () => void ran.push(name);
    migrate(db, [bins(BINS), { room: 'lamps', steps: [step('lamps 1'), step('lamps 2')] }]);
    expect(versions(db)).toEqual({ bins: 1, lamps: 2 });
    migrate(db, [bins(BINS, step('bins 2')), { room: 'lamps', steps: [step('lamps 1'), step('lamps 2')] }]);
    expect(ran).toEqual(['lamps 1', 'lamps 2', 'bins 2']);
    expect(versions(db)).toEqual({ bins: 2, lamps: 2 });
  });

  test('a step that fails changes nothing; the steps before it stay, and the next call continues there', () => {
    const db = new DatabaseSync(':memory:');
    const broken = bins(BINS, 'alter table bins add column half text; alter table nowhere add column x text');
    expect(() => migrate(db, [broken])).toThrow('nowhere');
    expect(versions(db)).toEqual({ bins: 1 });
    expect(columns(db, 'bins')).toEqual(['id']);
    migrate(db, [bins(BINS, 'alter table bins add column fill real')]);
    expect(columns(db, 'bins')).toEqual(['id', 'fill']);
  });

  test('kill -9 in the middle of a step - the file is at the step before, and the next start goes on', () => {
    const file = newFile();
    const child = fileURLToPath(new URL('../../kit/store/migrate-child.ts', import.meta.url));
    expect(spawnSync(process.execPath, [child, file]).signal).toBe('SIGKILL');
    const db = openDatabase(file, { schemas: [bins(BINS, 'alter table bins add column fill real')] });
    expect(columns(db, 'bins')).toEqual(['id', 'fill']);
    expect(versions(db)).toEqual({ bins: 2 });
  });

  test('a file from before there were versions becomes version 1, with all its rows', () => {
    const db = new DatabaseSync(':memory:');
    db.exec(`${BINS}; insert into bins values ('bin-1')`);
    migrate(db, [bins(BINS, 'alter table bins add column fill real')]);
    expect(db.prepare('select * from bins').all()).toEqual([{ id: 'bin-1', fill: null }]);
    expect(versions(db)).toEqual({ bins: 2 });
  });

  test('a file that a newer Lamppost wrote is refused by name, and left unchanged', () => {
    const file = newFile();
    openDatabase(file, { schemas: [bins(BINS, 'select 1'), { room: 'lamps', steps: [LAMPS] }] }).close();
    const before = readFileSync(file);
    const older = bins(BINS);
    const lamps = { room: 'lamps', steps: [LAMPS, 'alter table lamps add column lit integer'] };
    expect(() => openDatabase(file, { schemas: [older, lamps] })).toThrow(
      expect.objectContaining({
        name: 'LamppostError',
        code: 'too-new',
        message: expect.stringMatching(/a\.sqlite has the tables of "bins" in version 2, .* knows versions up to 1/),
      }),
    );
    expect(() => openDatabase(file, { schemas: [bins(BINS, 'select 1')] })).toThrow(/"lamps" in version 1, .* nothing/);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test('a table to which others refer can be rebuilt; a step that leaves a reference to nothing fails', () => {
    const db = new DatabaseSync(':memory:');
    const lamps = { room: 'lamps', steps: [LAMPS] };
    migrate(db, [bins(BINS), lamps]);
    db.exec("insert into bins values ('bin-1'); insert into lamps values ('lamp-1', 'bin-1')");
    const rebuild = (fill: string) => `
      create table wider (id text primary key, fill real) strict;
      ${fill}
      drop table bins;
      alter table wider rename to bins;`;
    expect(() => migrate(db, [bins(BINS, rebuild('')), lamps])).toThrow('step 2 of bins breaks a reference of lamps');
    expect(columns(db, 'bins')).toEqual(['id']);
    migrate(db, [bins(BINS, rebuild('insert into wider select id, 12 from bins;')), lamps]);
    expect(db.prepare('select bin, fill from lamps join bins on bins.id = bin').all()).toEqual([
      { bin: 'bin-1', fill: 12 },
    ]);
    expect(() => db.exec("insert into lamps values ('lamp-2', 'bin-2')"), 'enforced again').toThrow('FOREIGN KEY');
  });
});

describe('openDatabase', () => {
  test('what is committed is synced, in WAL; the size of a page is that of the first opening', () => {
    const file = newFile();
    const settings = (db: DatabaseSync) =>
      ['journal_mode', 'synchronous', 'page_size'].map((name) => Object.values(db.prepare(`pragma ${name}`).get()!)[0]);
    const first = openDatabase(file, { schemas: [bins(BINS)], pageSize: 16_384 });
    expect(settings(first)).toEqual(['wal', 2, 16_384]);
    first.close();
    expect(settings(openDatabase(file, { schemas: [bins(BINS)] }))).toEqual(['wal', 2, 16_384]);
  });

  test('a file that is not a database, and a missing folder, are named in the error', () => {
    const file = newFile();
    writeFileSync(
      file,
      'this is a letter, not a database; it is long enough to have a header of one hundred bytes, though.',
    );
    for (const [path, code] of [
      [file, 'damaged'],
      [join(file, '..', 'nowhere', 'a.sqlite'), 'disk'],
    ] as const) {
      const disk = { name: 'LamppostError', code, retryable: false, message: expect.stringContaining(path) };
      expect(() => openDatabase(path, { schemas: [bins(BINS)] })).toThrow(expect.objectContaining(disk));
    }
  });

  test('a mistake in a step is a bug, not a fault of the disk', () => {
    expect(() => openDatabase(newFile(), { schemas: [bins('create tabel bins')] })).toThrow(
      expect.objectContaining({ name: 'Error', code: 'ERR_SQLITE_ERROR' }),
    );
  });
});

test('transact - commits all or nothing, and returns the result or throws the error of the work', () => {
  const db = new DatabaseSync(':memory:');
  migrate(db, [bins(BINS)]);
  const insert = db.prepare('insert into bins values (?)');
  expect(transact(db, () => insert.run('bin-1').changes)).toBe(1);
  const error = new Error('in the middle');
  expect(() =>
    transact(db, () => {
      insert.run('bin-2');
      throw error;
    }),
  ).toThrow(error);
  expect(db.prepare('select id from bins').all()).toEqual([{ id: 'bin-1' }]);
  expect(db.isTransaction).toBe(false);
});

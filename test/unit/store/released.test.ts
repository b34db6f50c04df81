import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openRegistry } from '../../../broker/index.ts';
import { systemClock } from '../../../domain/index.ts';
import { JournalStore } from '../../../ingest/index.ts';
import { openStateFile } from '../../../threads/state.ts';
import { loadSql } from '../../kit/sql-dump.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/state', import.meta.url));
const FILES = {
  state: (dir: string) => openStateFile(dir),
  registry: (dir: string) => openRegistry(join(dir, 'registry.sqlite'), systemClock),
  journal: (dir: string) => new JournalStore(join(dir, 'journal.sqlite')),
};
type Name = keyof typeof FILES;
const cases = readdirSync(FIXTURES).flatMap((version) =>
  (Object.keys(FILES) as Name[]).map((name) => [version, name] as const),
);

const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-released-'));

/** Everything that a file is made of, however it was indented, and each room's version. */
function schemaOf(path: string): unknown {
  const db = new DatabaseSync(path, { readOnly: true });
  const things = db
    .prepare('select type, name, sql from sqlite_schema where sql is not null order by type, name')
    .all();
  const versions = db.prepare('select room, version from schema_versions order by room').all();
  db.close();
  return { versions, things: things.map((thing) => ({ ...thing, sql: String(thing.sql).replace(/\s+/g, ' ') })) };
}

/** Rows by table, but for the versions. */
function rowsOf(path: string): Record<string, number> {
  const db = new DatabaseSync(path, { readOnly: true });
  const names = db.prepare("select name from sqlite_schema where type = 'table' order by name").all();
  const counts = names.map(({ name }) => [
    String(name),
    Number(db.prepare(`select count(*) as n from "${name}"`).get()!.n),
  ]);
  db.close();
  return Object.fromEntries(counts);
}

test.each(cases)(
  '%s - %s.sqlite becomes what a new file is, with every row: a change of a table is a step of its own',
  (version, name) => {
    const [old, fresh] = [newDir(), newDir()];
    const path = join(old, `${name}.sqlite`);
    const dump = join(FIXTURES, version, `${name}.sql`);
    expect(existsSync(dump)).toBe(true);
    loadSql(readFileSync(dump, 'utf8'), path);
    const before = rowsOf(path);
    FILES[name](old).close();
    FILES[name](fresh).close();
    expect(schemaOf(path)).toEqual(schemaOf(join(fresh, `${name}.sqlite`)));
    expect(rowsOf(path)).toMatchObject(before);
  },
);

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openStateFile } from '../../../app/threads/state.ts';
import { createCitizenStore } from '../../../citizens/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { openDeliveries } from '../../../notify/index.ts';
import { loadSql } from '../../kit/sql-dump.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/state', import.meta.url));
/**
 * How the owner of each file opens it; the broker's thread opens that of sessions
 * (test/integration/migrations.test.ts).
 */
const OWNERS: Readonly<Record<string, (path: string) => { close(): void }>> = {
  state: (path) => openStateFile(dirname(path)),
  journal: (path) => new JournalStore(path).open(),
  deliveries: (path) => openDeliveries(path),
  reporters: (path) => createCitizenStore({ path }).open(),
};
const cases = readdirSync(FIXTURES).flatMap((version) =>
  readdirSync(join(FIXTURES, version))
    .filter((file) => file.endsWith('.sql'))
    .map((file) => [version, file.slice(0, -'.sql'.length)] as const)
    // No newer version has that file any more: a start takes its rows over (test/integration/migrations.test.ts).
    .filter(([, name]) => Object.hasOwn(OWNERS, name) && name !== 'registry'),
);

/** Tables whose rows are in another one now, where test/integration/migrations.test.ts finds them. */
const MOVED: Readonly<Record<string, readonly string[]>> = { deliveries: ['secrets', 'webhook_subscriptions'] };

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
  const names = db
    .prepare("select name from sqlite_schema where type = 'table' and name <> 'schema_versions' order by name")
    .all();
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
    loadSql(readFileSync(join(FIXTURES, version, `${name}.sql`), 'utf8'), path);
    const before = rowsOf(path);
    for (const table of MOVED[name] ?? []) delete before[table];
    OWNERS[name]!(path).close();
    OWNERS[name]!(join(fresh, `${name}.sqlite`)).close();
    expect(schemaOf(path)).toEqual(schemaOf(join(fresh, `${name}.sqlite`)));
    expect(rowsOf(path)).toMatchObject(before);
  },
);

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';

const DOC = fileURLToPath(new URL('../../docs/storage.md', import.meta.url));

/** A table that docs/storage.md lists. */
export interface ListedTable {
  readonly file: string;
  readonly table: string;
  /** Whether it is kept for ever. */
  readonly isRecord: boolean;
}

/** Returns the tables of docs/storage.md: those in the first column, under the heading that names their file. */
export function listedTables(): ListedTable[] {
  return readFileSync(DOC, 'utf8')
    .split(/^## /m)
    .flatMap((section) => {
      const file = /^`(\w+\.(?:sqlite|duckdb))`/.exec(section)?.[1];
      if (file === undefined) return [];
      return [...section.matchAll(/^\| (`.*?`) \| (.*?) \|/gm)].flatMap(([, names, bound]) =>
        [...names!.matchAll(/`(\w+)`/g)].map(([, table]) => ({ file, table: table!, isRecord: isRecord(bound!) })),
      );
    });
}

const isRecord = (bound: string) => /\brecord\b/.test(bound);

/** Returns the names of the tables of each database in a data folder, by file. Its server must have stopped. */
export async function tablesIn(dir: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const file of readdirSync(dir).sort()) {
    if (file.endsWith('.sqlite')) found.set(file, sqliteTables(join(dir, file)));
    if (file.endsWith('.duckdb')) found.set(file, await duckdbTables(join(dir, file)));
  }
  return found;
}

function sqliteTables(path: string): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare("select name from sqlite_schema where type = 'table' order by name").all();
  db.close();
  return rows.map(({ name }) => String(name));
}

async function duckdbTables(path: string): Promise<string[]> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const rows = (await connection.runAndReadAll('select table_name from duckdb_tables() order by 1')).getRows();
  connection.closeSync();
  instance.closeSync();
  return rows.map(([name]) => String(name));
}

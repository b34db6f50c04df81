import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';

/** Dumps a database file as SQL that creates it again: page size, tables, rows, then indexes and triggers. */
export function dumpSql(path: string): string {
  const db = new DatabaseSync(path, { readOnly: true });
  const { page_size: pageSize } = db.prepare('pragma page_size').get()!;
  const things = db.prepare('select type, name, sql from sqlite_schema where sql is not null order by rowid').all();
  // SQLite makes this one by itself, and fills it with every row.
  const numbers = things.filter(({ name }) => name === 'sqlite_sequence');
  const tables = things.filter(({ type, name }) => type === 'table' && name !== 'sqlite_sequence');
  const others = things.filter(({ type }) => type !== 'table');
  const lines = [
    `pragma page_size = ${pageSize};`,
    ...tables.map(({ sql }) => `${sql};`),
    ...tables.flatMap(({ name }) => rowsOf(db, String(name))),
    ...numbers.flatMap(() => ['delete from sqlite_sequence;', ...rowsOf(db, 'sqlite_sequence')]),
    ...others.map(({ sql }) => `${sql};`),
  ];
  db.close();
  return `${lines.join('\n')}\n`;
}

/** Creates a database file from a dump. */
export function loadSql(sql: string, path: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function rowsOf(db: DatabaseSync, table: string): string[] {
  const rows = db.prepare(`select * from "${table}"`).all();
  return rows.map((row) => `insert into "${table}" values (${Object.values(row).map(literal).join(', ')});`);
}

function literal(value: SQLOutputValue): string {
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
}

import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';

type Row = Readonly<Record<string, SQLOutputValue>>;

/** Rows of one table that only one of two files has. A row that differs is in both lists. */
export interface TableDifference {
  readonly table: string;
  /** The first rows that only the first file has, in the order of their columns. */
  readonly left: readonly Row[];
  readonly right: readonly Row[];
}

interface CompareOptions {
  /** Tables that may differ. */
  readonly except: readonly string[];
  /** What is compared of some tables: a query of one file (`main` or `other`), which may look at the other one. */
  readonly parts?: Readonly<Record<string, (of: string, beside: string) => string>>;
  /** The most rows that are listed for each table and side (10). */
  readonly most?: number;
}

/**
 * Compares two SQLite files table by table, every column of every row, and returns the tables that differ; none where
 * the files are equal. Throws where the columns of a table are not the same: migrate both first.
 */
export function compareFiles(
  left: string,
  right: string,
  { except, parts = {}, most = 10 }: CompareOptions,
): TableDifference[] {
  const db = new DatabaseSync(left, { readOnly: true });
  try {
    db.prepare('attach ? as other').run(right);
    const tables = db.prepare(
      "select name from main.sqlite_schema where type = 'table' union select name from other.sqlite_schema where type = 'table'",
    );
    const rows = (table: string, of: string, beside: string) =>
      parts[table]?.(of, beside) ?? `select * from ${of}."${table}"`;
    const only = (table: string, one: string, two: string): Row[] =>
      db
        .prepare(`select * from (${rows(table, one, two)}) except select * from (${rows(table, two, one)}) limit ?`)
        .all(most);
    return tables
      .all()
      .map(({ name }) => String(name))
      .filter((table) => !except.includes(table))
      .map((table) => ({ table, left: only(table, 'main', 'other'), right: only(table, 'other', 'main') }))
      .filter(({ left: here, right: there }) => here.length + there.length > 0);
  } finally {
    db.close();
  }
}

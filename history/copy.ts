import type { DuckDBInstance } from '@duckdb/node-api';

const COPY = 'the_copy';

/**
 * Copies a database that is written to into a new file, table by table in one snapshot; resolves to the cursor in it. A copy
 * of the file itself would have to keep the writer out for as long as it takes. One at a time.
 */
export async function copyDuckdb(instance: DuckDBInstance, path: string): Promise<number> {
  const connection = await instance.connect();
  const value = async (sql: string) => (await connection.runAndReadAll(sql)).getRows()[0]?.[0];
  try {
    const source = await value('select current_database()');
    await connection.run(`attach '${path.replaceAll("'", "''")}' as ${COPY}`);
    try {
      await connection.run(`copy from database "${source}" to ${COPY}`);
      await connection.run(`checkpoint ${COPY}`);
      return Number((await value(`select max(cursor) from ${COPY}.progress`)) ?? 0);
    } finally {
      await connection.run(`detach ${COPY}`);
    }
  } finally {
    connection.closeSync();
  }
}

/**
 * A program of its own that reads a history file to its end and prints how many readings it has and its cursor, as
 * JSON. DuckDB checks each block of the file when it reads it; what it meets in a damaged one can end the process.
 */
import { DuckDBInstance } from '@duckdb/node-api';

const [path] = process.argv.slice(2);
const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY', threads: '1', memory_limit: '256MiB' });
const connection = await instance.connect();
const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRows();
const columns = await rows(
  "select table_name, column_name from information_schema.columns where table_schema = 'main'",
);
for (const [table, column] of columns) await rows(`select bit_xor(hash("${column}")) from "${table}"`);
const [[readings, cursor] = []] = await rows(
  'select (select count(*) from readings), (select max(cursor) from progress)',
);
const [[pruned] = []] = await rows('select count(*) from pruned');
console.log(JSON.stringify({ readings: Number(readings), cursor: Number(cursor ?? 0), pruned: Number(pruned) > 0 }));

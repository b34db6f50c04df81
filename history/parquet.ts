/** Parquet as CSV. As a program of its own it writes the CSV of one file to its standard output. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LamppostError } from '../domain/index.ts';
import { loadDuckdb } from './duckdb-file.ts';

/** What one import may become as CSV, bytes. */
const MOST_CSV = 64 * 1024 ** 2;
/** What DuckDB may use to read a file. */
const LIMITS = { threads: '1', memory_limit: '256MiB', max_temp_directory_size: '0MiB' };
const TIMES = /^(TIMESTAMP|DATE)/;

/**
 * Yields the rows of a Parquet file as CSV with a header, some thousands at a time; times are epoch milliseconds.
 * Throws `invalid` where it is no such file.
 */
export async function* csvOfParquet(path: string): AsyncGenerator<string, void, undefined> {
  const { DuckDBInstance } = await loadDuckdb();
  const instance = await DuckDBInstance.create(':memory:', LIMITS);
  try {
    const connection = await instance.connect();
    const file = `read_parquet('${path.replaceAll("'", "''")}')`;
    const columns = (await connection.runAndReadAll(`describe select * from ${file}`)).getRows();
    const names = columns.map(([name]) => String(name));
    yield `${names.map(quoted).join(',')}\n`;
    const line = columns.map(([name, type]) => csvValue(String(name), String(type))).join(` || ',' || `);
    const result = await connection.stream(`select ${line} from ${file}`);
    for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk())
      yield `${chunk.getColumnValues(0).join('\n')}\n`;
  } catch (cause) {
    const why = (cause as Error).message.split('\n')[0];
    throw new LamppostError('invalid', `the file cannot be read as Parquet: ${why}`, { cause });
  } finally {
    instance.closeSync();
  }
}

/** SQL of one value as CSV; null is empty. */
function csvValue(name: string, type: string): string {
  const column = `"${name.replaceAll('"', '""')}"`;
  if (TIMES.test(type)) return `coalesce(epoch_ms(${column})::varchar, '')`;
  if (type !== 'VARCHAR') return `coalesce(${column}::varchar, '')`;
  return `coalesce('"' || replace(${column}, '"', '""') || '"', '')`;
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

const SELF = fileURLToPath(import.meta.url);

/**
 * Returns a Parquet file as CSV, read in a process of its own: what ends it ends nothing else. Throws `invalid` where
 * it cannot be read, or is too large.
 */
export function parquetAsCsv(path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [SELF, path], { encoding: 'buffer', maxBuffer: MOST_CSV }, (error, text, said) => {
      if (error === null) return resolve(text);
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER';
      const why = isTooLarge
        ? `the file has more than ${MOST_CSV} bytes as CSV; "lamppost import readings" sends it in pieces`
        : said.toString('utf8').trim() || 'the file cannot be read as Parquet';
      reject(new LamppostError('invalid', why));
    });
  });
}

if (process.argv[1] === SELF) {
  try {
    for await (const text of csvOfParquet(process.argv[2]!)) {
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  } catch (error) {
    process.stderr.write((error as Error).message);
    process.exitCode = 1;
  }
}

import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import { LamppostError, type ReadingsQuery } from '../domain/index.ts';
import { statementOf } from './query.ts';

const MARK = '.export-';

/** Writes what a query finds beside the history, and resolves to the file's path. Throws `history` where it cannot. */
export async function writeParquet(
  connection: DuckDBConnection,
  path: string,
  query: Omit<ReadingsQuery, 'maxPoints'>,
  options: { unitOf: (metric: string) => string; prunedMs: number; metrics: readonly string[] },
): Promise<string> {
  const { sql, params } = statementOf(query, options.prunedMs);
  const file = `${path}${MARK}${randomUUID()}.parquet`;
  const units = options.metrics.map((metric) => `when ${text(metric)} then ${text(options.unitOf(metric))} `);
  const unit = `case metric ${units.join('')}else '' end`.replace('case metric else', 'case when true then');
  const rows = `select epoch_ms(t) as ts, device, metric, ${unit} as unit, v as value from (${sql})`;
  try {
    await connection.run(
      `copy (${rows} order by device, metric, ts) to ${text(file)} (format parquet, compression zstd)`,
      params as DuckDBValue[],
    );
  } catch (cause) {
    rmSync(file, { force: true });
    throw new LamppostError('history', `the export could not be written: ${(cause as Error).message}`, { cause });
  }
  return file;
}

/** Removes what exports left behind when the process ended in the middle of one. */
export function removeExports(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`${basename(path)}${MARK}`)) rmSync(join(folder, name), { force: true });
  }
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

import { copyFileSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDuckdbHistory } from '../../../history/index.ts';
import { batchOf, metricTable, rowsIn } from '../../kit/history/batches.ts';

const PAGE = 4_096;
const open = (path: string, lines: unknown[] = []) =>
  createDuckdbHistory({
    path,
    metrics: metricTable(),
    unitOf: () => 'u',
    log: { warn: (fields: unknown) => void lines.push(fields) },
  });

/**
 * Batch `n`, every value another: DuckDB's checksum is an XOR over words, so it does not see that an even number of
 * equal ones became zeros.
 */
const distinct = (n: number) => {
  const batch = batchOf(n);
  return { ...batch, value: Array.from(batch.value, (value, row) => value + row / 7) };
};

const rowsUpTo = (n: number) => Array.from({ length: n }, (_, i) => rowsIn(i + 1)).reduce((sum, rows) => sum + rows, 0);

/** A history with three batches in its log, and where the log ended after each. */
async function threeBatches() {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-torn-')), 'history.duckdb');
  const history = open(path);
  await history.start();
  const ends = [];
  for (let n = 1; n <= 3; n++) {
    await history.append([distinct(n)], n);
    ends.push(statSync(`${path}.wal`).size);
  }
  const [file, log] = [readFileSync(path), readFileSync(`${path}.wal`)];
  await history.stop();
  return { file, log, ends };
}

/** Opens a file with this log; resolves to its cursor, how many positions it was cut at, and its path. */
async function opened(file: Buffer, log: Buffer) {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-torn-')), 'history.duckdb');
  writeFileSync(path, file);
  writeFileSync(`${path}.wal`, log);
  const lines: unknown[] = [];
  const history = open(path, lines);
  await history.start();
  const cursor = history.cursor();
  expect(await history.count()).toBe(rowsUpTo(cursor));
  // It goes on, and what it writes then is read by the next start.
  await history.append([distinct(cursor + 1)], cursor + 1);
  const [grown, after] = [`${path}.again`, `${path}.again.wal`];
  copyFileSync(path, grown);
  copyFileSync(`${path}.wal`, after);
  await history.stop();
  const again = open(grown);
  await again.start();
  expect([again.cursor(), await again.count()]).toEqual([cursor + 1, rowsUpTo(cursor + 1)]);
  await again.stop();
  return { cursor, cuts: lines.length, keptCut: existsSync(`${path}.wal.cut`) };
}

test('history - a log that ends in zeros, as a power loss may leave it, has every batch before them', async () => {
  const { file, log } = await threeBatches();
  const found = await opened(file, Buffer.concat([log, Buffer.alloc(PAGE)]));
  expect(found).toEqual({ cursor: 3, cuts: 1, keptCut: true });
});

test('history - of a log whose last batch is half written, the batches before it are there', async () => {
  const { file, log, ends } = await threeBatches();
  const [, second, third] = ends as [number, number, number];
  for (const from of [second + 1, second + 8, second + 17, Math.floor((second + third) / 2), third - 20]) {
    const torn = Buffer.from(log).fill(0, from);
    expect((await opened(file, torn)).cursor, `zeros from ${from} of ${second} to ${third}`).toBe(2);
  }
});

test('history - of a log whose last batch lacks a page, the batches before it are there', async () => {
  const { file, log, ends } = await threeBatches();
  const first = Math.ceil(ends[1]! / PAGE) * PAGE;
  for (let from = first; from + PAGE < log.length; from += 4 * PAGE) {
    const torn = Buffer.from(log).fill(0, from, from + PAGE);
    // Some pages of a log are zeros anyway.
    if (torn.equals(log)) continue;
    expect((await opened(file, torn)).cursor, `no page at ${from}`).toBe(2);
  }
});

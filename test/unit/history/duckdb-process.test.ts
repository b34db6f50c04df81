import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import { createDuckdbProcess, type HistoryProcess } from '../../../history/index.ts';
import { batchOf, metricTable, replacedIn, rowsIn } from '../../kit/history/batches.ts';
import { newest, queried } from '../../kit/history/read.ts';

const QUERY = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, fn: 'mean', maxPoints: 1_000_000 } as const;

async function open(path = join(mkdtempSync(join(tmpdir(), 'lamppost-process-')), 'history.duckdb')) {
  const history = createDuckdbProcess({
    path,
    metrics: metricTable(),
    measures: () => ({ a: { unit: 'µg', kind: 'gauge', max: 1_000 } }),
    limits: {},
    log: pino({ level: 'silent' }),
  });
  await history.start();
  return { path, history };
}

const append = (history: HistoryProcess, n: number) => history.append([batchOf(n)], n, [replacedIn(n)]);

/** Kills the process; resolves when another one has the file open. */
async function crash(history: HistoryProcess): Promise<void> {
  const { pid, restarts } = await history.status();
  process.kill(pid!, 'SIGSEGV');
  while ((await history.status()).restarts === restarts || history.trouble() !== null) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('the process of the history - stores what it is sent, replaces what it is asked to, and reads it with units', async () => {
  const { path, history } = await open();
  for (let n = 1; n <= 4; n++) await append(history, n);
  expect(history.cursor()).toBe(4);
  expect(await history.count()).toBe(rowsIn(1) + rowsIn(2) + rowsIn(3) + rowsIn(4));
  const series = await queried(history, QUERY);
  expect(series.map(({ device, metric, unit }) => `${device} ${metric} ${unit}`)).toContain('d0 a µg');
  expect(series.find(({ device }) => device === 'd0')!.points[0]![1]).toBe(1.5);
  expect((await newest(history, { devices: ['d1'] }))[0]).toMatchObject({ unit: 'µg', value: 3 });
  const scanned = { devices: ['d0', 'd1'], metrics: ['a'], fromMs: 0, toMs: 1_800_000_000_000 };
  let rows = 0;
  for await (const { ts } of history.scan(scanned)) rows += ts.length;
  expect(rows).toBe(series.filter(({ device }) => /d[01]/.test(device)).flatMap(({ points }) => points).length);
  await history.stop();
  const again = await open(path);
  expect(again.history.cursor()).toBe(4);
  await again.history.stop();
});

test('the process of the history - is started again when it was killed, and its cursor says what it had committed', async () => {
  const { history } = await open();
  await append(history, 1);
  const read = history.read(QUERY)[Symbol.asyncIterator]();
  await read.next();
  // It may be committed or not when the process ends: only the cursor knows.
  const second = append(history, 2).then(
    () => 'stored',
    (error: { code: string; retryable: boolean }) => error,
  );
  await crash(history);
  const outcome = await second;
  if (outcome !== 'stored') expect(outcome).toMatchObject({ code: 'history', retryable: true });
  if (history.cursor() < 2) await append(history, 2);
  await append(history, 3);
  expect(await history.count()).toBe(rowsIn(1) + rowsIn(2) + rowsIn(3));
  expect((await history.status()).restarts).toBe(1);
  await history.stop();
});

test('the process of the history - while it is away, calls throw a fault that passes, with the reason', async () => {
  const { history } = await open();
  const { pid } = await history.status();
  process.kill(pid!, 'SIGKILL');
  while (history.trouble() === null) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(history.trouble()).toContain('ended (SIGKILL)');
  await expect(append(history, 1)).rejects.toMatchObject({ code: 'history', retryable: true });
  await expect(queried(history, QUERY)).rejects.toMatchObject({ code: 'history', retryable: true });
  await history.stop();
});

test('the process of the history - an error of a query keeps its code, an abort its reason', async () => {
  const { history } = await open();
  await append(history, 3);
  await expect(queried(history, { ...QUERY, maxPoints: 1 })).rejects.toMatchObject({ code: 'invalid' });
  const reason = new Error('the client is gone');
  const aborted = AbortSignal.abort(reason);
  await expect(queried(history, QUERY, { signal: aborted })).rejects.toBe(reason);
  await expect(history.exportParquet(QUERY, { signal: aborted })).rejects.toBe(reason);
  await history.stop();
});

test('the process of the history - what it sends has memory of its own, which can be moved on to another thread', async () => {
  const { history } = await open();
  for (let n = 1; n <= 8; n++) await append(history, n);
  const scanned = { devices: ['d0', 'd1'], metrics: ['a'], fromMs: 0, toMs: 1_800_000_000_000 };
  // Where an array lies in a message depends on what is before it: names of many lengths.
  for (let n = 0; n < 16; n++) {
    for await (const slice of history.read({ ...QUERY, devices: ['d0', 'd1', 'x'.repeat(n)] })) {
      structuredClone(slice, { transfer: [slice.ts.buffer, slice.value.buffer] });
    }
  }
  for await (const { device, metric, ts, value } of history.scan(scanned)) {
    structuredClone({ ts }, { transfer: [device.buffer, metric.buffer, ts.buffer, value.buffer] });
  }
  await history.stop();
});

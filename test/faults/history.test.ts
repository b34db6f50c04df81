import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createDuckdbHistory } from '../../history/index.ts';
import { metricTable, rowsIn, tsOf } from '../kit/history/batches.ts';
import { queried } from '../kit/history/read.ts';

const CHILD = fileURLToPath(new URL('../kit/history/child.ts', import.meta.url));
const KILLS = 6;

/**
 * Lets a child append until it has stored `batches` more and a random time has passed; then kill -9. Returns the last
 * batch it reported.
 */
async function appendUntilKilled(path: string, batches: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let reported = 0;
  let first = 0;
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk;
    reported = Number(text.trimEnd().split('\n').at(-1));
    first ||= Number(text.split('\n')[0]);
    if (reported - first >= batches && !child.killed) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
      child.kill('SIGKILL');
    }
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  return reported;
}

async function look(path: string) {
  const history = createDuckdbHistory({ path, metrics: metricTable(), unitOf: () => 'u' });
  await history.start();
  const { fromMs, toMs } = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER };
  const series = await queried(history, { fromMs, toMs, fn: 'mean', maxPoints: 10_000_000 });
  const cursor = history.cursor();
  const count = await history.count();
  await history.stop();
  return { cursor, count, points: new Map(series.flatMap(({ points }) => points)) };
}

test('kill -9 in the middle of appends - the history holds every batch that was stored, none in part, and none twice', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-history-kill-')), 'history.duckdb');
  let cursor = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const reported = await appendUntilKilled(path, 5 + kill * 4);
    const found = await look(path);
    expect(found.cursor, 'a batch whose append resolved is there').toBeGreaterThanOrEqual(reported);
    expect(found.cursor, 'no more than one batch was on its way').toBeLessThanOrEqual(reported + 1);
    expect(found.cursor).toBeGreaterThan(cursor);
    cursor = found.cursor;
    let rows = 0;
    for (let n = 1; n <= cursor; n++) {
      rows += rowsIn(n);
      // The first value of each batch was replaced by the next one, in the transaction of the next one.
      expect(found.points.get(tsOf(n, 0)), `batch ${n}`).toBe(n < cursor ? n + 0.5 : n);
      expect(found.points.get(tsOf(n, rowsIn(n) - 1)), `batch ${n}`).toBe(rowsIn(n) > 1 || n === cursor ? n : n + 0.5);
    }
    expect(found.count, 'count and cursor agree').toBe(rows);
    expect(found.points.size, 'no reading is there twice').toBe(rows);
  }
});

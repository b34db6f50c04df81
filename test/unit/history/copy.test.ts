import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDuckdbHistory } from '../../../history/index.ts';
import { columnsOf, tableOf } from '../../kit/history/query-reference.ts';
import { queried } from '../../kit/history/read.ts';

const device = { id: 'd1', index: 0, profile: 'bin', district: 'east' };
const T0 = Date.UTC(2026, 0, 1);
const BATCH = 500;
const newDir = () => mkdtempSync(join(tmpdir(), "lamppost-it's a copy-"));
const open = (path: string) => createDuckdbHistory({ path, metrics: tableOf('a'), unitOf: () => 'u' });

test('a history that is written to - its copy is one moment of it: the rows up to its cursor, and no others', async () => {
  const dir = newDir();
  const history = open(join(dir, 'history.duckdb'));
  await history.start();
  const metrics = tableOf('a');
  let cursor = 0;
  const append = () => {
    const rows = Array.from({ length: BATCH }, (_, i) => ({
      device,
      metric: 'a',
      ts: T0 + cursor * BATCH + i,
      value: i,
    }));
    return history.append([columnsOf(rows, metrics)], ++cursor);
  };
  for (let i = 0; i < 20; i++) await append();
  await history.rollup(T0 + 1);
  await history.prune(T0);
  let writing = true;
  const writer = (async () => {
    while (writing) await append();
  })();
  const cursors: number[] = [];
  for (let i = 0; i < 3; i++) cursors.push(await history.copyTo(join(dir, `copy-${i}.duckdb`)));
  const [series] = await queried(history, { devices: ['d1'], fromMs: T0, toMs: T0 + 10, fn: 'last', maxPoints: 100 });
  expect(series!.points, 'it still responds').toHaveLength(10);
  writing = false;
  await writer;
  await history.stop();
  expect(cursors[0]).toBeGreaterThanOrEqual(20);
  for (const [i, at] of cursors.entries()) {
    const path = join(dir, `copy-${i}.duckdb`);
    expect(existsSync(`${path}.wal`)).toBe(false);
    const copy = open(path);
    await copy.start();
    expect(copy.cursor()).toBe(at);
    expect(await copy.count()).toBe(at * BATCH);
    // It goes on as the original would, with the same numbers, keys and roll-ups.
    await copy.append([columnsOf([{ device, metric: 'a', ts: T0 + at * BATCH, value: 7 }], metrics)], at + 1);
    expect(await copy.rollup(T0 + 3_600_000)).toBeGreaterThan(0);
    expect(await copy.count()).toBe(at * BATCH + 1);
    await copy.stop();
  }
});

test('a copy that fails throws with its path, and the history goes on', async () => {
  const dir = newDir();
  const history = open(join(dir, 'history.duckdb'));
  await history.start();
  await expect(history.copyTo(join(dir, 'nowhere', 'copy.duckdb'))).rejects.toMatchObject({
    name: 'LamppostError',
    code: 'history',
    message: expect.stringContaining('could not be copied'),
  });
  expect(await history.copyTo(join(dir, 'copy.duckdb'))).toBe(0);
  await history.stop();
});

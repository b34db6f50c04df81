import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KnownDevice } from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { newest, queried } from '../../kit/history/read.ts';

const HOUR = 3_600_000;
const NOW = Math.floor(1_700_000_000_000 / HOUR) * HOUR;
const DEVICES: KnownDevice[] = ['a', 'b'].map((id, index) => ({ id, index, profile: 'p', district: 'east' }));
const metrics = tableOf('m', 'n');

/** A reading that is this many hours old. */
const ago = (hours: number, value: number, device = 0, metric = 'm'): Row => ({
  device: DEVICES[device]!,
  metric,
  ts: NOW - hours * HOUR,
  value,
});

async function open(path = join(mkdtempSync(join(tmpdir(), 'lamppost-repeated-')), 'history.duckdb')) {
  const history = createDuckdbHistory({ path, metrics, unitOf: () => 'u' });
  await history.start();
  const query = { fromMs: 0, toMs: NOW + 1, fn: 'mean', maxPoints: 1_000 } as const;
  return {
    path,
    history,
    append: (...rows: Row[]) => history.append([columnsOf(rows, metrics)], 1),
    points: async () =>
      (await queried(history, query)).flatMap(({ device, metric, points }) =>
        points.map(([ts, value]) => `${device} ${metric} ${(NOW - ts) / HOUR} ${value}`),
      ),
  };
}

test('the history - a reading that comes again after its key expired is stored once, also after a restart', async () => {
  const first = await open();
  await first.append(ago(72, 1), ago(71, 2), ago(72, 5, 1));
  await first.append(ago(0, 3, 1));
  await first.append(ago(72, 1), ago(71, 2));
  await first.history.stop();
  const second = await open(first.path);
  await second.append(ago(72, 1), ago(72, 5, 1));
  expect(await second.points()).toEqual(['a m 72 1', 'a m 71 2', 'b m 72 5', 'b m 0 3']);
  await second.history.rollup(NOW);
  const counted = await queried(second.history, { fromMs: 0, toMs: NOW, fn: 'count', everyMs: HOUR, maxPoints: 9 });
  expect(counted.flatMap(({ points }) => points.map(([, n]) => n))).toEqual([1, 1, 1]);
  await second.history.stop();
});

test('the history - with another value it replaces the earlier one; a replacement in the same batch comes last', async () => {
  const { append, points, history } = await open();
  await append(ago(72, 1), ago(0, 9, 1));
  await append(ago(72, 2));
  expect(await points()).toEqual(['a m 72 2', 'b m 0 9']);
  expect((await newest(history, { devices: ['a'] }))[0]).toMatchObject({ value: 2 });
  await history.append([columnsOf([ago(72, 3)], metrics)], 2, [columnsOf([ago(72, 4)], metrics)]);
  expect(await points()).toEqual(['a m 72 4', 'b m 0 9']);
  await history.stop();
});

test('the history - readings of any age in any order, each sent twice, are stored once', async () => {
  const { append, points, history } = await open();
  const late = fc.uniqueArray(
    fc.tuple(fc.integer({ min: 2, max: 200 }), fc.nat({ max: 1 }), fc.constantFrom('m', 'n')),
    {
      selector: String,
      minLength: 20,
      maxLength: 40,
    },
  );
  const rows = fc.sample(late, { numRuns: 1, seed: 3 })[0]!.map(([h, device, metric]) => ago(h, h, device, metric));
  await append(ago(0, 0));
  for (const row of rows) await append(row);
  await append(...rows);
  for (const row of rows.toReversed()) await append(row);
  expect(await points()).toHaveLength(rows.length + 1);
  await history.stop();
});

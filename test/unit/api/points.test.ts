import { expect, test } from 'vitest';
import { csvPoints } from '../../../api/csv.ts';
import { jsonPoints, PIECE_POINTS, textOfPoints } from '../../../api/points.ts';
import { type Fill, fillOf, type PointsSlice, type SliceSeries } from '../../../domain/index.ts';

const seriesAt = (device: string, from: number): SliceSeries => ({ device, metric: 'm', unit: 'u"', from });

/** Slices of one device each, or several where a list is given. */
async function* slices(
  ...parts: readonly {
    readonly series: readonly SliceSeries[];
    readonly points: readonly (readonly [number, number])[];
  }[]
): AsyncGenerator<PointsSlice> {
  for (const { series, points } of parts) {
    yield {
      series,
      ts: Float64Array.from(points, ([ts]) => ts),
      value: Float64Array.from(points, ([, value]) => value),
    };
  }
}

async function written(from: AsyncIterable<PointsSlice>, fill: Fill | null, format = jsonPoints(() => undefined)) {
  const counts: number[] = [];
  const pieces: string[] = [];
  for await (const piece of textOfPoints(from, { format, fill, written: (n) => counts.push(n) })) pieces.push(piece);
  return { text: pieces.join(''), pieces, counts };
}

const fillFrom = (fromMs: number, toMs: number, everyMs: number) =>
  fillOf({ fromMs, toMs, everyMs, fn: 'mean', fill: 'null' });

test('points - a series that goes on in the next slice is one series; others begin', async () => {
  const { text } = await written(
    slices(
      { series: [seriesAt('a', 0)], points: [[1, 0.5]] },
      {
        series: [seriesAt('a', 0), seriesAt('b', 1)],
        points: [
          [2, -0],
          [1, Number.POSITIVE_INFINITY],
        ],
      },
    ),
    null,
  );
  expect(JSON.parse(text)).toEqual({
    series: [
      {
        device: 'a',
        metric: 'm',
        unit: 'u"',
        points: [
          [1, 0.5],
          [2, 0],
        ],
      },
      { device: 'b', metric: 'm', unit: 'u"', points: [[1, null]] },
    ],
  });
});

test('points - a query without a result is a list without series', async () => {
  expect((await written(slices(), null)).text).toBe('{"series":[]}');
  expect(
    (
      await written(
        slices(),
        null,
        csvPoints(() => undefined),
      )
    ).text,
  ).toBe('device,metric,unit,ts,value\r\n');
});

test('points - gaps are written while the text is: before, between and after the points of each series', async () => {
  const from = () =>
    slices({ series: [seriesAt('a', 0)], points: [[20, 1]] }, { series: [seriesAt('b', 0)], points: [[10, 2]] });
  const { text } = await written(from(), fillFrom(15, 41, 10));
  const points = (JSON.parse(text) as { series: { points: unknown }[] }).series.map((one) => one.points);
  expect(points).toEqual([
    [
      [10, null],
      [20, 1],
      [30, null],
      [40, null],
    ],
    [
      [10, 2],
      [20, null],
      [30, null],
      [40, null],
    ],
  ]);
  const csv = await written(
    from(),
    fillFrom(15, 41, 10),
    csvPoints(() => undefined),
  );
  expect(csv.text.split('\r\n')).toHaveLength(1 + 8 + 1);
  expect(csv.text).toContain('a,m,"u""",1970-01-01T00:00:00.010Z,\r\n');
});

test('points - no piece has more points than its bound, however many gaps a point has around it', async () => {
  const { text, pieces, counts } = await written(
    slices({ series: [seriesAt('a', 0)], points: [[500_000, 1]] }),
    fillFrom(0, 1_000_000, 10),
  );
  expect(Math.max(...counts)).toBe(PIECE_POINTS);
  expect(pieces.length).toBeGreaterThanOrEqual(100_000 / PIECE_POINTS);
  expect(counts.reduce((sum, one) => sum + one, 0)).toBe(100_000);
  expect((JSON.parse(text) as { series: { points: unknown[] }[] }).series[0]!.points).toHaveLength(100_000);
});

test('points - between two pieces, other work of the thread runs', async () => {
  let turns = 0;
  let running = true;
  const other = (): void => {
    turns++;
    if (running) setImmediate(other);
  };
  setImmediate(other);
  const { pieces } = await written(
    slices({ series: [seriesAt('a', 0)], points: [[0, 1]] }),
    fillFrom(0, 20 * PIECE_POINTS, 1),
  );
  running = false;
  expect(turns).toBeGreaterThanOrEqual(pieces.length);
});

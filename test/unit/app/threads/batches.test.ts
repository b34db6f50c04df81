import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { offerBatches, remoteBatches, sliceParts } from '../../../../app/threads/batches.ts';
import { LamppostError, type PointsSlice } from '../../../../domain/index.ts';

const sliceAt = (n: number): PointsSlice => ({
  series: [{ device: 'd', metric: 'm', unit: 'u', from: 0 }],
  ts: Float64Array.of(n),
  value: Float64Array.of(n / 2),
});

/** A read of `count` slices over a port, with what its end has seen. */
function bench(count: number, signal?: AbortSignal) {
  const { port1, port2 } = new MessageChannel();
  const seen = { made: [] as PointsSlice[], aborted: false, closed: false };
  async function* open(ended: AbortSignal, from: number): AsyncGenerator<PointsSlice> {
    ended.addEventListener('abort', () => {
      seen.aborted = true;
    });
    try {
      for (let n = from; n < count; n++) {
        seen.made.push(sliceAt(n));
        yield seen.made.at(-1)!;
      }
    } finally {
      seen.closed = true;
    }
  }
  offerBatches(port2, open, sliceParts);
  return { seen, read: remoteBatches<[number], PointsSlice>(port1, signal) };
}

test('batches - arrive in order, and their columns are moved, not copied', async () => {
  const { seen, read } = bench(5);
  const found: number[] = [];
  for await (const { ts, value } of read(2)) found.push(ts[0]!, value[0]!);
  expect(found).toEqual([2, 1, 3, 1.5, 4, 2]);
  expect(seen.made.map(({ ts }) => ts.length)).toEqual([0, 0, 0]);
});

test('batches - one is made when the one before was taken, and none after the reader stops', async () => {
  const { seen, read } = bench(1_000);
  for await (const { ts } of read(0)) if (ts[0] === 3) break;
  await expect.poll(() => seen.closed && seen.aborted).toBe(true);
  expect(seen.made).toHaveLength(4);
});

test('batches - a signal ends the read with its reason, also while it waits, and the work at the other end', async () => {
  const gone = new AbortController();
  const { port1, port2 } = new MessageChannel();
  let aborted = false;
  offerBatches(port2, async function* (ended: AbortSignal): AsyncGenerator<PointsSlice> {
    yield sliceAt(0);
    await new Promise((resolve) => {
      ended.addEventListener('abort', resolve);
    });
    aborted = true;
  });
  const batches = remoteBatches<[], PointsSlice>(port1, gone.signal)();
  await batches.next();
  const waiting = batches.next();
  gone.abort(new LamppostError('busy', 'the client is gone'));
  await expect(waiting).rejects.toThrow('the client is gone');
  await expect.poll(() => aborted).toBe(true);
});

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { JournalStore } from '../../../../journal/index.ts';
import { Tail } from '../../../../journal/stream/tail.ts';
import { encodeBlock } from '../../../../journal/stream/wire.ts';

/** Servers that each have their own records, the first of which leads, and a node with records of its own. */
function bench(own: readonly string[], servers: Readonly<Record<string, readonly string[]>>) {
  const store = new JournalStore(join(mkdtempSync(join(tmpdir(), 'lamppost-tail-')), 'journal.sqlite')).open();
  onTestFinished(() => store.close());
  const blockOf = (text: string) => ({
    ...{ kind: 'tick' as const, count: 0, body: Buffer.from(text) },
    ...{ head: null, now: 1, offsetMs: 0, id: null },
  });
  for (const text of own) store.appendControl('tick', Buffer.from(text), 1, null);
  const names = Object.keys(servers);
  const led: string[] = [names[0]!];
  const records = () => servers[led.at(-1)!]!;
  const log = {
    ends: async () => ({ first: 1, last: records().length }),
    record: async (seq: number) => {
      const text = records()[seq - 1];
      return text === undefined ? null : encodeBlock(blockOf(text), 'other');
    },
    publishAfter: async () => null,
    leader: async () => led.at(-1)!,
    electAnother: async () => void led.push(names[led.length % names.length]!),
  };
  const logger = pino({ level: 'silent' });
  return { led, tail: new Tail({ log, store, node: 'n', spokenOf: () => 0, logger }) };
}

test('tail - where one server has another record than this node, another one leads, and the node goes on', async () => {
  const { tail, led } = bench(['a', 'b'], { one: ['a', 'x'], two: ['a', 'b'], three: ['a', 'b'] });
  await expect(tail.hold()).rejects.toMatchObject({ code: 'log-away', retryable: true });
  await tail.hold();
  expect(led).toEqual(['one', 'two']);
});

test('tail - where a second server has the other record, too, the node ends', async () => {
  const { tail, led } = bench(['a', 'b'], { one: ['a', 'x'], two: ['a', 'x'], three: ['a', 'b'] });
  await expect(tail.hold()).rejects.toMatchObject({ code: 'log-away' });
  await expect(tail.hold()).rejects.toMatchObject({ code: 'damaged', message: expect.stringContaining('record 2') });
  expect(led).toEqual(['one', 'two']);
});

test('tail - a difference of long ago does not count with a new one', async () => {
  const { tail, led } = bench(['a', 'b'], { one: ['a', 'x'], two: ['a', 'b'], three: ['a', 'y'], four: ['a', 'b'] });
  await expect(tail.hold()).rejects.toMatchObject({ code: 'log-away' });
  await tail.hold();
  led.push('three');
  await expect(tail.hold()).rejects.toMatchObject({ code: 'log-away' });
});

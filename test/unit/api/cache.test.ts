import { EventEmitter } from 'node:events';
import type { FastifyRequest } from 'fastify';
import { expect, test } from 'vitest';
import { createCache, type Rendered, renderedOf } from '../../../api/cache.ts';
import type { Pause } from '../../../tickets/index.ts';

/** A cache with a clock and a version that a test sets, and what was made of each name. */
function scene(options: Parameters<typeof createCache>[2] = {}) {
  const now = { ms: 1_000, version: 'v1' };
  const made: string[] = [];
  const cache = createCache({ now: () => now.ms }, () => now.version, options);
  const client = (source = '192.0.2.1') => {
    const socket = new EventEmitter();
    return {
      request: { source, raw: { socket } } as unknown as FastifyRequest,
      leave: () => socket.emit('close'),
      socket,
    };
  };
  const text = async (name: string, { ip, make }: { ip?: string; make?: (pause: Pause) => Promise<Rendered> } = {}) => {
    const usual = async () => renderedOf(`${name} ${made.push(name)}`);
    return String((await cache.get(client(ip).request, name, make ?? usual)).body);
  };
  return { now, made, cache, client, text };
}

test('cache - a document is made once for all who ask within its time and version', async () => {
  const { now, made, text } = scene();
  expect(await Promise.all([text('a'), text('a'), text('b')])).toEqual(['a 1', 'a 1', 'b 2']);
  now.ms += 4_999;
  expect(await text('a')).toBe('a 1');
  now.ms += 1;
  expect(await text('a')).toBe('a 3');
  now.version = 'v2';
  expect(await text('a')).toBe('a 4');
  now.ms -= 10_000;
  expect(await text('a')).toBe('a 5');
  expect(made).toHaveLength(5);
});

test('cache - a failure is not kept', async () => {
  const { text } = scene();
  await expect(text('a', { make: () => Promise.reject(new Error('no disk')) })).rejects.toThrow('no disk');
  expect(await text('a')).toBe('a 1');
});

test('cache - one document is made at a time, and other work runs between its pieces', async () => {
  const { text } = scene();
  const steps: string[] = [];
  const inPieces = (name: string) => async (pause: Pause) => {
    for (let piece = 0; piece < 3; piece++) {
      steps.push(name);
      await pause();
    }
    return renderedOf(name);
  };
  let turns = 0;
  const other = setInterval(() => turns++, 0);
  await Promise.all(['a', 'b', 'c'].map((name) => text(name, { make: inPieces(name) })));
  clearInterval(other);
  expect(steps.join('')).toBe('aaabbbccc');
  const immediate: string[] = [];
  const rendered = text('d', { make: inPieces('d') }).then(() => immediate.push('rendered'));
  setImmediate(() => immediate.push('other work'));
  await rendered;
  expect(immediate).toEqual(['other work', 'rendered']);
});

test('cache - a document that nobody waits for any more is not made to its end', async () => {
  const { cache, client, text } = scene();
  const [first, second] = [client(), client()];
  let pieces = 0;
  const endless = async (pause: Pause): Promise<Rendered> => {
    for (;;) {
      pieces++;
      if (pieces === 5) first.leave();
      if (pieces === 10) second.leave();
      await pause();
    }
  };
  const gets = [first, second].map(({ request }) => cache.get(request, 'a', endless));
  for (const get of gets) await expect(get).rejects.toThrow('nobody waits');
  expect(pieces).toBe(10);
  expect(first.socket.listenerCount('close')).toBe(0);
  expect(await text('a')).toBe('a 1');
});

test('cache - one address waits for a number of documents at most, others for theirs; all for a number', async () => {
  const { text } = scene({ perSource: 2, total: 3 });
  const open = ['a', 'b', 'c'].map((name) => text(name));
  await expect(text('d')).rejects.toMatchObject({ code: 'limit', retryable: true });
  const other = text('e', { ip: '192.0.2.2' });
  const joined = text('a');
  await expect(text('f', { ip: '192.0.2.3' })).rejects.toMatchObject({ code: 'busy' });
  expect(await Promise.all([...open, other, joined])).toEqual(['a 1', 'b 2', 'c 4', 'e 3', 'a 1']);
  expect(await text('d')).toBe('d 5');
});

test('cache - who asks for many documents waits for them; another address is next, also for one of these', async () => {
  const { text } = scene();
  const many = ['a', 'b', 'c', 'd', 'e'].map((name) => text(name));
  const [other, same] = [text('f', { ip: '192.0.2.2' }), text('e', { ip: '192.0.2.3' })];
  expect(await Promise.all([...many, other, same])).toEqual(['a 1', 'b 2', 'c 5', 'd 6', 'e 4', 'f 3', 'e 4']);
});

test('cache - of several documents at once an address has one', async () => {
  const { text } = scene({ atOnce: 3 });
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const slow = (name: string) => async () => {
    begun.push(name);
    await new Promise<void>((resolve) => ends.push(resolve));
    return renderedOf(name);
  };
  const asked = ['a', 'b', 'c'].map((name) => text(name, { make: slow(name) }));
  asked.push(text('d', { ip: '192.0.2.2', make: slow('d') }));
  await expect.poll(() => begun).toEqual(['a', 'd']);
  const end = setInterval(() => ends.shift()?.(), 1);
  expect(await Promise.all(asked)).toEqual(['a', 'b', 'c', 'd']);
  clearInterval(end);
});

test('cache - it keeps a bounded number of documents and of bytes, the newest', async () => {
  const { made, text } = scene({ mostEntries: 2, mostBytes: 1_000 });
  for (const name of ['a', 'b', 'c', 'c', 'b', 'a']) await text(name);
  expect(made.join('')).toBe('abca');
  await text('large', { make: async () => renderedOf('x'.repeat(2_000)) });
  for (const name of ['a', 'c']) await text(name);
  expect(made.join('')).toBe('abcaac');
});

test('rendered - the entity tag is of the text, and weak: compressed it is other bytes', () => {
  expect(renderedOf('a').etag).toMatch(/^W\/"[\w-]{22}"$/);
  const [first, again, other] = ['a', 'a', 'b'].map((text) => renderedOf(text).etag);
  expect([first === again, first === other]).toEqual([true, false]);
});

import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CloudEvent, Page } from '../../domain/index.ts';
import { ADMIN, openApi, type TestApi } from '../kit/api/kit.ts';
import { until } from '../kit/wait.ts';

let api: TestApi;
beforeEach(async () => {
  api = await openApi({ heartbeatMs: 200 });
});
afterEach(() => api.stop());

/** An event as `text/event-stream` has it. */
interface Frame {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
}

/** Yields the frames of a stream (WHATWG HTML §9.2) until it ends; with `wholly` also those that are no events. */
async function* frames(response: Response, wholly: boolean): AsyncGenerator<Frame> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const parts = text.split('\n\n');
    text = parts.pop()!;
    for (const part of parts) {
      const fields = part.split('\n').map((line) => /^(\w+): (.*)$/.exec(line)?.slice(1) ?? []);
      const frame: Frame = Object.fromEntries(fields.filter(([name]) => name !== undefined));
      if (frame.data !== undefined || wholly) yield frame;
    }
  }
}

async function open(
  path: string,
  last?: number | string,
  { key = ADMIN, wholly = false } = {},
): Promise<{ stream: AsyncGenerator<Frame>; cut(): void }> {
  const stop = new AbortController();
  const headers = { accept: 'text/event-stream', ...(last === undefined ? {} : { 'last-event-id': String(last) }) };
  const response = await api.fetch(path, { headers, signal: stop.signal, key });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  return { stream: frames(response, wholly), cut: () => stop.abort() };
}

/** Returns the first `count` frames of a stream. */
async function take(stream: AsyncGenerator<Frame>, count: number): Promise<Frame[]> {
  const found: Frame[] = [];
  while (found.length < count) {
    const { value, done } = await stream.next();
    if (done) throw new Error(`the stream ended after ${found.length} of ${count} frames`);
    found.push(value);
  }
  return found;
}

const numbers = (found: readonly Frame[]) => found.map(({ id }) => Number.parseInt(id!, 10));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Opens a reader that sends its request and then never reads. */
async function stall(last: number): Promise<{ socket: Socket; closed: () => boolean }> {
  const socket = connect(api.port, '127.0.0.1').pause();
  let closed = false;
  socket.once('close', () => {
    closed = true;
  });
  socket.on('error', () => {});
  const before = api.listeners.size;
  socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n`);
  socket.write(`Accept: text/event-stream\r\nLast-Event-ID: ${last}\r\n\r\n`);
  await until(() => api.listeners.size > before, 'the stream');
  return { socket, closed: () => closed };
}

describe('server-sent events', () => {
  test('a reader that is cut again and again resumes by Last-Event-ID without a gap or a repeat, while events come', async () => {
    api.incidents(40);
    const seen: number[] = [];
    for (const cutAfter of [1, 17, 3, 60, 2, 90]) {
      const { stream, cut } = await open('/api/v1/events', seen.at(-1) ?? 0);
      const half = Math.ceil(cutAfter / 2);
      seen.push(...numbers(await take(stream, half)));
      api.incidents(10);
      seen.push(...numbers(await take(stream, cutAfter - half)));
      cut();
    }
    expect(seen).toEqual(range(1, 173));
  });

  test('the stream and the JSON pages have the same events', async () => {
    api.incidents(30);
    const page = (await (await api.fetch('/api/v1/events?limit=1000')).json()) as Page<{
      n: number;
      event: CloudEvent;
    }>;
    const { stream, cut } = await open('/api/v1/events', 0);
    const found = await take(stream, 60);
    cut();
    expect(found).toEqual(
      page.items.map(({ n, event }) => ({
        id: expect.stringMatching(`^${n}-[0-9a-f]{8}$`),
        event: event.type,
        data: JSON.stringify(event),
      })),
    );
  });

  test('a reader without a place gets the events from now on', async () => {
    api.incidents(5);
    const { stream, cut } = await open('/api/v1/events');
    await until(() => api.listeners.size === 1, 'the stream');
    api.incidents(1);
    expect(numbers(await take(stream, 2))).toEqual([11, 12]);
    cut();
  });

  test('a filtered reader gets only matching events, and resumes after the last of them', async () => {
    const path = '/api/v1/events?type=city.lamppost.ticket.opened';
    api.incidents(300);
    const first = await open(path, 0);
    expect(numbers(await take(first.stream, 250))).toEqual(range(1, 250).map((n) => n * 2));
    first.cut();
    const second = await open(path, 500);
    api.incidents(1);
    expect(numbers(await take(second.stream, 51))).toEqual(range(251, 301).map((n) => n * 2));
    second.cut();
  });

  test('a reader whose place is gone gets a reset and continues at the oldest event', async () => {
    api.incidents(20);
    api.prune(10);
    for (const [place, reason] of [
      [3, 'too-old'],
      [9_999, 'ahead'],
      ['35-0badf00d', 'other-store'],
      ['nonsense', 'not-an-id'],
      [-1, 'not-an-id'],
    ] as const) {
      const { stream, cut } = await open('/api/v1/events', place);
      const [reset, ...others] = await take(stream, 11);
      expect(reset).toMatchObject({ event: 'reset', id: expect.stringMatching(/^30-/) });
      expect(JSON.parse(reset!.data!)).toEqual({ asked: String(place), reason, oldest: 31 });
      expect(numbers(others)).toEqual(range(31, 40));
      cut();
    }
    const { stream, cut } = await open('/api/v1/events', 30);
    expect(numbers(await take(stream, 10))).toEqual(range(31, 40));
    cut();
  });

  test('a filter takes several values, repeated or with commas', async () => {
    api.incidents(2);
    api.incidents(2, { severity: 'low', to: 'firing' });
    const types = 'city.lamppost.alert.firing,city.lamppost.alert.resolved';
    for (const [query, wanted] of [
      [`type=${types}`, [1, 3, 5, 7]],
      ['severity=low&severity=critical', [5, 6, 7, 8]],
      [`severity=low,info&type=${types}`, [5, 7]],
      ['rule=pm25-unhealthy&ticket=t-2-0,t-6-0', [3, 4, 7, 8]],
    ] as const) {
      const { stream, cut } = await open(`/api/v1/events?${query}`, 0);
      expect(numbers(await take(stream, wanted.length)), query).toEqual(wanted);
      cut();
      const page = (await (await api.fetch(`/api/v1/events?${query}`)).json()) as Page<{ n: number }>;
      expect(
        page.items.map(({ n }) => n),
        query,
      ).toEqual(wanted);
    }
  });

  test('a reader whose events are rare keeps its place: it resumes after events that do not match, also when these are deleted', async () => {
    const { stream, cut } = await open('/api/v1/events?severity=critical', undefined, { wholly: true });
    await take(stream, 1);
    api.incidents(100);
    let place = '';
    while (!place.startsWith('200-')) place = (await take(stream, 1))[0]!.id!;
    cut();
    api.incidents(1, { severity: 'critical' });
    api.prune(2);
    const again = await open('/api/v1/events?severity=critical', place);
    expect(numbers(await take(again.stream, 2))).toEqual([201, 202]);
    again.cut();
  });

  test('a reader that is cut before its first event gets the events since its request', async () => {
    api.incidents(3);
    const { stream, cut } = await open('/api/v1/events', undefined, { wholly: true });
    const [first] = await take(stream, 1);
    cut();
    api.incidents(1);
    const again = await open('/api/v1/events', first!.id);
    expect(numbers(await take(again.stream, 2))).toEqual([7, 8]);
    again.cut();
  });

  test('a key of a department gets all alerts and its own tickets, as a stream and as pages (promise 7)', async () => {
    api.incidents(3);
    for (const [department, wanted] of [
      ['environment', range(1, 6)],
      ['water', [1, 3, 5]],
    ] as const) {
      const key = api.key('viewer', department);
      const page = (await (await api.fetch('/api/v1/events', { key })).json()) as Page<{ n: number }>;
      expect(page.items.map(({ n }) => n)).toEqual(wanted);
      const { stream, cut } = await open('/api/v1/events', 0, { key });
      expect(numbers(await take(stream, wanted.length))).toEqual(wanted);
      cut();
    }
  });

  test('the streams of a key end when it is revoked, and no others', async () => {
    const key = api.key('viewer');
    const revoked = await open('/api/v1/events', 0, { key });
    const other = await open('/api/v1/events', 0);
    const { id } = api.keys()[0]!;
    expect((await api.fetch(`/api/v1/keys/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await revoked.stream.next()).done).toBe(true);
    api.incidents(1);
    expect(numbers(await take(other.stream, 2))).toEqual([1, 2]);
    other.cut();
  });

  test('a reader that is far behind gets everything in one stream', async () => {
    api.incidents(4_000);
    const { stream, cut } = await open('/api/v1/events', 0);
    expect(numbers(await take(stream, 8_000))).toEqual(range(1, 8_000));
    api.incidents(1);
    expect(numbers(await take(stream, 2))).toEqual([8_001, 8_002]);
    cut();
  });

  test('a reader that does not read is cut and not buffered, and others continue', async () => {
    const reading = await open('/api/v1/events', 0);
    const stalled = [await stall(0), await stall(0)];
    let appended = 0;
    const seen: number[] = [];
    // More than the buffers of the sockets hold.
    while (api.listeners.size > 1) {
      api.incidents(200);
      appended += 400;
      seen.push(...numbers(await take(reading.stream, 400)));
    }
    expect(seen).toEqual(range(1, appended));
    for (const { socket, closed } of stalled) {
      socket.resume();
      await until(closed, 'the end of the stalled connection');
    }
    api.incidents(1);
    expect(numbers(await take(reading.stream, 2))).toEqual([appended + 1, appended + 2]);
    reading.cut();
    await until(() => api.listeners.size === 0, 'the end of the last stream');
  });

  test('a reader so slow that its events were deleted gets a reset and continues at the oldest', async () => {
    const { socket } = await stall(0);
    // More than the buffers of the sockets hold.
    api.incidents(10_000);
    api.prune(10);
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.resume();
    await until(() => /id: 20000-\w+\nevent.*\n.*\n\n/.test(text), 'the newest event');
    socket.destroy();
    const read = [...text.matchAll(/^id: (\d+)-\w+\nevent: city/gm)].map(([, n]) => Number(n));
    expect(read.length).toBeLessThan(19_990);
    expect(read).toEqual([...range(1, read.length - 10), ...range(19_991, 20_000)]);
    expect(text).toMatch(/event: reset\ndata: .*"reason":"too-old","oldest":19991/);
  });

  test('a reader without events gets keep-alive comments, and a stop ends its stream', async () => {
    const response = await api.fetch('/api/v1/events', { headers: { accept: 'text/event-stream' } });
    let text = '';
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    while ((text.match(/^: /gm) ?? []).length < 3) text += (await reader.read()).value;
    expect(text).toMatch(/^retry: \d+\nid: 0-\w{8}\n\n(: .*\nid: 0-\w{8}\n\n){3}/);
    await api.stop();
    while (!(await reader.read()).done);
    api = await openApi();
  });
});

test('no more streams are opened than the limits allow, in all and for one key; the response says so', async () => {
  await api.stop();
  api = await openApi({ heartbeatMs: 200, maxStreams: 3, maxStreamsOfKey: 2 });
  const key = api.key('viewer');
  const first = await open('/api/v1/events', 0, { key });
  await open('/api/v1/events', 0, { key });
  const ask = (who: string) => api.fetch('/api/v1/events', { headers: { accept: 'text/event-stream' }, key: who });
  const third = await ask(key);
  expect([third.status, third.headers.get('retry-after')]).toEqual([429, '2']);
  expect(await third.text()).toContain('2 event streams of one key');
  await open('/api/v1/events', 0);
  const fourth = await ask(ADMIN);
  expect([fourth.status, fourth.headers.get('retry-after')]).toEqual([503, '2']);
  expect(await fourth.text()).toContain('3 event streams are open');
  first.cut();
  await until(() => api.listeners.size === 2, 'the end of the first stream');
  await open('/api/v1/events', 0, { key });
});

test('sse - five keys that take all places cannot lock another one out: the newest of the heaviest ends and says so', async () => {
  await api.stop();
  api = await openApi({ heartbeatMs: 60_000, maxStreams: 10, maxStreamsOfKey: 2 });
  const five = Array.from({ length: 5 }, () => api.key('viewer'));
  const texts = new Map<string, Promise<string>[]>();
  for (const key of five) {
    for (let i = 0; i < 2; i++) {
      const response = await api.fetch('/api/v1/events', { headers: { accept: 'text/event-stream' }, key });
      texts.set(key, [...(texts.get(key) ?? []), response.text()]);
    }
  }
  const { stream, cut } = await open('/api/v1/events', 0);
  const ended = await Promise.race([...texts.values()].flat());
  expect(ended).toContain('your key has the most');
  api.incidents(1);
  expect(numbers(await take(stream, 2))).toEqual([1, 2]);
  // The one that gave way does not get its place back while the others have no more than it would.
  expect(api.deps.refusals.counts()).toMatchObject({ 'stream-gave-way': 1 });
  cut();
});

test('sse - one address has only so many streams, with however many keys', async () => {
  await api.stop();
  api = await openApi({ heartbeatMs: 200, maxStreamsOfAddress: 2 });
  const first = await open('/api/v1/events', 0, { key: api.key('viewer') });
  await open('/api/v1/events', 0, { key: api.key('viewer') });
  const third = await api.fetch('/api/v1/events', { headers: { accept: 'text/event-stream' } });
  expect([third.status, third.headers.get('retry-after')]).toEqual([429, '2']);
  expect(await third.text()).toContain('2 event streams of one address');
  first.cut();
  await until(() => api.listeners.size === 1, 'the end of the first stream');
  await open('/api/v1/events', 0);
});

import { once } from 'node:events';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type BlockKind, unsteppedClock } from '../../../domain/index.ts';
import {
  BatchWriter,
  createJournalAppender,
  createRoute,
  JournalReader,
  JournalStore,
  type Route,
  walkRecords,
} from '../../../journal/index.ts';
import { append, journalDir, openJournal, removeJournals, type Written } from '../../kit/journal/kit.ts';
import { blocksOf, expectSound, messageArbitrary, messagesOf } from '../../kit/journal/reading.ts';
import { runs } from '../../kit/runs.ts';

afterAll(removeJournals);

type Step =
  | { readonly kind: 'messages'; readonly messages: readonly Written[]; readonly now: number }
  | { readonly kind: Exclude<BlockKind, 'messages'>; readonly body: string; readonly now: number }
  | { readonly kind: 'reopen' };

const now = fc.integer({ min: 0, max: 1_000 });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('messages' as const),
      messages: fc.array(messageArbitrary, { minLength: 1, maxLength: 20 }),
      now,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('tick', 'city', 'devices', 'rule'), body: fc.json(), now }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
);

test('journal - a process that appends to a log of before says that it started, once and before anything else', async () => {
  const dir = journalDir();
  const kinds = ({ path }: { path: string }) => blocksOf(path).map(({ kind }) => kind);
  const first = openJournal(dir);
  await append(first, { identity: 'a', topic: 't', payload: 'x' });
  await first.server.control('tick', {}, null);
  expect(kinds(first)).toEqual(['messages', 'tick']);
  first.close();
  const second = openJournal(dir);
  expect(kinds(second)).toEqual(['messages', 'tick']);
  await append(second, { identity: 'a', topic: 't', payload: 'y' });
  await second.server.control('tick', {}, null);
  expect(kinds(second)).toEqual(['messages', 'tick', 'start', 'messages', 'tick']);
  second.close();
});

describe('the file', () => {
  test('journal - what was appended is there after closing and opening, block by block, byte by byte', () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 15 }), (steps) => {
        const path = join(journalDir(), 'journal.sqlite');
        let store = new JournalStore(path).open();
        const writer = new BatchWriter(64);
        const routes = new Map<string, Route>();
        let recycled: ArrayBuffer | null = null;
        for (const step of steps) {
          if (step.kind === 'reopen') {
            store.close();
            store = new JournalStore(path).open();
          } else if (step.kind === 'messages') {
            for (const { identity, topic, payload } of step.messages) {
              const route = routes.get(identity + topic) ?? createRoute(identity, topic);
              routes.set(identity + topic, route);
              writer.add(route, Buffer.from(payload), step.now);
            }
            const batch = writer.take(recycled);
            store.appendMessages(new Uint8Array(batch.bytes, 0, batch.length), batch.count, step.now);
            recycled = batch.bytes;
          } else store.appendControl(step.kind, Buffer.from(step.body), step.now, null);
        }
        store.close();
        const blocks = blocksOf(path);
        expectSound(blocks);
        const expected = steps.filter((step) => step.kind !== 'reopen');
        expect(blocks.map(({ kind }) => kind)).toEqual(expected.map(({ kind }) => kind));
        blocks.forEach((block, i) => {
          const step = expected[i]!;
          if (step.kind === 'messages') expect(messagesOf(block)).toEqual(step.messages);
          else expect(Buffer.from(block.body).toString()).toBe(step.body);
        });
      }),
      { numRuns: runs(40) },
    );
  });

  test('journal - its time never decreases, not even over a restart with a clock that was set back', () => {
    const path = join(journalDir(), 'journal.sqlite');
    let store = new JournalStore(path).open();
    store.appendControl('tick', Buffer.from('{}'), 5_000, null);
    store.appendControl('tick', Buffer.from('{}'), 4_000, null);
    store.close();
    store = new JournalStore(path).open();
    store.appendMessages(new Uint8Array(), 0, 3_000);
    store.appendControl('tick', Buffer.from('{}'), 6_000, null);
    store.close();
    expect(blocksOf(path).map(({ receivedAt }) => receivedAt)).toEqual([5_000, 5_000, 5_000, 6_000]);
  });

  test('journal - the heads are those of its newest city and registry, also after it is opened again', () => {
    const path = join(journalDir(), 'journal.sqlite');
    const store = new JournalStore(path).open();
    expect(store.heads).toEqual({ city: null, registry: 0 });
    store.appendControl('city', Buffer.from('{}'), 1, 'abc');
    store.appendControl('devices', Buffer.from('{}'), 2, '7');
    store.appendControl('city', Buffer.from('{}'), 3, 'def');
    store.close();
    expect(new JournalStore(path).open().heads).toEqual({ city: 'def', registry: 7 });
  });

  test('journal - a truncated record is an error, never a shorter message', () => {
    const writer = new BatchWriter();
    writer.add(createRoute('bin-1', 'devices/bin-1/readings'), Buffer.from('{"metrics":{"fill":95}}'), 1);
    const { bytes, length } = writer.take(null);
    for (let cut = 1; cut < length; cut++) {
      const torn = Buffer.from(bytes, 0, cut);
      expect(
        () =>
          walkRecords(
            torn,
            () => 0,
            () => {},
          ),
        `cut at ${cut}`,
      ).toThrow(RangeError);
    }
  });
});

describe('group commits', () => {
  test('journal - publishers are notified in the order of their appends, once a reader can see their message', async () => {
    const pauses = fc.constantFrom('none', 'tick', 'macrotask' as const);
    const steps = fc.array(fc.tuple(messageArbitrary, pauses), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (sends) => {
        const journal = openJournal(journalDir());
        const reader = new JournalReader(journal.path).open();
        const results: number[] = [];
        for (const [i, [{ identity, topic, payload }, pause]] of sends.entries()) {
          journal.appender.append(journal.appender.route(identity, topic), Buffer.from(payload), (error) => {
            expect(error).toBeNull();
            expect(reader.head().messages, `message ${i} was acknowledged`).toBeGreaterThan(i);
            results.push(i);
          });
          if (pause === 'tick') await Promise.resolve();
          if (pause === 'macrotask') await new Promise((resolve) => setImmediate(resolve));
        }
        await journal.appender.drained();
        expect(journal.appender.pendingBytes()).toBe(0);
        expect(results).toEqual(sends.map((_, i) => i));
        const blocks = reader.after(0, 1_000);
        expectSound(blocks);
        expect(blocks.flatMap(messagesOf)).toEqual(sends.map(([message]) => message));
        reader.close();
        journal.close();
      }),
      { numRuns: runs(25) },
    );
  });

  test('journal - a lone message does not wait for others, and messages that come meanwhile share the next commit', async () => {
    const journal = openJournal(journalDir());
    const message = { identity: 'bin-1', topic: 'devices/bin-1/readings', payload: '1' };
    await append(journal, message);
    expect(blocksOf(journal.path)).toHaveLength(1);
    await Promise.all(Array.from({ length: 500 }, () => append(journal, message)));
    const blocks = blocksOf(journal.path);
    expect(blocks.length).toBeLessThan(5);
    expect(blocks.reduce((sum, { count }) => sum + count, 0)).toBe(501);
    // How long each waited is counted before it is acknowledged.
    expect(journal.appender.acknowledged().count).toBe(501);
    journal.close();
  });

  test('journal - a message larger than the buffer of a commit is stored complete, with those around it', async () => {
    const journal = openJournal(journalDir());
    const sizes = [10, 300 * 1024, 10, 2 * 1024 * 1024, 256 * 1024, 10];
    const messages = sizes.map((size, i) => ({ identity: 'bin-1', topic: 't', payload: String(i).repeat(size) }));
    const results = await Promise.all(messages.map((message) => append(journal, message)));
    expect(results).toEqual(sizes.map(() => null));
    expect(blocksOf(journal.path).flatMap(messagesOf)).toEqual(messages);
    journal.close();
  });

  test('journal - an appender listens from its start, also for what it sent before, until it is stopped', async () => {
    const { port1, port2 } = new MessageChannel();
    const appender = createJournalAppender(port1, unsteppedClock({ now: () => 1 }));
    expect(port1.hasRef(), 'it does not listen yet').toBe(false);
    const committed = new Promise((resolve) =>
      appender.append(appender.route('a', 't'), Buffer.from('1'), (error) => resolve(error?.code ?? null)),
    );
    const [request] = await once(port2, 'message');
    port2.postMessage({ error: null, bytes: request.bytes }, [request.bytes]);
    appender.start();
    expect([port1.hasRef(), await committed]).toEqual([true, null]);
    appender.stop();
    appender.stop();
    await once(port2, 'close');
  });

  test('journal - the payload is copied at once: its buffer may be reused', async () => {
    const journal = openJournal(journalDir());
    const payload = Buffer.from('first');
    const results = new Promise((resolve) =>
      journal.appender.append(journal.appender.route('a', 't'), payload, resolve),
    );
    payload.write('OTHER');
    await results;
    expect(blocksOf(journal.path).flatMap(messagesOf)).toEqual([{ identity: 'a', topic: 't', payload: 'first' }]);
    journal.close();
  });
});

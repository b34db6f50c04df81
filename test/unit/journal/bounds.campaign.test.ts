import { statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { append, journalDir, openJournal, removeJournals, type WholeJournal } from '../../kit/journal/kit.ts';
import { blocksOf, expectSound, messagesOf } from '../../kit/journal/reading.ts';
import { until } from '../../kit/wait.ts';

afterAll(removeJournals);

const KIB = 1024;
const block = (size: number) => ({ identity: 'bin-1', topic: 't', payload: 'x'.repeat(size) });

const open: WholeJournal[] = [];
afterEach(() => {
  for (const journal of open.splice(0)) journal.close();
  vi.useRealTimers();
});
function opened(...args: Parameters<typeof openJournal>): WholeJournal {
  const journal = openJournal(...args);
  open.push(journal);
  return journal;
}

describe('trimming', () => {
  test('journal - no sequence of appends, trims and restarts loses a block that was not released, or the numbering', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('append' as const), size: fc.integer({ min: 0, max: 500 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('trim' as const),
          below: fc.integer({ min: -1, max: 40 }),
          most: fc.integer({ min: 1, max: 10 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const path = join(journalDir(), 'journal.sqlite');
        let store = new JournalStore(path).open();
        const reader = new JournalReader(path).open();
        let oldest = 1;
        let newest = 0;
        for (const one of steps) {
          if (one.kind === 'append') {
            store.appendMessages(new Uint8Array(one.size), 0, ++newest);
          } else if (one.kind === 'reopen') {
            store.close();
            store = new JournalStore(path).open();
          } else {
            const wanted = Math.max(oldest, Math.min(one.below, newest, oldest + one.most));
            expect(store.trim(one.below, one.most)).toBe(wanted - oldest);
            oldest = wanted;
          }
          const kept = reader.after(0, 100);
          expect(kept.map(({ seq }) => seq)).toEqual(Array.from({ length: newest - oldest + 1 }, (_, i) => oldest + i));
          expect(store.bytes).toBe(kept.reduce((sum, { body }) => sum + body.length, 0));
          expect(reader.head().seq).toBe(newest);
        }
        reader.close();
        store.close();
      }),
      { numRuns: 40 },
    );
  });

  test('journal - it keeps what the slowest cursor has not released, and what retention covers; beyond half its bound only the former', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    let ms = 1_000;
    const limits = { maxBytes: 100 * KIB, retentionMs: 500 };
    const journal = opened(journalDir(), limits, undefined, { now: () => ms });
    const seqs = () => blocksOf(journal.path).map(({ seq }) => seq);
    const trim = () => vi.advanceTimersByTime(1_000);
    journal.server.start();
    for (let i = 0; i < 4; i++) {
      ms = 1_000 + i * 100;
      await append(journal, block(10 * KIB));
    }
    ms = 100_000;
    trim();
    expect(seqs(), 'nothing was released').toEqual([1, 2, 3, 4]);
    ms = 1_650;
    journal.server.release(3);
    trim();
    expect(seqs(), 'blocks of the last 500 ms stay').toEqual([3, 4]);
    journal.server.release(1);
    ms = 100_000;
    trim();
    expect(seqs(), 'a release is never taken back').toEqual([4]);
    journal.server.release(4);
    trim();
    expect(seqs(), 'the newest carries the numbering').toEqual([4]);

    for (let i = 0; i < 6; i++) await append(journal, block(10 * KIB));
    journal.server.release(6);
    trim();
    expect(seqs(), 'more than half full: retention no longer counts').toEqual([7, 8, 9, 10]);
  });

  test('journal - a hold keeps what a backup may need: blocks released during it are deleted after it, earlier ones during it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    let ms = 1_000;
    const journal = opened(journalDir(), { retentionMs: 0 }, undefined, { now: () => ms });
    const seqs = () => blocksOf(journal.path).map(({ seq }) => seq);
    for (let i = 0; i < 8; i++) await append(journal, block(10));
    ms = 2_000;
    journal.server.release(2);
    journal.server.hold();
    journal.server.release(6);
    journal.server.start();
    vi.advanceTimersByTime(1_000);
    expect(seqs()).toEqual([3, 4, 5, 6, 7, 8]);
    journal.server.letGo();
    vi.advanceTimersByTime(1_000);
    expect(seqs()).toEqual([7, 8]);
  });

  test('journal - with backups it keeps what none has; beyond half its bound devices go first, and it says so once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    let gone = 0;
    const limits = { maxBytes: 100 * KIB, retentionMs: 0, untilBackup: true };
    let ms = 0;
    const journal = opened(journalDir(), limits, undefined, { now: () => ++ms }, () => gone++);
    const seqs = () => blocksOf(journal.path).map(({ seq }) => seq);
    const trim = () => vi.advanceTimersByTime(1_000);
    journal.server.start();
    for (let i = 0; i < 4; i++) await append(journal, block(10 * KIB));
    journal.server.release(4);
    trim();
    expect(seqs(), 'there is no backup').toEqual([1, 2, 3, 4]);
    journal.server.backedUp(3);
    trim();
    expect(seqs(), 'the log leads on from the backup').toEqual([3, 4]);
    journal.server.backedUp(2);
    trim();
    expect(seqs(), 'an older backup changes nothing').toEqual([3, 4]);
    expect(gone).toBe(0);
    for (let i = 0; i < 5; i++) await append(journal, block(10 * KIB));
    journal.server.release(7);
    trim();
    expect(seqs(), 'more than half full').toEqual([8, 9]);
    expect(gone).toBe(1);
  });

  test('journal - trimming keeps up with small commits one after another', async () => {
    const journal = opened(journalDir(), { retentionMs: 0 });
    for (let i = 0; i < 3_000; i++) await journal.server.control('tick', {}, null);
    journal.server.start();
    journal.server.release(3_000);
    await until(() => blocksOf(journal.path).length === 1, 'all that was released is gone');
  });

  test('journal - space in the file is reused: it does not grow with the total of messages', async () => {
    const journal = opened(journalDir(), { maxBytes: 1024 * KIB, retentionMs: 0 });
    journal.server.start();
    for (let i = 1; i <= 100; i++) {
      expect(await append(journal, block(64 * KIB))).toBeNull();
      journal.server.release(i);
    }
    expect(statSync(journal.path).size).toBeLessThan(3 * 1024 * KIB);
  });
});

describe('the bound', () => {
  const limits = { maxBytes: 100 * KIB, retentionMs: 0 };

  async function fill(journal: WholeJournal): Promise<void> {
    for (let i = 0; i < 9; i++) expect(await append(journal, block(10 * KIB))).toBeNull();
  }

  test('journal - beyond its bound publishers wait, and are acknowledged once a consumer has moved on', async () => {
    const journal = opened(journalDir(), limits);
    journal.server.start();
    await fill(journal);
    let results: unknown = 'nothing yet';
    const waiting = append(journal, block(20 * KIB)).then((error) => {
      results = error;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(results, 'it waits').toBe('nothing yet');
    expect(journal.appender.pendingBytes()).toBeGreaterThan(20 * KIB);
    expect(blocksOf(journal.path)).toHaveLength(9);
    journal.server.release(5);
    await waiting;
    expect(results).toBeNull();
    expect(messagesOf(blocksOf(journal.path).at(-1)!)).toEqual([block(20 * KIB)]);
  });

  test('journal - a publisher that waited too long gets an error, in order; its message is not kept, and later ones are accepted', async () => {
    const journal = opened(journalDir(), limits, { patienceMs: 150, retryMs: 5 });
    journal.server.start();
    await fill(journal);
    const order: number[] = [];
    const refused = [0, 1, 2].map((i) =>
      append(journal, block(20 * KIB)).then((error) => {
        order.push(i);
        return error;
      }),
    );
    await new Promise((resolve) => setImmediate(resolve));
    // These collect behind the commit that is retried, and are refused after it.
    const behind = append(journal, block(20 * KIB)).then((error) => {
      order.push(3);
      return error;
    });
    for (const error of await Promise.all([...refused, behind]))
      expect(error).toMatchObject({ name: 'LamppostError', code: 'journal-full', retryable: true });
    expect(order).toEqual([0, 1, 2, 3]);
    expect(blocksOf(journal.path)).toHaveLength(9);
    journal.server.release(9);
    const last = { ...block(20 * KIB), topic: 'after' };
    expect(await append(journal, last)).toBeNull();
    const blocks = blocksOf(journal.path);
    expectSound(blocks, blocks[0]!.seq);
    expect(blocks.at(-1)!.first, 'refused messages have no number').toBe(9);
    expect(messagesOf(blocks.at(-1)!)).toEqual([last]);
  });

  test('journal - a message larger than the whole bound is refused and affects no other', async () => {
    const journal = opened(journalDir(), limits, { patienceMs: 50, retryMs: 5 });
    expect(await append(journal, block(200 * KIB))).toMatchObject({ code: 'journal-full' });
    expect(await append(journal, block(KIB))).toBeNull();
  });
});

describe('control records', () => {
  test('journal - ticks are separate records, at their interval, between the messages', async () => {
    const journal = opened(journalDir(), { tickMs: 10 });
    journal.server.start();
    const ticks = () => blocksOf(journal.path).filter(({ kind }) => kind === 'tick').length;
    await until(() => ticks() >= 2, 'two ticks');
    await append(journal, block(10));
    const before = ticks();
    await until(() => ticks() > before, 'another tick');
    const blocks = blocksOf(journal.path);
    expectSound(blocks);
    expect(blocks.filter(({ kind }) => kind === 'messages').flatMap(messagesOf)).toEqual([block(10)]);
    expect(blocks.at(-1)!).toMatchObject({ kind: 'tick', first: 1, count: 0 });
  });

  test('journal - every commit wakes its readers', async () => {
    const journal = opened(journalDir());
    const { server } = journal;
    await server.control('tick', {}, null);
    await server.control('devices', { version: 3 }, '3');
    await append(journal, block(1));
    expect(blocksOf(journal.path).map(({ kind }) => kind)).toEqual(['tick', 'devices', 'messages']);
    expect(Atomics.load(journal.signal.counter, 0)).toBe(3);
  });
});

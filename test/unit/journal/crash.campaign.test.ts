import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { BatchWriter, createRoute, JournalStore } from '../../../journal/index.ts';
import { append, journalDir, openJournal, payloadOf, removeJournals } from '../../kit/journal/kit.ts';
import { blocksOf, expectSound, messagesOf } from '../../kit/journal/reading.ts';

afterAll(removeJournals);

const WAL_HEADER = 32;

describe('a torn write', () => {
  /** An open journal, and the length of its write-ahead log when each block was acknowledged. */
  function journalWithLog(sizes: readonly number[]) {
    const path = join(journalDir(), 'journal.sqlite');
    const store = new JournalStore(path).open();
    const writer = new BatchWriter();
    const route = createRoute('bin-1', 't');
    const logAfter = sizes.map((size, i) => {
      if (i % 5 === 4) store.appendControl('city', Buffer.alloc(size, 65), i, `v${i}`);
      else {
        writer.add(route, Buffer.alloc(size, 65), i);
        const { bytes, length, count } = writer.take(null);
        store.appendMessages(new Uint8Array(bytes, 0, length), count, i);
      }
      return statSync(`${path}-wal`).size;
    });
    return { path, store, logAfter };
  }

  /** Copies what the disk holds after a crash: the file and its log (the index in -shm is memory). */
  function crashed(path: string): string {
    const copy = join(journalDir(), 'journal.sqlite');
    for (const end of ['', '-wal']) copyFileSync(path + end, copy + end);
    return copy;
  }

  const sizes = fc.array(fc.integer({ min: 0, max: 50_000 }), { minLength: 1, maxLength: 12 });
  const damage = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    how: fc.constantFrom('cut', 'flip', 'zeros'),
  });

  test('journal - a log truncated or damaged anywhere keeps exactly the complete blocks before that place, and continues from there', () => {
    fc.assert(
      fc.property(sizes, damage, (sizes, { at, how }) => {
        const { path, store, logAfter } = journalWithLog(sizes);
        const copy = crashed(path);
        store.close();
        const length = logAfter.at(-1)!;
        const place = WAL_HEADER + Math.floor(at * (length - WAL_HEADER - 1));
        if (how === 'cut') truncateSync(`${copy}-wal`, place);
        else {
          const log = readFileSync(`${copy}-wal`);
          if (how === 'flip') log[place]! ^= 0x40;
          else log.fill(0, place);
          writeFileSync(`${copy}-wal`, log);
        }
        const whole = logAfter.filter((end) => end <= place).length;
        const again = new JournalStore(copy).open();
        const blocks = blocksOf(copy);
        expectSound(blocks);
        // Zeros over zeros damage nothing: only then one more block may be complete.
        expect(blocks.length).toBeGreaterThanOrEqual(whole);
        if (how !== 'zeros') expect(blocks.length).toBe(whole);
        for (const [i, block] of blocks.entries()) {
          const text = block.kind === 'messages' ? messagesOf(block)[0]!.payload : Buffer.from(block.body).toString();
          if (text !== 'A'.repeat(sizes[i]!)) throw new Error(`block ${i} is not what was appended`);
        }
        const city = blocks.findLastIndex(({ kind }) => kind === 'city');
        expect(again.heads.city, 'the heads are those of the blocks').toBe(city < 0 ? null : `v${city}`);
        again.appendControl('tick', Buffer.from('{}'), 0, null);
        again.close();
        const after = blocksOf(copy);
        expectSound(after);
        expect(after).toHaveLength(blocks.length + 1);
      }),
      { numRuns: 60 },
    );
  });
});

describe('kill -9', () => {
  /** Runs the child until it acknowledged `most` messages and kills it. Returns the last number that it wrote. */
  async function killedAfter(dir: string, most: number): Promise<number> {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('../../kit/journal/child.ts', import.meta.url)), dir],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const gone = once(child, 'exit');
    let count = 0;
    let last = -1;
    for await (const line of createInterface({ input: child.stdout })) {
      last = Number(line);
      if (++count === most) child.kill('SIGKILL');
    }
    expect((await gone)[1]).toBe('SIGKILL');
    return last;
  }

  test('journal - every acknowledged message is there, complete and in its place, after repeated kills', async () => {
    const dir = journalDir();
    // The third run goes beyond the checkpoints of the write-ahead log.
    for (const most of [1, 300, 4_000, 700]) {
      const last = await killedAfter(dir, most);
      const blocks = blocksOf(join(dir, 'journal.sqlite'));
      expectSound(blocks);
      const messages = blocks.flatMap(messagesOf);
      expect(messages.length).toBeGreaterThan(last);
      messages.forEach(({ payload }, n) => {
        if (payload !== payloadOf(n).toString()) throw new Error(`message ${n} is not what was sent`);
      });
    }
  });
});

/** Mounting needs root and loop devices. A snapshot of the device holds what survives a loss of power. */
const mountable = (() => {
  try {
    const dir = journalDir();
    makeDisk(dir);
    mount(dir);
    unmount(dir);
    return true;
  } catch {
    return false;
  }
})();
if (!mountable && process.env.CI === 'true') throw new Error('no file system can be mounted here, and CI needs it');
if (!mountable) console.warn('SKIPPED: no file system can be mounted here: the journal without power');

function makeDisk(dir: string): void {
  mkdirSync(join(dir, 'disk'));
  writeFileSync(join(dir, 'image'), '');
  truncateSync(join(dir, 'image'), 24 * 1024 * 1024);
  execFileSync('mkfs.ext4', ['-q', '-F', join(dir, 'image')], { stdio: 'pipe' });
}
function mount(dir: string): void {
  execFileSync('mount', ['-o', 'loop', join(dir, 'image'), join(dir, 'disk')], { stdio: 'pipe' });
}
function unmount(dir: string): void {
  execFileSync('umount', [join(dir, 'disk')], { stdio: 'pipe' });
}

test.skipIf(!mountable)(
  'journal - an acknowledged message is on the device, not only in the memory of the system: it survives a loss of power',
  async () => {
    const dir = journalDir();
    const snapshots: string[] = [];
    makeDisk(dir);
    mount(dir);
    const journal = openJournal(join(dir, 'disk'));
    try {
      // Proof that a snapshot shows the difference: a file that was not synced is not on the device.
      writeFileSync(join(dir, 'disk', 'unsynced'), 'x'.repeat(100_000));
      for (let n = 0; n < 30; n++) {
        const payload = payloadOf(n).toString();
        expect(await append(journal, { identity: 'bin-1', topic: 't', payload })).toBeNull();
        if (n % 10 !== 9) continue;
        const snapshot = journalDir();
        mkdirSync(join(snapshot, 'disk'));
        copyFileSync(join(dir, 'image'), join(snapshot, 'image'));
        snapshots.push(snapshot);
      }
    } finally {
      journal.close();
      unmount(dir);
    }
    for (const [i, dir] of snapshots.entries()) {
      const acknowledged = (i + 1) * 10;
      mount(dir);
      try {
        const unsynced = join(dir, 'disk', 'unsynced');
        if (i === 0) expect(existsSync(unsynced) && statSync(unsynced).size > 0).toBe(false);
        const store = new JournalStore(join(dir, 'disk', 'journal.sqlite')).open();
        const blocks = blocksOf(join(dir, 'disk', 'journal.sqlite'));
        store.close();
        expectSound(blocks);
        const found = blocks.flatMap(messagesOf).map(({ payload }) => payload);
        expect(found).toEqual(Array.from({ length: acknowledged }, (_, n) => payloadOf(n).toString()));
      } finally {
        unmount(dir);
      }
    }
  },
);

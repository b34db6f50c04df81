import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Quarantined } from '../../../domain/index.ts';
import {
  createDiscards,
  createQuarantineReader,
  createQuarantineStore,
  createReplays,
  type Outcome,
  type QuarantineFilter,
} from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { type Entry, openIntake, openState, testDir, write } from '../../kit/ingest/intake.ts';
import { journals, MINUTES } from '../../kit/journal/random.ts';
import { runs } from '../../kit/runs.ts';

/** Opens a quarantine over the outcomes of a journal. */
function open(entries: readonly Entry[]) {
  const dir = testDir();
  const journal = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of entries) write(journal, entry);
  const db = openState(join(dir, 'state.sqlite'));
  const { intake } = openIntake(db);
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  const outcomes = reader.after(0, 1_000).map((block) => intake.outcome(block));
  const reading = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true });
  return {
    outcomes,
    store: createQuarantineStore(db),
    discards: createDiscards(db, 1_000),
    reader: createQuarantineReader(reading),
    close() {
      for (const one of [journal, reader, reading, db]) one.close();
    },
  };
}

type Opened = ReturnType<typeof open>;

/** Reads the whole list, page by page. */
function listed({ reader }: Opened, filter: QuarantineFilter, limit: number): Quarantined[] {
  const items: Quarantined[] = [];
  let after: string | null = null;
  do {
    const page = reader.list({ ...filter, limit, after });
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

/** Returns the expected list: the newest message first, and the faults of one message in their order. */
function expected(outcomes: readonly Outcome[]): Partial<Quarantined>[] {
  const byMessage = Map.groupBy(
    outcomes.flatMap(({ refusals }) => refusals),
    ({ position }) => position,
  );
  return [...byMessage].reverse().flatMap(([position, refusals]) =>
    refusals.map(({ device, topic, receivedAt, scope, reason, path, detail, raw }, ordinal) => ({
      id: `${position}-${ordinal}`,
      receivedAt: new Date(receivedAt).toISOString(),
      bytes: raw.length,
      ...{ device, topic, scope, reason, path, detail },
      discarded: null,
    })),
  );
}

const filters = fc.record(
  {
    device: fc.constantFrom('d1', 'd2', 'ghost'),
    reason: fc.constantFrom('malformed' as const, 'out-of-range' as const, 'unknown-metric' as const),
  },
  { requiredKeys: [] },
);

describe('quarantine', () => {
  test('holds every refusal once, however often its block is settled, and pages through them', () => {
    let seen = 0;
    fc.assert(
      fc.property(journals(MINUTES), filters, fc.integer({ min: 1, max: 9 }), (entries, filter, limit) => {
        const opened = open(entries);
        opened.store.settle(opened.outcomes);
        opened.store.settle(opened.outcomes.slice(-3));
        const all = expected(opened.outcomes);
        seen += all.length;
        expect(listed(opened, {}, limit)).toMatchObject(all);
        const { device, reason } = filter;
        const wanted = all.filter(
          (one) => (device === undefined || one.device === device) && (reason === undefined || one.reason === reason),
        );
        expect(listed(opened, filter, limit)).toMatchObject(wanted);
        expect(listed(opened, filter, limit)).toHaveLength(wanted.length);
        opened.close();
      }),
      { numRuns: runs(60) },
    );
    expect(seen).toBeGreaterThan(runs(500));
  });

  test('its groups have every entry that is listed once, of some devices or all, the most first', async () => {
    let seen = 0;
    const run = fc.asyncProperty(journals(MINUTES), async (entries) => {
      const opened = open(entries);
      opened.store.settle(opened.outcomes);
      const all = listed(opened, {}, 100);
      const byGroup = Map.groupBy(all, ({ device, reason }) => `${device} ${reason}`);
      const groups = await opened.reader.groups({ limit: 1_000 });
      seen += groups.length;
      expect(groups.map(({ device, reason, entries: n }) => [`${device} ${reason}`, n]).sort()).toEqual(
        [...byGroup].map(([key, some]) => [key, some.length]).sort(),
      );
      for (const { device, reason, newestAt } of groups)
        expect(newestAt).toBe(byGroup.get(`${device} ${reason}`)![0]!.receivedAt);
      const counts = groups.map((group) => group.entries);
      expect(counts).toEqual(counts.toSorted((a, b) => b - a));
      const own = groups.filter(({ device }) => device === 'd1');
      expect(await opened.reader.groups({ limit: 1_000, devices: ['d1', 'd1'] })).toEqual(own);
      expect(await opened.reader.groups({ limit: 1_000, owns: (device) => device === 'd1' })).toEqual(own);
      expect(await opened.reader.groups({ limit: 1 })).toEqual(groups.slice(0, 1));
      const [first] = all;
      if (first !== undefined) {
        opened.discards.add({ ids: [first.id], by: 'anna', note: 'a test', atMs: 77, agedMs: 77, place: '4-0' });
        const after = await opened.reader.groups({ limit: 1_000 });
        expect(after.reduce((sum, group) => sum + group.entries, 0)).toBe(all.length - 1);
      }
      opened.close();
    });
    await fc.assert(run, { numRuns: 20 });
    expect(seen).toBeGreaterThan(20);
  });

  test('a payload that is no text is returned byte by byte', () => {
    const payload = '\u0000{"metrics"\ufffd';
    const message = { identity: 'd1', topic: 'devices/d1/readings', payload, receivedAt: 5 };
    const opened = open([{ kind: 'messages', atMs: 5, messages: [message] }]);
    opened.store.settle(opened.outcomes);
    const [one] = listed(opened, {}, 1);
    expect(Buffer.from(opened.reader.get(one!.id)!.raw, 'base64').equals(Buffer.from(payload))).toBe(true);
    opened.close();
  });

  test('discarded entries are listed on request only; expired entries are deleted', () => {
    const message = (n: number) => ({ identity: 'd1', topic: 'x', payload: String(n), receivedAt: n });
    const opened = open([1, 2, 3].map((n) => ({ kind: 'messages', atMs: n, messages: [message(n)] })));
    opened.store.settle(opened.outcomes);
    const ids = ['1-0', '1-0', '9-0', 'nonsense'];
    opened.discards.add({ ids, by: 'anna', note: 'a test', atMs: 77, agedMs: 77, place: '4-0' });
    opened.discards.add({ ids, by: 'bo', note: 'too late', atMs: 78, agedMs: 78, place: '5-0' });
    expect(opened.reader.countDiscarded('4-0')).toBe(1);
    expect(opened.reader.countDiscarded('5-0')).toBe(0);
    expect(listed(opened, {}, 9).map(({ id }) => id)).toEqual(['2-0', '0-0']);
    const [, discarded] = listed(opened, { discarded: true }, 9);
    expect(discarded?.discarded).toEqual({ at: '1970-01-01T00:00:00.077Z', by: 'anna', note: 'a test' });
    expect(opened.store.expire(3)).toBe(2);
    expect(listed(opened, { discarded: true }, 9).map(({ id }) => id)).toEqual(['2-0']);
    opened.close();
  });

  test.each(['', 'abc', '1', '1-', '1-0-0', '1.5-0'])(
    'a page after "%s", which is no place in it, is refused',
    (after) => {
      const opened = open([]);
      expect(() => opened.reader.list({ limit: 1, after })).toThrow('is not the next of a page');
      opened.close();
    },
  );
});

test('replay - one that is cancelled stops behind what it sends, and what was not replayed stays', async () => {
  const items = Array.from({ length: 5 }, (_, n) => [{ id: n, topic: 't', payload: '', entries: [] }]);
  let sent = 0;
  const quarantine = {
    count: () => ({ entries: items.length, last: items.length }),
    countOf: () => 0,
    chosen: () => [],
    replayable: (_filter: unknown, after: number) => {
      const at = Math.max(0, after);
      return { items: items[at] ?? [], next: at + 1 < items.length ? at + 1 : null };
    },
  } as unknown as Parameters<typeof createReplays>[0]['quarantine'];
  const replays = createReplays({
    quarantine,
    append: async () => {
      sent++;
      replays.cancel('r');
      return sent;
    },
    status: async () => ({ history: sent, replayed: { settled: sent, refusedAgain: 0 } }),
    clock: { now: () => 0 },
  });
  expect(replays.cancel('r')).toBeNull();
  replays.start('r', {});
  await expect.poll(() => replays.get('r')?.state).toBe('cancelled');
  expect([sent, replays.get('r')?.settled, replays.running()]).toEqual([1, 1, false]);
});

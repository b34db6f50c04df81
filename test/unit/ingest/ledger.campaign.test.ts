import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Ledger, Series } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { queried } from '../../kit/history/read.ts';
import { type Entry, testDir, write } from '../../kit/ingest/intake.ts';
import { type Action, HistoryRun } from '../../kit/ingest/ledger-run.ts';
import { type Counts, Model } from '../../kit/ingest/model.ts';
import { DAYS, journals, MINUTES } from '../../kit/journal/random.ts';

const blocks = fc.constantFrom(1, 2, 3, 8, 40);
const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('step' as const), blocks, flush: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'wait' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('other' as const), blocks }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'crash between' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail between' as const }) },
);
const script = fc.array(actions, { minLength: 3, maxLength: 14, size: 'max' });

/** Accounts that a ledger may have: devices, and senders to a topic that names none. */
const ACCOUNTS = ['d1', 'd2', 'd3', 'ghost'];

/** The expected counts after each block. */
function expectations(entries: readonly Entry[]) {
  const model = new Model();
  const after = [{ total: model.total(), counts: new Map<string, Counts>() }];
  for (const entry of entries) {
    model.play(entry);
    const counts = new Map([...model.counts].map(([device, count]) => [device, { ...count }]));
    after.push({ total: model.total(), counts });
  }
  return { model, after };
}

function ledgerOf(counts: Counts, pending: number): Ledger {
  const { decoded, quarantined, stored, replaced, duplicate, refused } = counts;
  return {
    messages: { received: decoded + quarantined + pending, decoded, quarantined, pending },
    readings: { received: stored + duplicate + refused, stored, replaced, duplicate, quarantined: refused },
  };
}

const messagesIn = (entries: readonly Entry[]) =>
  entries.flatMap((one) => (one.kind === 'messages' ? one.messages : []));
const accountOf = ({ identity, topic }: { identity: string; topic: string }) => topic.split('/')[1] ?? identity;

/** Checks promise 2 at the ledger's cursor: each count is the model's, for the city and for each device. */
function expectBalanced(
  run: HistoryRun,
  entries: readonly Entry[],
  after: ReturnType<typeof expectations>['after'],
): void {
  const behind = messagesIn(entries.slice(run.cursor));
  const { total, counts } = after[run.cursor]!;
  run.look(({ ledger, quarantine }) => {
    const city = ledger.read();
    expect(city).toEqual(ledgerOf(total, behind.length));
    expect(city!.messages.received).toBe(messagesIn(entries).length);
    for (const account of ACCOUNTS) {
      const pending = behind.filter((message) => accountOf(message) === account).length;
      const known = counts.get(account);
      const expected = known === undefined && pending === 0 ? null : ledgerOf(known ?? new Model().total(), pending);
      expect(ledger.read(account), account).toEqual(expected);
    }
    const { items } = quarantine.list({ limit: 1_000_000, after: null });
    expect(items).toHaveLength(total.quarantined + total.refused);
  });
}

/** Checks that the history holds the values of the model, each once. */
async function expectStored(run: HistoryRun, model: Model): Promise<void> {
  const bounds = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, maxPoints: 1_000_000, fn: 'mean' } as const;
  const found = await queried(run.history, bounds);
  const expected: Series[] = [];
  for (const [device, metrics] of [...model.values].sort(([x], [y]) => (x < y ? -1 : 1))) {
    for (const [metric, values] of [...metrics].sort(([x], [y]) => (x < y ? -1 : 1))) {
      expected.push({ device, metric, unit: 'u', points: [...values].sort(([x], [y]) => x - y) });
    }
  }
  expect(found).toEqual(expected);
}

async function settle(
  entries: readonly Entry[],
  script: readonly Action[],
): Promise<{ crashes: number; between: number }> {
  const dir = testDir();
  const path = join(dir, 'journal.sqlite');
  const store = new JournalStore(path).open();
  for (const entry of entries) write(store, entry);
  const { model, after } = expectations(entries);
  const run = new HistoryRun(dir, path);
  await run.start();
  for (const action of script) {
    await run.do(action);
    expectBalanced(run, entries, after);
  }
  await run.finish();
  expect(run.cursor).toBe(entries.length);
  expectBalanced(run, entries, after);
  await expectStored(run, model);
  await run.stop();
  store.close();
  rmSync(dir, { recursive: true });
  return run;
}

describe('promise 2', () => {
  test('the ledger balances after every step of the history, for the city and for each device, whenever it crashes', async () => {
    const seen = { crashes: 0, between: 0 };
    await fc.assert(
      fc.asyncProperty(journals({ ...MINUTES, blocks: 30 }), script, async (entries, chosen) => {
        const { crashes, between } = await settle(entries, chosen);
        seen.crashes += crashes;
        seen.between += between;
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(seen.crashes).toBeGreaterThan(10);
    expect(seen.between).toBeGreaterThan(5);
  });

  test('the ledger agrees with a plain count over days, where keys expire', async () => {
    await fc.assert(
      fc.asyncProperty(journals({ ...DAYS, blocks: 40 }), async (entries) => {
        await settle(entries, [{ kind: 'step', blocks: 12, flush: true }]);
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });
});

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JournalStore } from '../../../journal/index.ts';
import type { Effects } from '../../../rules/index.ts';
import { testDir, write } from '../../kit/ingest/intake.ts';
import { Run, type Sink } from '../../kit/rules/consumer-run.ts';
import { scenario } from '../../kit/rules/crash-scenario.ts';
import { ALL_TABLES } from '../../kit/rules/sink.ts';

const entries = scenario();
let dir: string;
let undisturbed: string;
let effects = 0;

beforeAll(() => {
  dir = testDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of entries) write(store, entry);
  store.close();
  const counting: Sink = {
    ...ALL_TABLES,
    open(db, context) {
      const opened = ALL_TABLES.open(db, context);
      const counted: Effects = (...one) => {
        effects++;
        opened.effects(...one);
      };
      return { ...opened, effects: counted };
    },
  };
  undisturbed = play(() => {}, counting);
});
afterAll(() => rmSync(dir, { recursive: true }));

let runs = 0;

/** What is on disk after the whole journal; `disturb` acts on the run first. */
function play(disturb: (run: Run) => void, sink = ALL_TABLES): string {
  const path = join(dir, `run-${runs++}`);
  mkdirSync(path);
  const run = new Run(path, join(dir, 'journal.sqlite'), { sink });
  disturb(run);
  const written = run.finish();
  rmSync(path, { recursive: true });
  return written;
}

const blocks = Array.from(entries.keys(), (i) => i + 1);
const step = { kind: 'step', blocks: 1 } as const;

describe('a scenario of ten rules', () => {
  test('raises, escalates and resolves tickets by every rule', () => {
    const rules = [...undisturbed.matchAll(/^tickets .*?"rule":"([^"]+)"/gm)].map(([, rule]) => rule);
    expect([...new Set(rules)].toSorted()).toEqual([
      'crowd',
      'extra',
      'flood',
      'gone',
      'high',
      'leap',
      'odd',
      'office',
      'restless',
      'silent',
      'spare',
      'stuck',
    ]);
    expect(undisturbed).toContain('~limit');
    expect(undisturbed).toContain('escalated');
    expect(effects).toBeGreaterThan(100);
  });

  test('crash after any one block - alerts, tickets and outbox are byte-equal', () => {
    for (const at of blocks) {
      const written = play((run) => {
        run.do({ kind: 'step', blocks: at });
        while (run.step().length > 0);
        run.do({ kind: 'crash' });
      });
      expect(written, `a crash after block ${at}`).toBe(undisturbed);
    }
  });

  test('crash after every other block, with single-block steps and some checkpoints', () => {
    for (const at of blocks.filter((block) => block % 2 === 0)) {
      const written = play((run) => {
        for (let block = 1; block <= at; block++) {
          run.do(step);
          if (block % 7 === at % 7) run.do({ kind: 'checkpoint' });
          else if (block % 3 === 0) run.do({ kind: 'wait' });
        }
        run.do({ kind: 'crash' });
      });
      expect(written, `a crash after block ${at}`).toBe(undisturbed);
    }
  });

  test('crash after each block of one run', () => {
    const written = play((run) => {
      for (const at of blocks) {
        run.do(step);
        if (at % 5 === 0) run.do({ kind: 'checkpoint' });
        run.do({ kind: 'crash' });
      }
    });
    expect(written).toBe(undisturbed);
  });

  test('crash in the middle of any commit, before any effect of the scenario', () => {
    let crashes = 0;
    for (let at = 0; at < effects; at++) {
      const written = play((run) => {
        run.do({ kind: 'crash in effect', at });
        for (let taken = 0; taken < entries.length; taken += 5) {
          run.do({ kind: 'step', blocks: 5 });
          if (taken % 15 === 0) run.do({ kind: 'checkpoint' });
        }
        crashes += run.crashes;
      });
      expect(written, `a crash before effect ${at}`).toBe(undisturbed);
    }
    expect(crashes).toBe(effects);
  });
});

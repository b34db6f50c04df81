import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { JournalStore } from '../../../journal/index.ts';
import { cityControl, type Entry, native, testDir, write } from '../../kit/ingest/intake.ts';
import { Run, rulesOf } from '../../kit/rules/consumer-run.ts';
import { ALL_TABLES } from '../../kit/rules/sink.ts';

/** `rulesOf` with a rule that the language refuses: without a threshold the engine throws when it judges a reading. */
const withBug: typeof rulesOf = (version, records) => {
  const { rules, ...rest } = rulesOf(version, records);
  const broken = rules.map((rule) =>
    rule.id === 'broken' && rule.when.kind === 'threshold'
      ? { ...rule, when: { ...rule.when, threshold: null as unknown as number } }
      : rule,
  );
  return { rules: broken, ...rest };
};

const rule = (id: string, more: object = {}) => ({
  id,
  title: `${id} {{value}}`,
  when: { metric: 'a', above: 10 },
  severity: 'low',
  ticket: { service: 'repair' },
  ...more,
});
const reading = (second: number, a: number): Entry => ({
  kind: 'messages',
  atMs: second * 1000,
  messages: [native('d1', { ts: second * 1000, metrics: { a } }, second * 1000)],
});
const city = (second: number, ...rules: { id: string }[]): Entry => ({
  kind: 'city',
  atMs: second * 1000,
  body: cityControl({ rules }),
});
const devices: Entry = {
  kind: 'devices',
  atMs: 0,
  body: { version: 1, registered: [{ id: 'd1', profile: 'bin', district: 'east' }], revoked: [] },
};
const journal: readonly Entry[] = [
  city(0, rule('broken'), rule('sound')),
  devices,
  reading(1, 20),
  reading(2, 5),
  reading(3, 30),
  city(4, rule('repaired'), rule('sound')),
  reading(5, 40),
];

let dir: string;
let store: JournalStore;

beforeEach(() => {
  dir = testDir();
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of journal) write(store, entry);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

/** What is on disk after the whole journal; `disturb` acts on the run first. */
function play(disturb: (run: Run) => void): string[] {
  const path = mkdtempSync(join(dir, 'run-'));
  const run = new Run(path, join(dir, 'journal.sqlite'), { sink: ALL_TABLES, parse: withBug });
  disturb(run);
  return run.finish().split('\n');
}

const outboxOf = (written: readonly string[]) =>
  written.flatMap((line) => {
    if (!line.startsWith('outbox ')) return [];
    const { type, subject } = JSON.parse(line.slice(7)) as { type: string; subject: string };
    return [`${type.slice('city.lamppost.'.length)} ${subject}`];
  });

test('fault - a rule that makes the engine throw is disabled alone, with an alarm and no ticket, until it changes', () => {
  const written = play(() => {});
  expect(outboxOf(written)).toEqual([
    'alert.firing alerts/broken/~fault',
    'alert.firing alerts/sound/d1',
    'ticket.opened tickets/t-3-1',
    'alert.resolved alerts/sound/d1',
    'ticket.resolved tickets/t-3-1',
    'alert.firing alerts/sound/d1',
    'ticket.opened tickets/t-5-0',
    'alert.resolved alerts/broken/~fault',
    'alert.firing alerts/repaired/d1',
    'ticket.opened tickets/t-7-0',
  ]);
});

test('fault - the rule stays disabled over a crash after any block, with and without a checkpoint', () => {
  const undisturbed = play(() => {});
  for (const checkpoint of [false, true]) {
    for (let at = 1; at <= journal.length; at++) {
      const written = play((run) => {
        run.do({ kind: 'step', blocks: at });
        if (checkpoint) run.do({ kind: 'checkpoint' });
        run.do({ kind: 'crash' });
      });
      expect(written, `a crash after block ${at}`).toEqual(undisturbed);
    }
  }
});

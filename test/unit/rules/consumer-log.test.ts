import { join } from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import type { RuleControl, Transition } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { rulesInForce } from '../../../rules/index.ts';
import { cityControl, type Entry, native, testDir, write } from '../../kit/ingest/intake.ts';
import { startConsumer } from '../../kit/rules/consumer-run.ts';

/** The log lines, transitions and rules of a consumer after these entries. */
function consume(entries: readonly Entry[], rulesOf = rulesInForce) {
  const dir = testDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const entry of entries) write(store, entry);
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const applied: Transition[] = [];
  const effects = (transition: Transition) => void applied.push(transition);
  const { rules, close } = startConsumer(dir, { log, rulesOf, effects });
  while (rules.step().length > 0);
  const ids = rules.rules().map(({ id }) => id);
  for (const one of [{ close }, store]) one.close();
  return { lines, applied, ids };
}

const rule = (id: string, metric: string) => ({
  id,
  title: 'A',
  when: { metric, last: true, above: 1 },
  severity: 'low',
});
const city = (...rules: { id: string }[]): Entry => ({ kind: 'city', atMs: 0, body: cityControl({ rules }) });
const device: Entry = {
  kind: 'devices',
  atMs: 0,
  body: { version: 1, registered: [{ id: 'd1', profile: 'bin', district: 'east' }], revoked: [] },
};
const reading: Entry = {
  kind: 'messages',
  atMs: 1000,
  messages: [native('d1', { ts: 1000, metrics: { a: 20 } }, 1000)],
};

test('rules consumer - logs the fault of a rule besides its alert, and no other transition', () => {
  const withoutThreshold: typeof rulesInForce = (version, records) => {
    const { rules, ...rest } = rulesInForce(version, records);
    const broken = rules.map((one) =>
      one.id === 'broken' ? { ...one, when: { ...one.when, threshold: null as unknown as number } } : one,
    );
    return { rules: broken, ...rest };
  };
  const { lines, applied } = consume(
    [city(rule('broken', 'a'), rule('sound', 'a')), device, reading],
    withoutThreshold,
  );
  expect(applied.map(({ rule: id, group }) => `${id} ${group}`)).toEqual(['broken ~fault', 'sound d1']);
  const { detail } = applied[0]!.evidence;
  expect(detail).toBeTruthy();
  expect(lines).toMatchObject([{ level: 50, rule: 'broken', to: 'firing', detail }]);
});

test('rules consumer - leaves out a rule of the API that does not fit the city, and logs why', () => {
  const record = (id: string): Entry => {
    const text = `id: ${id}\ntitle: A\nwhen: { metric: ${id}, last: true, above: 1 }\nseverity: low\n`;
    const body: RuleControl = { id, number: 1, text, version: 'v', by: 'k1', at: '', note: '' };
    return { kind: 'rule', atMs: 0, body };
  };
  const { lines, ids } = consume([city(), record('a'), record('zzz')]);
  expect(ids).toEqual(['a']);
  expect(lines).toMatchObject([{ level: 40, rule: 'zzz', problems: [expect.stringMatching(/^3:\d+ .*zzz/)] }]);
});

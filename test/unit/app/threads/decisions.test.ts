import pino from 'pino';
import { expect, test } from 'vitest';
import { createDecisions } from '../../../../app/threads/decisions.ts';
import { FAULT_GROUP, type RuleControl } from '../../../../domain/index.ts';
import type { Pipeline } from '../../../../events/index.ts';
import { compileChecks } from '../../../../ingest/index.ts';
import { cityControl, parseOnce } from '../../../kit/ingest/intake.ts';
import { city, rule, transition } from '../../../kit/tickets/scene.ts';

function bench() {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const applied: unknown[] = [];
  const pipeline: Pipeline = {
    apply(one) {
      applied.push(one);
      return { kind: 'none', reason: 'rule-raises-no-ticket' };
    },
    tell: (news) => news.at(-1)!,
    due: () => false,
  };
  return { lines, applied, ...createDecisions({ log, pipeline }) };
}

test('decisions - the fault of a rule is a line in the log besides its alert', () => {
  const { effects, lines, applied } = bench();
  const plain = transition('1.0', 'firing', { group: FAULT_GROUP, value: null });
  const surrounding = { rule, subject: { kind: 'rule' }, city } as never;
  effects({ ...plain, evidence: { ...plain.evidence, detail: 'boom' } }, surrounding);
  expect(lines).toMatchObject([{ level: 50, rule: rule.id, to: 'firing', detail: 'boom' }]);
  effects(transition('2.0', 'firing'), surrounding);
  expect([lines.length, applied.length]).toEqual([1, 2]);
});

test('decisions - a rule of the API that does not fit the city is left out with a line that says why', () => {
  const { rulesOf, lines } = bench();
  const text = (metric: string) =>
    `id: ${metric}\ntitle: A\nwhen: { metric: ${metric}, last: true, above: 1 }\nseverity: low\n`;
  const record = (id: string): RuleControl => ({
    id,
    number: 1,
    text: text(id),
    version: 'v',
    by: 'k1',
    at: '',
    note: '',
  });
  const control = cityControl();
  const current = parseOnce(control)!;
  const checks = compileChecks(current, { indexOf: () => 0, idOf: () => '' });
  const rules = rulesOf({ seq: 1, control, city: current, checks }, [record('a'), record('zzz')]);
  expect(rules.map(({ id }) => id)).toEqual(['a']);
  expect(lines).toMatchObject([{ level: 40, rule: 'zzz', problems: [expect.stringMatching(/^3:\d+ .*zzz/)] }]);
});

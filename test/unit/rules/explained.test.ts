import { expect, test } from 'vitest';
import { EXPLAIN_REASONS, type ExplainReason, type Explanation } from '../../../rules/engine/index.ts';
import { outlookOf } from '../../../rules/explained.ts';
import { explained } from '../../../rules/index.ts';

const T = Date.UTC(2026, 0, 1);
const explanation = (reason: ExplainReason, more: Partial<Explanation> = {}): Explanation => ({
  rule: 'r1',
  version: 'v',
  group: 'd1',
  state: 'inactive',
  reason,
  sinceMs: null,
  dueMs: null,
  matches: null,
  clauses: [],
  ...more,
});

test.each(Object.keys(EXPLAIN_REASONS) as ExplainReason[])(
  'explained - %s has a text in both languages, and an outlook',
  (reason) => {
    const { text } = explained(explanation(reason));
    expect(text.en).toMatch(/^[A-Z]/);
    expect(text.zh).toMatch(/[\u4e00-\u9fff]/);
    const outlook = outlookOf(explanation(reason, { dueMs: T }));
    expect(outlook.en).toMatch(/^[a-z]/);
    expect(outlook.zh).toMatch(/[\u4e00-\u9fff]/);
  },
);

test('explained - times are ISO 8601 UTC or null', () => {
  expect(explained(explanation('waiting-for', { sinceMs: T }))).toMatchObject({
    since: '2026-01-01T00:00:00.000Z',
    due: null,
  });
  expect(explained(explanation('unknown'))).not.toHaveProperty('sinceMs');
});

test('outlook - has the time where it is known', () => {
  const due = { dueMs: T } as const;
  expect(outlookOf(explanation('waiting-for', { ...due, state: 'pending' })).en).toBe(
    'would fire at 2026-01-01T00:00:00.000Z if it stays so',
  );
  expect(outlookOf(explanation('firing-kept', { ...due, state: 'firing' })).zh).toContain('2026-01-01T00:00:00.000Z');
  expect(outlookOf(explanation('firing-silent', { state: 'firing' })).en).toBe('fires');
});

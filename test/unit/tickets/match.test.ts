import { expect, test } from 'vitest';
import type { AlertLabels, Inhibition } from '../../../domain/index.ts';
import { type FiringAlert, inhibitorOf } from '../../../tickets/match.ts';

const labels: AlertLabels = {
  ...{ rule: 'fill', group: 'bin-7', severity: 'low', service: 'waste', department: 'waste', district: 'harbour' },
  ...{ device: 'bin-7', profile: 'bin', tags: { gateway: 'gw-1' } },
};
const inhibition: Inhibition = { source: { rule: ['silent'] }, target: {}, equal: [], via: null, lateMs: 0 };

/** Returns firing alerts of `silent`, and records which groups were queried and how many were read. */
function storm(groups: readonly string[]) {
  const asked: (string | null)[] = [];
  let read = 0;
  function* firing(_rules: readonly string[] | 'silent', group: string | null): Iterable<FiringAlert> {
    asked.push(group);
    for (const one of groups) {
      if (group !== null && one !== group) continue;
      read++;
      yield { rule: 'silent', group: one, severity: 'low', district: 'harbour' };
    }
  }
  const find = (given: Partial<Inhibition>, of: AlertLabels = labels) =>
    inhibitorOf(of, [{ ...inhibition, ...given }], firing)?.group ?? null;
  return { find, asked, read: () => read };
}

const thousands = Array.from({ length: 5_000 }, (_, i) => `bin-${i}`);

test('inhibition - of thousands of firing alerts only the one that can inhibit is read', () => {
  const { find, asked, read } = storm([...thousands, 'gw-1']);
  expect(find({ equal: ['device'] })).toBe('bin-7');
  expect(find({ via: 'gateway' })).toBe('gw-1');
  expect(asked).toEqual(['bin-7', 'gw-1']);
  expect(read()).toBe(2);
});

test('inhibition - where any can inhibit, reading stops at the first that does', () => {
  const { find, asked, read } = storm(thousands);
  expect(find({ equal: ['district'] })).toBe('bin-0');
  expect([asked, read()]).toEqual([[null], 1]);
});

test('inhibition - an alert without a device, or without the tag, is not inhibited by what needs it', () => {
  const { find, asked } = storm(thousands);
  expect(find({ equal: ['device'] }, { ...labels, device: null })).toBeNull();
  expect(find({ via: 'gateway' }, { ...labels, tags: {} })).toBeNull();
  expect(asked).toEqual([]);
});

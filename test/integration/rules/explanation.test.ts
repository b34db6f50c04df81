import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from '../../../domain/index.ts';
import type { TrialReport } from '../../../rules/index.ts';
import { full, RulesServer } from '../../kit/rules/server.ts';

const server = new RulesServer({ slow: full('slow', 80, 'for: 10m\n'), high: full('high', 95) });

beforeAll(async () => {
  await server.start();
  await server.bins(['bin-1']);
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

interface Explanation {
  readonly rule: string;
  readonly reason: string;
  readonly due: string | null;
  readonly text: { readonly zh: string };
}

test('explain - why an alert waits, and why the others do not fire', async () => {
  await server.fill('bin-1', 85);
  const { explanation, state } = await server.get<{ state: string; explanation: Explanation }>(
    '/api/v1/alerts/slow/bin-1',
  );
  expect(state).toBe('pending');
  expect(explanation).toMatchObject({
    reason: 'waiting-for',
    clauses: [{ path: 'when', metric: 'fill', value: 85, threshold: 80, verdict: 'true' }],
  });
  expect(Date.parse(explanation.due!)).toBeGreaterThan(Date.now() + 500_000);
  const { items } = await server.get<Page<Explanation>>('/api/v1/devices/bin-1/explain');
  expect(items.map(({ rule, reason }) => `${rule} ${reason}`)).toEqual(['high not-matching', 'slow waiting-for']);
  expect(items[0]!.text.zh).toBe('条件不成立');
});

test('try - reads the stored readings of the device first, and stores nothing', async () => {
  const rule = full('mean', 50).replace('last: true', 'mean: 1h');
  const body = { rule, device: 'bin-1', readings: [{ metrics: { fill: 25 } }, { metrics: { fill: 'x' } }] };
  const { status, body: report } = await server.ask<TrialReport>('POST', '/api/v1/rules/try', body);
  expect(status).toBe(200);
  expect(report.context).toMatchObject({ devices: 1, readings: 1 });
  expect(report.steps.map(({ would }) => would)).toEqual(['fires', 'is refused: it changes nothing']);
  expect(report.steps[0]!.explanation.clauses).toMatchObject([{ value: 55, count: 2 }]);
  expect((await server.ask('GET', '/api/v1/rules/mean')).status).toBe(404);
  expect((await server.ask('GET', '/api/v1/alerts/mean/bin-1')).status).toBe(404);
});

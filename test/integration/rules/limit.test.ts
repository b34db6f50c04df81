import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Alert, CloudEvent, Page, Ticket } from '../../../domain/index.ts';
import { full, RulesServer } from '../../kit/rules/server.ts';

const LIMIT = 100;
const rule = full('all-full', 50, `limit: ${LIMIT}\nticket: { service: waste }\n`);
const server = new RulesServer({ 'all-full': rule, quiet: full('quiet', 95, 'ticket: { service: waste }\n') });
const ids = Array.from({ length: 200 }, (_, i) => `bin-${String(i).padStart(3, '0')}`);

beforeAll(async () => {
  await server.start();
  await server.bins(ids);
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

async function groups(state: Alert['state']): Promise<string[]> {
  const { items } = await server.get<Page<Alert>>(`/api/v1/alerts?rule=all-full&state=${state}&limit=1000`);
  return items.map(({ group }) => group).toSorted();
}

async function tickets(): Promise<readonly Ticket[]> {
  return (await server.get<Page<Ticket>>('/api/v1/tickets?limit=1000')).items;
}

test('limit - a rule that matches the whole fleet opens as many tickets as it may, and one that says so', async () => {
  await server.fillAll(ids, 90);
  expect(await groups('firing')).toEqual([...ids.slice(0, LIMIT), '~limit']);
  expect(await groups('pending')).toEqual(ids.slice(LIMIT));
  const opened = await tickets();
  expect(opened).toHaveLength(LIMIT + 1);
  expect(opened.find(({ group }) => group === '~limit')).toMatchObject({
    rule: 'all-full',
    title: 'Rule all-full: more than 100 groups would fire',
    titleZh: '规则 all-full：超过 100 个对象将同时报警',
    evidence: { window: { fn: 'limit', value: 101, threshold: 100 } },
  });
  const { explanation } = await server.get<{ explanation: { reason: string } }>('/api/v1/alerts/all-full/bin-150');
  expect(explanation.reason).toBe('held-by-limit');
});

test('limit - the other rules go on as ever', async () => {
  await server.fill('bin-150', 97, Date.now() + 1);
  expect((await tickets()).filter(({ rule: of }) => of === 'quiet')).toMatchObject([{ group: 'bin-150' }]);
});

test('limit - outlasts kill -9, and ends when few enough would fire, without a ticket for those that were held', async () => {
  const before = await tickets();
  await server.kill();
  await server.start();
  expect(await tickets()).toEqual(before);
  await server.fillAll(ids.slice(LIMIT), 10, Date.now() + 2);
  expect(await groups('firing')).toEqual(ids.slice(0, LIMIT));
  expect(await groups('pending')).toEqual([]);
  const after = await tickets();
  expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  expect(after.find(({ group }) => group === '~limit')!.status).toBe('resolved');
  const { items } = await server.get<Page<{ event: CloudEvent }>>('/api/v1/events?limit=1000');
  const types = items.flatMap(({ event }) => ((event.data as Alert).group === '~limit' ? [event.type] : []));
  expect(types).toEqual([
    'city.lamppost.alert.firing',
    'city.lamppost.ticket.opened',
    'city.lamppost.alert.resolved',
    'city.lamppost.ticket.resolved',
  ]);
});

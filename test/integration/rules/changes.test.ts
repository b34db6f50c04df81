import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntry } from '../../../actions/index.ts';
import type { Alert, CloudEvent, Page, Ticket } from '../../../domain/index.ts';
import type { ListedRule, RuleVersion } from '../../../rules/index.ts';
import { full, RulesServer } from '../../kit/rules/server.ts';

const server = new RulesServer({ kept: full('kept', 80), changed: full('changed', 80) });
const alertOf = (rule: string, group: string) => server.get<Alert>(`/api/v1/alerts/${rule}/${group}`);

beforeAll(async () => {
  await server.start();
  await server.bins(['bin-1', 'bin-2', 'bin-3', 'bin-4']);
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

describe('a rule made by the API', () => {
  test('fires, survives kill -9, goes on where it was, and its history shows every version', async () => {
    const first = await server.ask<ListedRule>('POST', '/api/v1/rules?note=to+begin+with', full('api-full', 50));
    expect(first).toMatchObject({ status: 201, body: { number: 1, inForce: true, origin: 'api:admin' } });
    await server.fill('bin-1', 60);
    const { since, ...fired } = await alertOf('api-full', 'bin-1');
    expect(fired).toMatchObject({ state: 'firing', value: 60, title: 'bin-1 is at 60 %' });

    await server.kill();
    await server.start();
    expect(await alertOf('api-full', 'bin-1')).toMatchObject({
      state: 'firing',
      since,
      explanation: { reason: 'firing' },
    });
    await server.fill('bin-1', 40);
    expect(await alertOf('api-full', 'bin-1')).toMatchObject({ state: 'resolved', value: 40 });

    const second = await server.ask<ListedRule>('PUT', '/api/v1/rules/api-full?note=too+many', full('api-full', 70), {
      'if-match': first.headers.get('etag')!,
    });
    expect(second).toMatchObject({ status: 200, body: { number: 2 } });
    await server.fill('bin-1', 60, Date.now() + 1);
    expect(await alertOf('api-full', 'bin-1')).toMatchObject({ state: 'resolved' });
    await server.kill();
    await server.start();
    const { items } = await server.get<Page<RuleVersion>>('/api/v1/rules/api-full/history');
    expect(items.map(({ number, by, note, text }) => [number, by, note, text])).toEqual([
      [2, 'admin', 'too many', full('api-full', 70)],
      [1, 'admin', 'to begin with', full('api-full', 50)],
    ]);
    expect(items[0]!.version).not.toBe(items[1]!.version);
  });

  test('is deleted with the end of its alerts, and its tickets resolve', async () => {
    await server.ask('POST', '/api/v1/rules', full('passing', 50, 'ticket: { service: waste }\n'));
    await server.fill('bin-2', 55);
    expect(await alertOf('passing', 'bin-2')).toMatchObject({ state: 'firing' });
    expect((await server.ask('DELETE', '/api/v1/rules/passing?note=done')).status).toBe(204);
    expect(await alertOf('passing', 'bin-2')).toMatchObject({ state: 'resolved', explanation: null });
    const { items } = await server.get<Page<Ticket>>('/api/v1/tickets?rule=passing');
    expect(items).toMatchObject([{ status: 'resolved', evidence: { rule: expect.stringContaining('id: passing') } }]);
  });

  test('with mistakes is refused with the place of each', async () => {
    const text = full('bad', 50).replace('fill', 'fil').replace('medium', 'loud');
    const answer = await server.ask<{ errors: { line: number; message: string }[] }>('POST', '/api/v1/rules', text);
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map(({ line }) => line).sort()).toEqual([4, 5]);
  });
});

describe('the city folder', () => {
  test('its rules are read-only, and the response says which file to edit', async () => {
    const detail = expect.stringContaining('rules/kept.yaml');
    expect(await server.ask('PUT', '/api/v1/rules/kept', full('kept', 1))).toMatchObject({
      status: 403,
      body: { detail },
    });
    expect(await server.ask('DELETE', '/api/v1/rules/kept')).toMatchObject({ status: 403, body: { detail } });
    expect(await server.ask('POST', '/api/v1/rules', full('kept', 1))).toMatchObject({ status: 409, body: { detail } });
  });

  test('read again, it keeps the alert of a rule that did not change, ends that of one that no longer holds, and takes an id', async () => {
    await server.ask('POST', '/api/v1/rules', full('taken', 50));
    await server.fill('bin-3', 90);
    const kept = await alertOf('kept', 'bin-3');
    expect(kept).toMatchObject({ state: 'firing' });
    expect(await alertOf('changed', 'bin-3')).toMatchObject({ state: 'firing' });
    server.write('rules/changed.yaml', full('changed', 95));
    server.write('rules/kept.yaml', `# a comment changes nothing\n${full('kept', 80)}`);
    server.write('rules/taken.yaml', full('taken', 95));
    const reload = () => server.ask('POST', '/api/v1/city/reload', undefined, { 'idempotency-key': 'taken' });
    expect(await reload()).toMatchObject({ status: 200, body: { changed: true } });
    expect(await reload()).toMatchObject({ status: 200, body: { changed: true } });
    expect(await server.ask('POST', '/api/v1/city/reload')).toMatchObject({ status: 200, body: { changed: false } });
    const { items } = await server.get<Page<AuditEntry>>('/api/v1/audit?action=city.reload&limit=3');
    expect(items.map(({ actor, result }) => [actor, result]).toReversed()).toEqual([
      ['admin', 'done'],
      ['admin', 'repeated'],
      ['admin', 'done'],
    ]);
    // A device that is registered comes after the folder in the journal.
    await server.bins(['bin-5']);
    await server.fill('bin-5', 10);
    await server.fill('bin-3', 91, Date.now() + 1);
    expect(await alertOf('kept', 'bin-3')).toMatchObject({ state: 'firing', since: kept.since });
    expect(await alertOf('changed', 'bin-3')).toMatchObject({ state: 'resolved' });
    const listed = await server.get<ListedRule>('/api/v1/rules/taken');
    expect(listed).toMatchObject({
      origin: 'file:rules/taken.yaml',
      problems: [{ message: expect.stringContaining('which wins') }],
    });
    expect(server.output).toContain('a rule of the API is not in force');
    expect((await server.ask('DELETE', '/api/v1/rules/taken')).status).toBe(204);
    expect(await server.get<ListedRule>('/api/v1/rules/taken')).toMatchObject({ problems: [], inForce: true });
  });
});

test('an alert whose severity rises escalates its ticket, and both are events', async () => {
  const steps = full('steps', 70, 'ticket: { service: waste }\n').replace('medium', '{ medium: 70, critical: 95 }');
  expect(await server.ask('POST', '/api/v1/rules', steps)).toMatchObject({ status: 201 });
  await server.fill('bin-4', 75);
  await server.fill('bin-4', 99);
  const { items } = await server.get<Page<Ticket>>('/api/v1/tickets?rule=steps');
  expect(items).toMatchObject([{ severity: 'critical', status: 'open', history: [{ to: 'open' }, {}] }]);
  const events =
    await server.get<Page<{ event: CloudEvent & { data: { rule: string } } }>>('/api/v1/events?limit=1000');
  const types = events.items
    .filter(({ event }) => event.data.rule === 'steps')
    .map(({ event }) => event.type.slice(14));
  expect(types).toEqual(['alert.firing', 'ticket.opened', 'alert.firing', 'ticket.escalated']);
});

test('a rule that matches too many raises one limit alarm with one ticket', async () => {
  const ids = ['crowd-1', 'crowd-2', 'crowd-3'];
  await server.bins(ids, 'old-town');
  const where = full('crowd', 20, 'limit: 2\nticket: { service: waste }\n').replace(
    'profile: waste-bin',
    'district: old-town',
  );
  expect((await server.ask('POST', '/api/v1/rules', where)).status).toBe(201);
  for (const id of ids) await server.fill(id, 30);
  const { items } = await server.get<Page<Ticket>>('/api/v1/tickets?rule=crowd&status=open');
  expect(items.map(({ group }) => group)).toEqual(['~limit', 'crowd-2', 'crowd-1']);
  expect(items[0]).toMatchObject({
    title: 'Rule crowd: more than 2 groups would fire',
    service: 'waste',
    district: '',
  });
  expect(await alertOf('crowd', 'crowd-3')).toMatchObject({
    state: 'pending',
    explanation: { reason: 'held-by-limit' },
  });
});

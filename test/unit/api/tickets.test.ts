import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page, Ticket } from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

interface Answer {
  readonly status: number;
  readonly etag: string | null;
  readonly body: Ticket & { reason?: string; detail?: string; silencedBy: string[] };
}

async function call(
  path: string,
  init: { method?: string; body?: unknown; key?: string; etag?: string } = {},
): Promise<Answer> {
  const { method = 'POST', body, key, etag } = init;
  const response = await api.fetch(path, {
    method,
    ...(key === undefined ? {} : { key }),
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(etag === undefined ? {} : { 'if-match': etag }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, etag: response.headers.get('etag'), body: text === '' ? null : JSON.parse(text) };
}

const act = (id: string, action: string, init: Parameters<typeof call>[1] = {}) =>
  call(`/api/v1/tickets/${id}/${action}`, init);

/** A ticket opened by hand. */
async function opened(more: object = {}): Promise<Ticket> {
  const body = { service: 'repair', title: 'Broken', district: 'east', ...more };
  const response = await call('/api/v1/tickets', { body });
  expect(response.status).toBe(201);
  return response.body;
}

test('tickets - they are counted by status, with the filters of the list', async () => {
  const count = async (query: string) => {
    const response = await api.fetch(`/api/v1/tickets/counts?district=east${query}`);
    return (await response.json()) as { byStatus: Record<string, number>; overdue: number };
  };
  const before = await count('');
  const [{ id }] = [await opened({ severity: 'low' }), await opened({ severity: 'critical' })];
  await act(id, 'resolve');
  const after = await count('');
  expect(after.byStatus.open).toBe(before.byStatus.open! + 1);
  expect(after.byStatus.resolved).toBe(before.byStatus.resolved! + 1);
  const listed = (await (await api.fetch('/api/v1/tickets?severity=critical&limit=1000')).json()) as Page<Ticket>;
  const critical = (await count('&severity=critical')).byStatus;
  expect(Object.values(critical).reduce((sum, one) => sum + one, 0)).toBe(listed.items.length);
  expect(after.overdue).toBe(0);
});

test('tickets - an action with If-Match needs the current version among those listed', async () => {
  const { id } = await opened();
  const seen = await call(`/api/v1/tickets/${id}`, { method: 'GET' });
  expect(seen.etag).toBe('"1"');
  expect(seen.body).toMatchObject({ origin: 'operator', silencedBy: [], history: [{ note: 'opened by hand' }] });
  const taken = await act(id, 'acknowledge', { etag: seen.etag! });
  expect([taken.status, taken.etag, taken.body.status]).toEqual([200, '"2"', 'acknowledged']);
  const late = await act(id, 'start', { etag: seen.etag! });
  expect(late).toMatchObject({ status: 412, body: { reason: 'ticket-changed' } });
  expect(late.body.detail).toContain('it is at version 2, not 1');
  const malformed = await act(id, 'start', { etag: '2' });
  expect([malformed.status, malformed.body.detail]).toEqual([400, expect.stringContaining('such as "3"')]);
  expect(await act(id, 'start', { etag: 'W/"2"' })).toMatchObject({ status: 412 });
  const listed = await act(id, 'comment', { etag: '"1", W/"7", "2"', body: { note: 'on my way' } });
  expect([listed.status, listed.etag]).toEqual([200, '"3"']);
  const unlisted = await act(id, 'comment', { etag: '"1", "x"', body: { note: 'on my way' } });
  expect(unlisted).toMatchObject({ status: 412, body: { reason: 'ticket-changed' } });
  expect(unlisted.body.detail).toContain('it is at version 3, not 1, x');
  expect((await act(id, 'start', { etag: '*' })).body.status).toBe('in_progress');
});

test('tickets - every refusal has a status, a reason and what would be right', async () => {
  const { id } = await opened();
  const close = await act(id, 'close');
  expect([close.status, close.body.reason]).toEqual([409, 'wrong-status']);
  expect(close.body.detail).toContain(`${id} is open; close is possible from resolved`);
  const assign = await act(id, 'assign', { body: { to: 'nobody' } });
  expect([assign.status, assign.body.reason]).toEqual([400, 'unknown-party']);
  expect((await act(id, 'explode')).status).toBe(400);
  expect((await act(id, 'comment', { body: {} })).body.detail).toContain('a comment needs a text');
  expect((await act('t-0', 'acknowledge')).status).toBe(404);
  expect((await act(id, 'acknowledge', { body: { noet: 'x' } })).body.detail).toContain('noet');
  const nowhere = await call('/api/v1/tickets', { body: { service: 'repair', title: 'x', district: 'moon' } });
  expect(nowhere.body.detail).toContain('unknown district "moon"; known: east, west');
  const nothing = await call('/api/v1/tickets', { body: { service: 'nothing', title: 'x', district: 'east' } });
  expect(nothing.status).toBe(404);
});

test('tickets - a key of a department sees and acts on its own; others do not exist for it (promise 7)', async () => {
  const { id, department } = await opened();
  const own = api.key('operator', department);
  const other = api.key('operator', 'roads');
  expect((await act(id, 'comment', { key: own, body: { note: 'ours' } })).status).toBe(200);
  expect((await call(`/api/v1/tickets/${id}`, { method: 'GET', key: other })).status).toBe(404);
  expect((await act(id, 'comment', { key: other, body: { note: 'theirs' } })).status).toBe(404);
  const list = await api.fetch('/api/v1/tickets?limit=1000', { key: other });
  expect(((await list.json()) as Page<Ticket>).items.map((ticket) => ticket.id)).not.toContain(id);
  // A part of the ticket lets them see it, and no more.
  const part = await act(id, 'parts', { body: { department: 'roads', note: 'your share' } });
  expect(part.status).toBe(201);
  expect((await call(`/api/v1/tickets/${id}`, { method: 'GET', key: other })).status).toBe(200);
  expect((await act(id, 'start', { key: other })).body).toMatchObject({ reason: 'not-your-ticket' });
  expect((await act(part.body.id, 'start', { key: other })).body.status).toBe('in_progress');
});

test('tickets - filters take several values, and every alert of a ticket is listed', async () => {
  api.incidents(3);
  const list = async (query: string) =>
    ((await (await api.fetch(`/api/v1/tickets?${query}`)).json()) as Page<Ticket>).items;
  const sensor = await list('origin=sensor&status=open,acknowledged&limit=3');
  expect(sensor).toHaveLength(3);
  expect(sensor[0]).toMatchObject({ origin: 'sensor', alertCount: 1 });
  expect(await list('origin=operator&status=closed')).toEqual([]);
  const { body } = await call(`/api/v1/tickets/${sensor[0]!.id}/alerts`, { method: 'GET' });
  expect(body).toMatchObject({ items: [{ group: sensor[0]!.group, state: 'firing' }], next: null });
});

test('silences - created, shown, in force, ended; the alert and the waiting ticket show it', async () => {
  const now = Date.now();
  const iso = (ms: number) => new Date(ms).toISOString();
  const asked = { matchers: { district: 'harbour' }, endsAt: iso(now + 3_600_000), comment: 'works on the pier' };
  const unknown = await call('/api/v1/silences', { body: asked });
  expect([unknown.status, unknown.body.detail]).toEqual([
    400,
    expect.stringContaining('unknown district "harbour"; known: '),
  ]);
  for (const [wrong, says] of [
    [{ ...asked, matchers: {} }, 'name at least one matcher'],
    [{ ...asked, matchers: { tags: {} } }, 'name at least one tag'],
    [{ ...asked, matchers: { district: 'east', rule: [] } }, 'name at least one, or leave it out'],
    [{ ...asked, matchers: { rule: '' } }, 'name at least one, or leave it out'],
    [{ ...asked, endsAt: iso(now - 1) }, 'a silence ends after it starts'],
    [{ ...asked, startsAt: iso(now - 7_200_000), endsAt: iso(now - 3_600_000) }, 'and in the future'],
    [{ ...asked, endsAt: iso(now + 400 * 86_400_000) }, 'at most 366 days'],
    [{ ...asked, matchers: { district: 'east' }, calendar: 'never' }, 'unknown calendar "never"'],
    [{ ...asked, matchers: { rule: 'no-such' } }, 'unknown rule "no-such"'],
    [{ ...asked, matchers: { severity: ['hgih'] } }, 'unknown severity "hgih": did you mean "high"?'],
    [{ ...asked, matchers: { device: 'ghost' } }, 'unknown device "ghost"'],
    [{ ...asked, matchers: { device: 'd11' } }, 'unknown device "d11": did you mean "d1"?'],
  ] as const) {
    const { status, body } = await call('/api/v1/silences', { body: wrong });
    expect([status, body.detail]).toEqual([400, expect.stringContaining(says)]);
  }
  const made = await call('/api/v1/silences', { body: { ...asked, matchers: { severity: ['low'] } } });
  expect(made).toMatchObject({
    status: 201,
    body: { state: 'active', matchers: { severity: ['low'] }, author: 'admin' },
  });
  const { id } = made.body;
  api.incidents(1, { severity: 'low', atMs: Date.now() });
  const waiting = (await (await api.fetch('/api/v1/tickets/waiting?reason=silenced')).json()) as Page<{
    group: string;
  }>;
  expect(waiting.items).toMatchObject([{ reason: 'silenced', cause: id, severity: 'low', opensAt: null }]);
  const { group } = waiting.items[0]!;
  const alert = await call(`/api/v1/alerts/pm25-unhealthy/${group}`, { method: 'GET' });
  expect(alert.body).toMatchObject({ state: 'firing', ticket: null, waits: { reason: 'silenced', cause: id } });
  expect((await call(`/api/v1/silences/${id}`, { method: 'DELETE' })).status).toBe(204);
  expect((await call(`/api/v1/silences/${id}`, { method: 'GET' })).body).toMatchObject({ state: 'expired' });
  expect(await listed('/api/v1/silences')).toEqual([]);
  expect(await listed('/api/v1/silences?ended=true')).toEqual([id]);
  expect((await call('/api/v1/silences/s-none', { method: 'DELETE' })).status).toBe(404);
});

test('silences - open tickets that match show them too', async () => {
  api.incidents(1, { severity: 'info' });
  const open = ((await (await api.fetch('/api/v1/tickets?severity=info')).json()) as Page<Ticket>).items[0]!;
  const endsAt = new Date(Date.now() + 60_000).toISOString();
  const { body } = await call('/api/v1/silences', { body: { matchers: { severity: 'info' }, endsAt, comment: 'c' } });
  expect((await call(`/api/v1/tickets/${open.id}`, { method: 'GET' })).body.silencedBy).toEqual([body.id]);
});

async function listed(path: string): Promise<string[]> {
  const { items } = (await (await api.fetch(path)).json()) as Page<{ id: string }>;
  return items.map(({ id }) => id);
}

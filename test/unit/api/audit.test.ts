import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditEntry } from '../../../actions/index.ts';
import type { Page, Ticket } from '../../../domain/index.ts';
import { openApi } from '../../kit/api/kit.ts';

let api: Awaited<ReturnType<typeof openApi>>;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

const json = (body: object, headers: Record<string, string> = {}) => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', ...headers },
});
const trail = async (query = '') =>
  ((await (await api.fetch(`/api/v1/audit?limit=100${query}`)).json()) as Page<AuditEntry>).items;
const incident = async (): Promise<Ticket> => {
  api.incidents(1);
  const { items } = (await (await api.fetch('/api/v1/tickets?limit=1')).json()) as Page<Ticket>;
  return items[0]!;
};

test('audit - an action on a ticket is in the trail once, with what was decided and from where', async () => {
  const { id } = await incident();
  const path = `/api/v1/tickets/${id}`;
  expect((await api.fetch(`${path}/acknowledge`, json({}))).status).toBe(200);
  expect((await api.fetch(`${path}/close`, json({}))).status).toBe(409);
  const entries = await trail(`&target=${encodeURIComponent(`ticket ${id}`)}`);
  expect(entries.map(({ action, result }) => [action, result])).toEqual([
    ['ticket.close', 'wrong-status'],
    ['ticket.acknowledge', 'done'],
  ]);
  expect(entries[0]).toMatchObject({ actor: 'admin', role: 'admin', address: '127.0.0.1' });
});

test('audit - every request that may change something is an action, or noted before it is done; what only reads is not', async () => {
  const before = (await trail()).length;
  const added = await api.fetch('/api/v1/keys', json({ name: 'x', role: 'viewer' }));
  const { id } = (await added.json()) as { id: string };
  expect((await api.fetch('/api/v1/keys/none', { method: 'DELETE' })).status).toBe(404);
  await api.fetch('/api/v1/backup', json({}));
  await api.fetch('/api/v1/devices');
  await api.fetch('/api/v1/keys', json({ name: 'x', role: 'no such role' }));
  await api.fetch('/api/v1/rules/try', json({}));
  const entries = await trail();
  expect(entries.slice(0, entries.length - before)).toMatchObject([
    { action: 'POST /api/v1/backup', target: '/api/v1/backup', result: 'requested' },
    { action: 'key.revoke', target: 'key none', result: 'not-found' },
    { action: 'key.add', target: `key ${id}`, result: 'done' },
  ]);
});

test('audit - reading who reported a ticket is in the trail', async () => {
  const { id } = await incident();
  await api.fetch(`/api/v1/tickets/${id}/reporter`);
  const [entry] = await trail();
  expect(entry).toMatchObject({ action: 'GET /api/v1/tickets/:id/reporter', target: `/api/v1/tickets/${id}/reporter` });
});

test('audit - it is shown to admins only, as JSON and as CSV', async () => {
  expect((await api.fetch('/api/v1/audit', { key: api.key('operator') })).status).toBe(403);
  const csv = await api.fetch('/api/v1/audit?limit=1&format=csv');
  expect(csv.headers.get('content-type')).toContain('text/csv');
  expect(csv.headers.get('link')).toMatch(/^<\/api\/v1\/audit\?after=\d+&limit=1&format=csv>; rel="next"$/);
  const lines = (await csv.text()).trimEnd().split('\r\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toBe('n,at,actor,role,department,address,action,target,result,detail,place,hash');
});

test('tickets - a request that is repeated with its Idempotency-Key gets the first response', async () => {
  const { id } = await incident();
  const headers = { 'idempotency-key': '"8e03978e-40d5-43dd-bc93-6894a57f9324"' };
  const comment = () => api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'on my way' }, headers));
  const first = (await (await comment()).json()) as Ticket;
  expect(await (await comment()).json()).toEqual(first);
  const history = (await (await api.fetch(`/api/v1/tickets/${id}/history`)).json()) as Page<Ticket['history'][number]>;
  expect(history.items.filter(({ action }) => action === 'commented')).toHaveLength(1);
  const other = await api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'another' }, headers));
  expect([other.status, await other.text()]).toEqual([422, expect.stringContaining('Idempotency-Key')]);
});

test('tickets - a request with If-Match that is repeated with its Idempotency-Key gets the first response, not 412', async () => {
  const { id } = await incident();
  // What is due comes first.
  const { version } = (await (await api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'n' }))).json()) as Ticket;
  const headers = { 'if-match': `"${version}"` };
  const comment = (name: string) =>
    api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'n' }, { ...headers, 'idempotency-key': name }));
  const first = (await (await comment('once')).json()) as Ticket;
  expect(first.version).toBe(version + 1);
  const again = await comment('once');
  expect([again.status, await again.json()]).toEqual([200, first]);
  const late = await comment('another');
  expect([late.status, await late.json()]).toMatchObject([412, { reason: 'ticket-changed' }]);
});

test('audit - an If-Match of a version that is past is refused at its place in the log, and the refusal is in the trail', async () => {
  const { id } = await incident();
  const past = { 'if-match': '"0"' };
  const acted = await api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'n' }, past));
  expect([acted.status, await acted.json()]).toMatchObject([412, { reason: 'ticket-changed' }]);
  const key = (await (await api.fetch('/api/v1/keys', json({ name: 'x', role: 'viewer' }))).json()) as { id: string };
  const patched = await api.fetch(`/api/v1/keys/${key.id}`, { ...json({ note: 'n' }, past), method: 'PATCH' });
  expect([patched.status, await patched.json()]).toMatchObject([412, { reason: 'key-changed' }]);
  expect((await trail()).slice(0, 3)).toMatchObject([
    { action: 'key.change', target: `key ${key.id}`, result: 'key-changed' },
    { action: 'key.add', result: 'done' },
    { action: 'ticket.comment', target: `ticket ${id}`, result: 'ticket-changed' },
  ]);
});

test.each(['', '"', '"a" "b"', 'a b', 'é', 'x'.repeat(256)])('tickets - %j is no Idempotency-Key', async (key) => {
  const { id } = await incident();
  const headers = { 'idempotency-key': key };
  const response = await api.fetch(`/api/v1/tickets/${id}/comment`, json({ note: 'n' }, headers));
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('Idempotency-Key')]);
});

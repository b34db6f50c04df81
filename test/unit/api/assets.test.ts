import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ticket } from '../../../domain/index.ts';
import { type Errors, type Fields, type Open311, openOpen311, type Posted } from '../../kit/api/open311.ts';
import * as scene from '../../kit/tickets/scene.ts';

let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());

/** Between the two poles, which are 45 m apart; nearer to the first. */
const [AT_1, AT_2, BETWEEN, AWAY] = [0.3, 0.3004, 0.30015, 0.31].map((lat) => ({ lat: String(lat), long: '0.3' }));

async function report(fields: Fields): Promise<Ticket> {
  const { body } = await server.post<Posted[]>({ service_code: 'street-light', 'attribute[kind]': 'dark', ...fields });
  const [{ service_request_id: id } = { service_request_id: '' }] = body;
  return get(id);
}
const get = async (id: string) => (await (await server.api.fetch(`/api/v1/tickets/${id}`)).json()) as Ticket;
const json = async (path: string, init?: RequestInit) => {
  const response = await server.api.fetch(path, { headers: { 'content-type': 'application/json' }, ...init });
  return { status: response.status, body: (await response.json()) as Answered };
};
/** What the tests read of problems, devices, assets and lists. */
interface Answered {
  readonly detail: string;
  readonly items: readonly { readonly id: string; readonly asset?: string | null }[];
}
const done = (id: string) => server.act(id, 'resolve', 'done');

test('two reports on two poles stay apart, however near; two on one are the same', async () => {
  const [first, second] = [await report(AT_1!), await report(AT_2!)];
  expect([first.asset, second.asset]).toEqual(['LJ-1', 'LJ-2']);
  expect([first.parent, second.parent]).toEqual([null, null]);
  const same = await report(BETWEEN!);
  expect(same).toMatchObject({ asset: 'LJ-1', parent: first.id, relation: 'report' });
  const unknown = await report({ ...AT_2!, lat: '0.3009' });
  expect(unknown).toMatchObject({ asset: null, parent: second.id });
  for (const { id } of [first, second]) await done(id);
});

test('a request may name its asset, and needs no other place then', async () => {
  const named = await report({ 'attribute[asset]': 'LJ-2' });
  expect(named).toMatchObject({ asset: 'LJ-2', location: { lat: 0.3004, lon: 0.3 }, district: 'east' });
  const far = await report({ ...AWAY!, 'attribute[asset]': 'LJ-2' });
  expect(far).toMatchObject({ asset: 'LJ-2', parent: named.id });
  // Coordinates are published to 100 m here, and the place of an asset is known to a metre.
  expect((await server.request(named.id, '?extensions=true')).extended_attributes).toMatchObject({ asset: null });
  const wrong = await server.post<Errors>({
    service_code: 'street-light',
    'attribute[kind]': 'dark',
    'attribute[asset]': 'LJ-9',
  });
  const description = expect.stringContaining('"LJ-9" is no pole');
  expect(wrong.body).toContainEqual({ code: 400, description, reason: 'wrong-answer' });
  await done(named.id);
});

/** An alert of a lamp's sensor on a pole, firing or resolved. */
function lamp(id: string, to: 'firing' | 'resolved', group: string, asset: string): void {
  const from = to === 'firing' ? 'pending' : 'firing';
  const transition = scene.transition(id, to, { group, from, atMs: server.clock.nowMs });
  const rule = { ...scene.rule, ticket: { service: 'street-light', deadlineMs: 3_600_000 } };
  const device = { ...scene.device, id: group, district: 'east', asset, location: { lat: 0.3, lon: 0.3 } };
  server.api.fire(transition, { rule, subject: { kind: 'device', device } });
}

test('a sensor on an asset joins what is said of it; the answer that it measures ends with its alert', async () => {
  lamp('901.0', 'firing', 'lamp-1', 'LJ-1');
  const sensor = await get('t-901-0');
  expect(sensor.asset).toBe('LJ-1');
  const dark = await report(AT_1!);
  expect(dark).toMatchObject({ parent: sensor.id, relation: 'report' });
  expect((await report(AT_2!)).parent).toBeNull();
  lamp('902.0', 'resolved', 'lamp-1', 'LJ-1');
  expect((await get(sensor.id)).status).toBe('resolved');
  expect((await get(dark.id)).status).toBe('resolved');
});

test("a citizen's report is not closed by a sensor that measures something else: a person confirms", async () => {
  lamp('903.0', 'firing', 'lamp-2', 'LJ-1');
  const other = await report({ ...AT_1!, 'attribute[kind]': 'flickers' });
  expect(other.parent).toBe('t-903-0');
  lamp('904.0', 'resolved', 'lamp-2', 'LJ-1');
  const left = await get('t-903-0');
  expect(left.status).toBe('open');
  expect(left.history.at(-1)!.note).toContain('a citizen reported what no sensor measures');
  expect((await get(other.id)).status).toBe('open');
  await done('t-903-0');
  expect((await get(other.id)).status).toBe('resolved');
});

test('devices sit on an asset: one that the city has', async () => {
  const device = { id: 'lamp-9', profile: 'bin', district: 'east', asset: 'LJ-1' };
  const post = (body: object) => json('/api/v1/devices', { method: 'POST', body: JSON.stringify(body) });
  expect((await post({ ...device, asset: 'LJ-3' })).body.detail).toContain('did you mean "LJ-1"?');
  expect((await post(device)).body).toMatchObject({ asset: 'LJ-1' });
  const patch = (asset: string | null) =>
    json('/api/v1/devices/lamp-9', { method: 'PATCH', body: JSON.stringify({ asset }) });
  expect((await patch('LJ-2')).body).toMatchObject({ asset: 'LJ-2' });
  expect((await json('/api/v1/devices?q=lj-2')).body.items).toMatchObject([{ id: 'lamp-9' }]);
  expect((await patch('pole')).status).toBe(400);
  expect((await patch(null)).body).not.toHaveProperty('asset');
});

test('the assets of the city are listed, and found by kind, place and words; tickets by their asset', async () => {
  const ids = async (query: string) => (await json(`/api/v1/assets?${query}`)).body.items.map(({ id }) => id);
  expect(await ids('limit=1')).toEqual(['LJ-1']);
  expect(await ids('limit=1&after=LJ-1')).toEqual(['LJ-2']);
  expect(await ids('near=0.3,0.3,10')).toEqual(['LJ-1']);
  expect(await ids('bbox=0.2,0.3003,0.4,0.4&kind=pole')).toEqual(['LJ-2']);
  expect(await ids('q=lj-2&service=street-light')).toEqual(['LJ-2']);
  expect(await ids('kind=bin')).toEqual([]);
  expect((await json('/api/v1/assets/LJ-1')).body).toMatchObject({ kind: 'pole', location: { lat: 0.3, lon: 0.3 } });
  expect((await json('/api/v1/assets/LJ-9')).status).toBe(404);
  expect((await json('/api/v1/assets?kinds=pole')).status).toBe(400);
  const { items } = (await json('/api/v1/tickets?asset=LJ-2&limit=100')).body;
  expect(items.length).toBeGreaterThan(2);
  expect(items.every(({ asset }) => asset === 'LJ-2')).toBe(true);
});

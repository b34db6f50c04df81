import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Open311, openOpen311 } from '../../kit/api/open311.ts';

let server: Open311;
const ids: Record<string, string> = {};
beforeAll(async () => {
  server = await openOpen311();
  const report = async (lat: string, long: string) =>
    (await server.post({ service_code: 'flood', lat, long, description: 'zephyr' })).body[0]!.service_request_id;
  ids.quay = await report('0.5', '0.5');
  ids.same = await report('0.5001', '0.5');
  ids.far = await report('0.52', '0.5');
  ids.nowhere = (await server.post({ service_code: 'flood', address_string: 'Mill Lane' })).body[0]!.service_request_id;
  ids.sensor = server.sensor('77.0', { lat: 0.9, lon: 0.9 });
  await server.act(ids.far!, 'comment', 'The pump of 100% is at Dock_7');
  const device = (id: string, more: object) => ({ id, profile: 'bin', district: 'east', ...more });
  await server.api.fetch('/api/v1/devices', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([
      device('s-1', { name: 'Quay bin', location: { lat: 0.5, lon: 0.5 } }),
      device('s-2', { tags: { street: 'Dock Street' }, location: { lat: 0.52, lon: 0.5 } }),
      device('s-3', {}),
    ]),
  });
});
afterAll(() => server.stop());

async function found(path: string): Promise<string[]> {
  const response = await server.api.fetch(path);
  const { items } = (await response.json()) as { items: { id: string }[] };
  return items.map(({ id }) => id).sort();
}
const tickets = (query: string) => found(`/api/v1/tickets?${query}`);
const named = (...names: string[]) => names.map((name) => ids[name]!).sort();

test.each([
  ['near=0.5,0.5,100', ['quay', 'same']],
  ['near=0.5,0.5,5', ['quay']],
  ['near=0.5,0.5,3000', ['quay', 'same', 'far']],
  ['bbox=0.4,0.51,0.95,0.95', ['far', 'sensor']],
  ['bbox=0.4,0.51,0.95,0.95&service=flood&origin=citizen', ['far']],
  ['q=100%25', ['far']],
  ['q=dock_7', ['far']],
  ['q=dockx7', []],
  ['q=high water', ['quay', 'same', 'far', 'nowhere', 'sensor']],
  ['q=zephyr', []],
])('tickets - %s finds %j', async (query, names) => {
  expect(await tickets(query)).toEqual(named(...names));
});

test('tickets - the reference that a citizen was given finds their report, and what it repeats', async () => {
  expect(await tickets(`q=${ids.same}`)).toEqual(named('quay', 'same'));
  const { byStatus } = (await (await server.api.fetch('/api/v1/tickets/counts?near=0.5,0.5,100')).json()) as {
    byStatus: { open: number };
  };
  expect(byStatus.open).toBe(2);
});

test.each([
  ['near=0.5,0.5,100', ['s-1']],
  ['bbox=0.4,0.4,0.6,0.6', ['s-1', 's-2']],
  ['q=QUAY', ['s-1']],
  ['q=dock street', ['s-2']],
  ['q=s-&profile=bin', ['s-1', 's-2', 's-3']],
  ['bbox=170,-10,-170,10', []],
])('devices - %s finds %j', async (query, wanted) => {
  expect(await found(`/api/v1/devices?${query}`)).toEqual(wanted);
});

test('devices - pages of a search lead to all that match, once each', async () => {
  const first = (await (await server.api.fetch('/api/v1/devices?q=s-&limit=2')).json()) as { next: string };
  expect(await found(`/api/v1/devices?q=s-&limit=2&after=${first.next}`)).toEqual(['s-3']);
});

test.each([
  ['sort=name&q=s-', ['s-1', 's-2', 's-3']],
  ['sort=-name&q=s-', ['s-3', 's-2', 's-1']],
  ['sort=-id&q=s-', ['s-3', 's-2', 's-1']],
  ['sort=state&q=s-', ['s-1', 's-3', 's-2']],
  ['sort=-state&q=s-', ['s-2', 's-3', 's-1']],
  ['sort=state&bbox=0.4,0.4,0.6,0.6', ['s-1', 's-2']],
])('devices - %s is in the order %j, by pages as well', async (query, wanted) => {
  await server.api.fetch('/api/v1/devices/s-2/suspend', { method: 'POST' });
  const page = async (more: string) => {
    const response = await server.api.fetch(`/api/v1/devices?${query}${more}`);
    return (await response.json()) as { items: { id: string }[]; next: string | null };
  };
  expect((await page('')).items.map(({ id }) => id)).toEqual(wanted);
  const seen: string[] = [];
  for (let more = '&limit=1'; more !== ''; ) {
    const { items, next } = await page(more);
    seen.push(...items.map(({ id }) => id));
    more = next === null ? '' : `&limit=1&after=${next}`;
  }
  expect(seen).toEqual(wanted);
});

test('tickets - the list is ordered by what is due first, and the counts take no order', async () => {
  const due = async (sort: string) => {
    const { items } = (await (await server.api.fetch(`/api/v1/tickets?sort=${sort}`)).json()) as {
      items: { dueAt: string }[];
    };
    return items.map(({ dueAt }) => dueAt);
  };
  const first = await due('due');
  expect(first).toEqual(first.toSorted());
  expect(await due('-due')).toEqual(first.toReversed());
  expect((await server.api.fetch('/api/v1/tickets/counts?sort=due')).status).toBe(400);
});

test.each([
  ['/api/v1/tickets?sort=de', 'sort'],
  ['/api/v1/tickets?sort=due&after=5', 'is not the next of a page in this order'],
  ['/api/v1/devices?sort=name&after=bin-1', 'is not the next of a page in this order'],
  ['/api/v1/tickets?servce=flood', '"servce": did you mean "service"?'],
  ['/api/v1/tickets/counts?stauts=open', 'did you mean "status"?'],
  ['/api/v1/devices?districts=east', 'did you mean "district"?'],
  ['/api/v1/tickets?near=0.5,0.5', 'lat,lon,metres'],
  ['/api/v1/tickets?near=0.5,0.5,0', 'lat,lon,metres'],
  ['/api/v1/devices?bbox=0,0,1', 'west,south,east,north'],
  ['/api/v1/devices?bbox=0,2,1,1', 'west,south,east,north'],
])('%s is refused: %s', async (path, why) => {
  const response = await server.api.fetch(path);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain(why);
});

import { XMLParser } from 'fast-xml-parser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  EAST,
  type Errors,
  encoded,
  type Fields,
  type Open311,
  openOpen311,
  type Reply,
} from '../../../kit/api/open311.ts';

const PATH = '/open311/v2/servicerequestupdates';
let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());

interface Update {
  readonly update_id: string;
  readonly service_request_id: string;
  readonly status: string;
  readonly updated_datetime: string;
  readonly description: string;
  readonly media_url: string;
}

const parser = new XMLParser({
  parseTagValue: false,
  isArray: (name) => name === 'request_update' || name === 'error',
});

/**
 * A client as mySociety's wiki describes the extension ("Get Service Request Updates", "Post Service Request Update"),
 * in the form in which FixMyStreet asks: XML, dates as W3C, the key in the form.
 */
const client = {
  async updates(start: number, end: number): Promise<Update[]> {
    const query = new URLSearchParams({
      jurisdiction_id: 'city.example',
      start_date: new Date(start).toISOString().replace(/\.\d+/, ''),
      end_date: new Date(end).toISOString().replace(/\.\d+/, ''),
    });
    const response = await server.api.fetch(`${PATH}.xml?${query}`, { key: null });
    expect(response.status).toBe(200);
    const { service_request_updates: root } = parser.parse(await response.text());
    return root === '' ? [] : root.request_update;
  },
  async post(fields: Fields, key = server.key): Promise<{ status: number; id: string | null; errors: Errors }> {
    const body = encoded({ api_key: key, jurisdiction_id: 'city.example', ...fields });
    const response = await server.api.fetch(`${PATH}.xml`, { method: 'POST', key: null, body });
    const parsed = parser.parse(await response.text());
    const id = parsed.service_request_updates?.request_update[0].update_id ?? null;
    return { status: response.status, id, errors: parsed.errors?.error ?? [] };
  },
};

let places = 0;
const report = async (more: Fields = {}) => {
  const place = { lat: '0.8', long: String(0.001 + 0.002 * places++) };
  return (await server.post({ service_code: 'flood', ...place, ...more })).body[0]!.service_request_id;
};
const update = (id: string, more: Fields = {}) => ({
  service_request_id: id,
  update_id: '1001',
  updated_datetime: '2026-06-15T14:00:00+02:00',
  status: 'OPEN',
  description: 'It is getting worse',
  ...{ email: 'quillzephyr@example.org', first_name: 'Bob', last_name: 'Mould' },
  ...more,
});
const historyOf = async (id: string) => {
  const ticket = (await (await server.api.fetch(`/api/v1/tickets/${id}`)).json()) as {
    status: string;
    history: { action: string; note: string; mediaUrls?: string[] }[];
  };
  return ticket;
};

test('updates of the city come once each, in their order, with the words that are for citizens', async () => {
  const from = server.clock.nowMs;
  const id = await report();
  for (const [action, note, isPublic] of [
    ['acknowledge', 'inner', false],
    ['comment', 'inner too', false],
    ['comment', 'The pumps come at noon', true],
    ['resolve', 'Pumped dry', false],
  ] as const) {
    server.clock.nowMs += 60_000;
    await server.act(id, action, note, isPublic);
  }
  const updates = await client.updates(from, server.clock.nowMs);
  expect(updates.map(({ status, description }) => [status, description])).toEqual([
    ['OPEN', 'Somebody has seen your request'],
    ['OPEN', 'The pumps come at noon'],
    ['CLOSED', 'Pumped dry'],
  ]);
  expect(updates.every(({ service_request_id }) => service_request_id === id)).toBe(true);
  expect(new Set(updates.map(({ update_id }) => update_id)).size).toBe(3);
  expect(updates[2]!.updated_datetime).toBe(`${new Date(server.clock.nowMs).toISOString().slice(0, 19)}Z`);
  expect(await client.updates(server.clock.nowMs + 1_000, server.clock.nowMs + 60_000)).toEqual([]);
  const zh = await server.both<Update[]>(PATH, 'service_request_updates', '?locale=zh');
  expect(zh.body.map(({ description }) => description)).toContain('您的诉求已有人查看');
});

test('an update of a citizen reaches the department once, however often it is sent', async () => {
  const id = await report();
  const first = await client.post(update(id, { media_url: ['https://p.example/1.jpg', 'https://p.example/2.jpg'] }));
  expect(first).toMatchObject({ status: 200, id: expect.stringMatching(/^u-/) });
  expect((await client.post(update(id, { description: 'sent again' }))).id).toBe(first.id);
  expect((await client.post(update(id, { update_id: '1002', description: 'more' }))).id).not.toBe(first.id);
  const other = await report();
  expect((await client.post(update(other))).id).not.toBe(first.id);
  const { history } = await historyOf(id);
  expect(history.filter(({ action }) => action === 'wrote').map(({ note }) => note)).toEqual([
    'It is getting worse',
    'more',
  ]);
  expect(history.find(({ action }) => action === 'wrote')!.mediaUrls).toEqual([
    'https://p.example/1.jpg',
    'https://p.example/2.jpg',
  ]);
});

test('REOPEN opens a request that is done, within its time; CLOSED of an app closes nothing', async () => {
  const id = await report();
  await client.post(update(id, { status: 'CLOSED', description: 'seems done' }));
  expect((await historyOf(id)).status).toBe('open');
  await server.act(id, 'resolve', 'done');
  expect((await client.post(update(id, { update_id: 'r1', status: 'OPEN' }))).status).toBe(200);
  expect((await historyOf(id)).status).toBe('resolved');
  const again = update(id, { update_id: 'r2', status: 'REOPEN', description: 'it is not' });
  expect((await client.post(again)).status).toBe(200);
  expect((await client.post(again)).status).toBe(200);
  const { status, history } = await historyOf(id);
  expect(status).toBe('open');
  expect(history.filter(({ action }) => action === 'reopened')).toHaveLength(1);
});

test('everything that is wrong with an update is said at once', async () => {
  const { status, errors } = await client.post({ status: 'GONE', updated_datetime: 'today', media_url: 'file:///x' });
  expect(status).toBe(400);
  expect(errors.map(({ description }) => description.split(':')[0])).toEqual(
    expect.arrayContaining(['service_request_id', 'update_id', 'status', 'updated_datetime', 'media_url']),
  );
  const id = await report();
  expect((await client.post(update('r-0-0'))).status).toBe(404);
  expect((await client.post(update(id), 'wrong')).status).toBe(403);
  expect((await client.post(update(id), server.api.key('viewer'))).status).toBe(403);
  for (const query of [
    'start_date=yesterday',
    'start_date=2026-01-01&end_date=2026-06-01',
    'limit=0',
    'after=x',
    'before=x',
  ])
    expect((await server.json(`${PATH}.json?${query}`)).status, query).toBe(400);
});

test('pages of updates lead on to all of them, once each', async () => {
  const id = await report();
  server.clock.nowMs += 60_000;
  const from = server.clock.nowMs;
  for (let n = 0; n < 7; n++) await server.act(id, 'comment', `reply ${n}`, true);
  const found: string[] = [];
  let path: string | null = `${PATH}.json?limit=3&start_date=${new Date(from).toISOString()}`;
  while (path !== null) {
    const { body, headers }: Reply<Update[]> = await server.json<Update[]>(path);
    found.push(...body.map(({ description }) => description));
    path = /<[^>]*?(\/open311[^>]*)>/.exec(headers.get('link') ?? '')?.[1] ?? null;
  }
  expect(found).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => `reply ${n}`));
});

test('a closed request was updated when it was done, whatever is said of it later', async () => {
  const id = await report();
  await server.act(id, 'resolve', 'dry');
  const done = `${new Date(server.clock.nowMs).toISOString().slice(0, 19)}Z`;
  server.clock.nowMs += 600_000;
  await server.act(id, 'close');
  await server.act(id, 'comment', 'inner');
  expect((await server.request(id)).updated_datetime).toBe(done);
});

test('lat, long and radius find requests by the place that is published, and go together', async () => {
  const near = await report({ ...EAST, lat: '0.4001', long: '0.4001' });
  await report({ lat: '0.41', long: '0.4' });
  const ids = async (query: string) => {
    const { body } = await server.json<{ service_request_id: string }[]>(`/open311/v2/requests.json?${query}`);
    return body.map(({ service_request_id }) => service_request_id);
  };
  expect(await ids('lat=0.4&long=0.4&radius=500')).toEqual([near]);
  expect(await ids('lat=0.4&long=0.4&radius=1500')).toHaveLength(2);
  // The exact place is 16 m away; the one that is published is this one.
  expect(await ids('lat=0.4&long=0.4&radius=1')).toEqual([near]);
  for (const query of ['lat=0.4&long=0.4', 'lat=x&long=0.4&radius=5', 'lat=0.4&long=0.4&radius=0'])
    expect((await server.json(`/open311/v2/requests.json?${query}`)).status, query).toBe(400);
});

test('bbox and q find requests by what is published of them', async () => {
  const place = { lat: '0.2004', long: '0.7004' };
  const dark = await report({ ...place, description: 'zebrawood' });
  const done = await report({ lat: '0.21', long: '0.7' });
  await server.act(done, 'resolve', 'the pump 100% works');
  await server.act(dark, 'comment', 'inner walnut');
  const ids = async (query: string) => {
    const { body } = await server.json<{ service_request_id: string }[]>(`/open311/v2/requests.json?${query}`);
    return body.map(({ service_request_id }) => service_request_id);
  };
  const south = 'bbox=0.69,0.19,0.71,0.205';
  expect(await ids(south)).toEqual([dark]);
  // The place that is published is 0.2, 0.7.
  expect(await ids('bbox=0.69,0.19,0.7001,0.2001')).toEqual([dark]);
  expect(await ids(`q=${done}`)).toEqual([done]);
  expect(await ids('q=PUMP%20100%25')).toEqual([done]);
  expect(await ids(`${south}&q=high%20water`)).toEqual([dark]);
  // What a citizen or the department's own people wrote is not searched.
  expect(await ids('q=zebrawood')).toEqual([]);
  expect(await ids('q=walnut')).toEqual([]);
  for (const query of ['bbox=1,2,3', 'bbox=0,5,1,4', `q=${'x'.repeat(201)}`])
    expect((await server.json(`/open311/v2/requests.json?${query}`)).status, query).toBe(400);
});

test('the asset of what a citizen reported is not published where coordinates are not as exact', async () => {
  const named = await report({ service_code: 'street-light', 'attribute[kind]': 'dark', 'attribute[asset]': 'LJ-1' });
  const opened = await (await server.api.fetch(`/api/v1/tickets/${named}`)).json();
  expect(opened).toMatchObject({ asset: 'LJ-1' });
  expect(await server.request(named, '?extensions=true')).toMatchObject({ extended_attributes: { asset: null } });
});

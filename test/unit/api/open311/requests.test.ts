import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { EAST, type Errors, type Fields, type Open311, openOpen311, type Shown } from '../../../kit/api/open311.ts';

const DAY_MS = 86_400_000;
const LIST = '/open311/v2/requests';

let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());

let places = 0;
const elsewhere = () => ({ lat: '0.9', long: String(0.001 + 0.002 * places++) });
const report = async (fields: Fields = {}, to = server): Promise<string> => {
  const { body } = await to.post({ service_code: 'flood', ...elsewhere(), ...fields });
  return body[0]!.service_request_id;
};
const ids = (shown: readonly Shown[]) => shown.map((one) => one.service_request_id);

describe('GET requests/{id}', () => {
  test("shows a citizen's request with every field of the specification and rounded coordinates", async () => {
    const id = await report({
      ...EAST,
      description: 'water & <mud>\n"deep"',
      address_string: 'Pier 7',
      email: 'lin@example.org',
    });
    const { status, body } = await server.both(`${LIST}/${id}`, 'service_requests');
    expect(status).toBe(200);
    expect(body).toEqual([
      {
        service_request_id: id,
        status: 'open',
        status_notes: null,
        service_name: 'High water',
        service_code: 'flood',
        description: 'water & <mud>\n"deep"',
        agency_responsible: 'Water & Sons',
        service_notice: null,
        requested_datetime: '2026-06-15T12:00:00Z',
        updated_datetime: '2026-06-15T12:00:00Z',
        expected_datetime: '2026-06-15T13:00:00Z',
        address: 'Pier 7',
        address_id: null,
        zipcode: null,
        lat: 0.512,
        long: 0.612,
        media_url: null,
      },
    ]);
  });

  test("shows a sensor's ticket like any other, with the title of its rule", async () => {
    const id = server.sensor('101.0', { lat: 0.25, lon: 0.7654321 });
    const { body } = await server.both<Shown[]>(`${LIST}/${id}`, 'service_requests');
    expect(body[0]).toMatchObject({ description: 'High water at Pier 7', lat: 0.25, long: 0.765, status: 'open' });
  });

  test('has no place where the ticket has none', async () => {
    const id = await report({ lat: '', long: '', address_string: 'Pier 7' });
    const { body } = await server.both<Shown[]>(`${LIST}/${id}`, 'service_requests');
    expect(body[0]).toMatchObject({ lat: null, long: null, address: 'Pier 7' });
  });

  test('is in Chinese where the client prefers it', async () => {
    const { body } = await server.both<Shown[]>(
      `${LIST}/${server.sensor('102.0', null)}`,
      'service_requests',
      '?locale=zh',
    );
    expect(body[0]).toMatchObject({
      service_name: '积水',
      agency_responsible: '水务局',
      description: expect.stringMatching(/细颗粒物/),
    });
  });

  test('is open until it is resolved, and then closed with the note of the resolution; other notes stay inside', async () => {
    const id = await report();
    server.act(id, 'acknowledge', 'call Mr. Wang first');
    expect(await server.request(id)).toMatchObject({ status: 'open', status_notes: null });
    server.clock.nowMs += 60_000;
    server.act(id, 'resolve', 'pumped out');
    expect(await server.request(id)).toMatchObject({
      status: 'closed',
      status_notes: 'pumped out',
      updated_datetime: new Date(server.clock.nowMs).toISOString().replace('.000', ''),
    });
    server.act(id, 'close', 'nobody answered the telephone');
    expect(await server.request(id)).toMatchObject({ status: 'closed', status_notes: 'pumped out' });
    server.act(id, 'reopen');
    expect(await server.request(id)).toMatchObject({ status: 'open', status_notes: null });
  });

  test.each([
    ['that there is not', () => 'r-0'],
    ['of a service that is not for citizens', () => hidden()],
    ["that is another department's part of one", () => part()],
  ])('%s is a 404', async (_name, idOf) => {
    const id = idOf();
    const { status, body } = await server.both<Errors>(`${LIST}/${id}`, 'service_requests');
    expect([status, body]).toEqual([
      404,
      [{ code: 404, description: `service_request_id: there is no request "${id}"` }],
    ]);
  });

  function hidden(): string {
    return server.api.tickets.open({
      service: 'repair',
      title: 'T',
      titleZh: 'Z',
      description: null,
      district: 'east',
      severity: 'low',
      location: null,
      address: null,
    }).id;
  }

  function part(): string {
    const ticket = server.sensor('103.0', null);
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    return server.api.tickets.split({ ticket, actor, department: 'lighting', note: 'light the place' }).id;
  }
});

describe('a citizen and a sensor', () => {
  test('what a rule notes of its values is nothing for citizens, what a person says is', async () => {
    const place = { lat: 0.35, lon: 0.4 };
    const id = server.sensor('200.0', place);
    server.sensorEnds('200.0', place);
    expect(await server.request(id)).toMatchObject({ status: 'closed', status_notes: null });
    const ticket = (await (await server.api.fetch(`/api/v1/tickets/${id}`)).json()) as { history: { note: string }[] };
    expect(ticket.history.at(-1)!.note).toContain('alert resolved: mean of pm25 is 1');
    const found = async (q: string) => (await server.json<Shown[]>(`${LIST}.json?q=${q}`)).body.length;
    expect(await found('alert%20resolved')).toBe(0);
    const { body } = await server.json<{ service_request_id: string; description: string }[]>(
      '/open311/v2/servicerequestupdates.json',
    );
    const said = body.filter((one) => one.service_request_id === id).map(({ description }) => description);
    expect(said).toEqual(['Your request is done']);
    server.act(id, 'reopen');
    server.act(id, 'resolve', 'a pump was repaired');
    expect(await server.request(id)).toMatchObject({ status: 'closed', status_notes: 'a pump was repaired' });
    expect(await found('a%20pump%20was')).toBe(1);
  });

  test('a request near an open sensor ticket joins it: it is counted, follows it, and says so', async () => {
    const sensor = server.sensor('201.0', { lat: 0.4, lon: 0.4 });
    // 80 m and 120 m to the north.
    const near = await server.post({ service_code: 'flood', lat: String(0.4 + 80 / 111_195), long: '0.4' });
    const far = await report({ lat: String(0.4 + 120 / 111_195), long: '0.4' });
    const id = near.body[0]!.service_request_id;
    const joined = `This was already reported as ${sensor}. Both requests are handled and closed together.`;
    expect(near.body[0]!.service_notice).toMatch(new RegExp(`^${joined} Keep this token`));
    expect(await server.request(id, '?extensions=true')).toMatchObject({
      status: 'open',
      status_notes: joined,
      agency_responsible: 'Water & Sons',
      extended_attributes: { same_as: sensor, origin: 'citizen' },
    });
    expect(await server.request(sensor, '?extensions=true')).toMatchObject({
      extended_attributes: {
        origin: 'sensor',
        reports: 1,
        same_as: null,
        district: 'east',
        severity: 'high',
        rating: null,
      },
    });
    expect(await server.request(far, '?extensions=true')).toMatchObject({ extended_attributes: { same_as: null } });
    server.act(sensor, 'resolve', 'the water is gone');
    expect(await server.request(id)).toMatchObject({ status: 'closed', status_notes: joined });
    expect(await server.request(far)).toMatchObject({ status: 'open' });
    expect((await server.both<Shown[]>(`${LIST}/${id}`, 'service_requests', '?extensions=true')).status).toBe(200);
  });

  test('of two reports at once, one is the first and the other joins it', async () => {
    const place = elsewhere();
    const both = await Promise.all([report(place), report(place)]);
    const shown = await Promise.all(both.map((id) => server.request(id, '?extensions=true')));
    const parents = shown.map((one) => (one.extended_attributes as { same_as: string | null }).same_as);
    expect(parents.filter((one) => one === null)).toHaveLength(1);
    expect(both).toContain(parents.find((one) => one !== null));
  });
});

describe('GET tokens/{token}', () => {
  test('returns the request of a token', async () => {
    const { body: posted } = await server.post({ service_code: 'flood', ...elsewhere() });
    const { service_request_id, reporter_token: token } = posted[0]!;
    const { status, body } = await server.both(`/open311/v2/tokens/${token}`, 'service_requests');
    expect([status, body]).toEqual([200, [{ service_request_id, token }]]);
  });

  test('that does not exist is a 404', async () => {
    const { status, body } = await server.both<Errors>('/open311/v2/tokens/nonsense', 'service_requests');
    expect([status, body]).toEqual([404, [{ code: 404, description: 'token: no request has it' }]]);
  });
});

describe('GET requests', () => {
  let own: Open311;
  /** Ids of requests by what is special about them. */
  const made: Record<string, string> = {};
  let now = 0;
  beforeAll(async () => {
    own = await openOpen311();
    now = own.clock.nowMs;
    const at = async (name: string, daysAgo: number, fields: Fields = {}) => {
      own.clock.nowMs = now - daysAgo * DAY_MS;
      made[name] = await report(fields, own);
    };
    await at('ancient', 120);
    await at('old', 91);
    await at('quarter', 89, { service_code: 'noise' });
    await at('month', 30, { service_code: 'street-light', 'attribute[kind]': 'dark' });
    await at('day', 1, { service_code: 'noise' });
    own.clock.nowMs = now;
    made.sensor = own.sensor('7.0', null, now);
    made.part = own.api.tickets.split({
      ticket: made.sensor,
      actor: { kind: 'key', id: 'k', role: 'operator', department: null },
      department: 'lighting',
      note: 'x',
    }).id;
    own.clock.nowMs = now - 2 * DAY_MS;
    own.act(made.month!, 'resolve', 'lamp changed');
    own.act(made.ancient!, 'acknowledge');
    own.clock.nowMs = now;
  });
  afterAll(() => own.stop());

  const names = (shown: readonly Shown[]) =>
    ids(shown).map((id) => Object.entries(made).find(([, one]) => one === id)?.[0] ?? id);
  const asked = async (query: string) => names((await own.both<Shown[]>(LIST, 'service_requests', query)).body);
  const day = (daysAgo: number) => new Date(now - daysAgo * DAY_MS).toISOString();

  test('lists requests of the last 90 days, newest first, of sensors and citizens', async () => {
    expect(await asked('')).toEqual(['sensor', 'day', 'month', 'quarter']);
  });

  test.each<[string, () => string, string[]]>([
    ['service_request_id of one', () => `?service_request_id=${made.day}`, ['day']],
    [
      'service_request_id of several, which overrides all else',
      () => `?service_request_id=${made.old},${made.day},x&status=closed&start_date=bad&service_code=x`,
      ['day', 'old'],
    ],
    ["service_request_id of a part, which is nobody's request", () => `?service_request_id=${made.part}`, []],
    ['service_code', () => '?service_code=noise', ['day', 'quarter']],
    ['service_code of several', () => '?service_code=noise,street-light', ['day', 'month', 'quarter']],
    ['service_code repeated', () => '?service_code=noise&service_code=street-light', ['day', 'month', 'quarter']],
    ['status open', () => '?status=open', ['sensor', 'day', 'quarter']],
    ['status closed', () => '?status=closed', ['month']],
    ['status of both', () => '?status=open,closed', ['sensor', 'day', 'month', 'quarter']],
    ['status and service', () => '?status=open&service_code=street-light', []],
    ['start_date', () => `?start_date=${day(31)}`, ['sensor', 'day', 'month']],
    [
      'start_date of long ago, which reaches 90 days from there',
      () => `?start_date=${day(125)}`,
      ['quarter', 'old', 'ancient'],
    ],
    ['end_date, which reaches 90 days back', () => `?end_date=${day(29)}`, ['month', 'quarter', 'old']],
    ['both', () => `?start_date=${day(95)}&end_date=${day(80)}`, ['quarter', 'old']],
    ['a date of its own second', () => `?start_date=${day(1)}&end_date=${day(1)}`, ['day']],
    ['a date with a zone whose plus became a space', () => `?start_date=2026-06-15T08:00:00+08:00`, ['sensor']],
    ['a day', () => '?start_date=2026-06-14&end_date=2026-06-15', ['day']],
    ['a start in the future', () => `?start_date=${day(-1)}`, []],
    [
      'updated_after, whenever it was asked for',
      () => `?updated_after=${day(3)}`,
      ['sensor', 'day', 'month', 'ancient'],
    ],
    ['updated_before', () => `?updated_before=${day(50)}`, ['quarter', 'old']],
    ['updated and requested', () => `?updated_after=${day(3)}&start_date=${day(40)}`, ['sensor', 'day', 'month']],
    ['page_size', () => '?page_size=2', ['sensor', 'day']],
    ['page', () => '?page_size=2&page=2', ['month', 'quarter']],
    ['the page after the last', () => '?page_size=2&page=3', []],
    [
      'filters that are empty, which are absent',
      () => '?status=&service_code=&start_date=&page=&service_request_id=',
      ['sensor', 'day', 'month', 'quarter'],
    ],
  ])('by %s', async (_name, query, expected) => {
    expect(await asked(query())).toEqual(expected);
  });

  test('with extensions=true each has extended attributes, without it none', async () => {
    const extended = await own.both<Shown[]>(LIST, 'service_requests', '?extensions=true');
    expect(extended.body.map((one) => (one.extended_attributes as { origin: string }).origin)).toEqual([
      'sensor',
      'citizen',
      'citizen',
      'citizen',
    ]);
    const { body } = await own.json<Shown[]>(`${LIST}.json?extensions=false`);
    for (const one of body) expect(Object.keys(one)).not.toContain('extended_attributes');
  });

  test.each<[string, string, number, RegExp[]]>([
    ['a filter that does not exist', '?lng=31.2', 400, [/^unknown parameter "lng"/]],
    ['an unknown status', '?status=open,done', 400, [/^status: "done" is neither open nor closed$/]],
    ['an unknown service', '?service_code=noise,x', 404, [/^service_code: unknown service "x"; known: street-light/]],
    ['a date after the year 9999', '?start_date=9007199254740992', 400, [/^start_date: "9007199254740992" is neither/]],
    ['no date', '?start_date=yesterday', 400, [/^start_date: "yesterday" is neither ISO 8601 with a zone/]],
    ['a date without a zone', '?end_date=2026-06-01T00:00:00', 400, [/^end_date: "2026-06-01T00:00:00" is neither/]],
    [
      'dates that are turned round',
      '?start_date=2026-06-02&end_date=2026-06-01',
      400,
      [/^start_date: is after end_date$/],
    ],
    [
      'more than 90 days',
      '?start_date=2026-01-01&end_date=2026-04-02',
      400,
      [/^start_date, end_date: at most 90 days apart$/],
    ],
    [
      'more than 90 days of changes',
      '?updated_after=2026-01-01&updated_before=2026-04-02',
      400,
      [/^updated_after, updated_before/],
    ],
    ['no page', '?page=0', 400, [/^page: "0" is not a whole number between 1 and 1000000$/]],
    ['half a page', '?page_size=1.5', 400, [/^page_size: "1.5" is not a whole number between 1 and 1000$/]],
    ['too large a page', '?page_size=1001', 400, [/^page_size: "1001"/]],
    [
      'several at once, the hardest first',
      '?status=x&service_code=y&page=z',
      404,
      [/^service_code/, /^page/, /^status/],
    ],
  ])('%s: says what and what would be right', async (_name, query, status, descriptions) => {
    const reply = await own.both<Errors>(LIST, 'service_requests', query);
    expect(reply.status).toBe(status);
    expect(reply.body.map(({ description }) => description)).toEqual(
      descriptions.map((one) => expect.stringMatching(one)),
    );
  });

  test('no response has what a reporter said about themselves', async () => {
    const secret = {
      email: 'wang@example.org',
      phone: '139000',
      first_name: 'SECRETNAME',
      device_id: 'SECRETPHONE',
      account_id: 'SECRETACC',
    };
    const id = await report({ ...secret, description: 'loud' }, own);
    const texts = await Promise.all(
      [`${LIST}.json`, `${LIST}.xml?extensions=true`, `${LIST}/${id}.json?extensions=true`].map(async (path) =>
        (await own.api.fetch(path, { key: null })).text(),
      ),
    );
    for (const path of [`/api/v1/tickets/${id}`, '/api/v1/events?limit=1000', `/api/v1/tickets/${id}/request`])
      texts.push(await (await own.api.fetch(path)).text());
    for (const text of texts) expect(text).not.toMatch(/SECRET|wang@|139000/);
  });

  test('returns at most 1,000 where there are more', async () => {
    for (let n = 0; n < 1_050; n++) own.sensor(`${1_000 + n}.0`, null, now - 1_000);
    own.clock.nowMs = now;
    const { body } = await own.json<Shown[]>(`${LIST}.json?page_size=1000`);
    expect(body).toHaveLength(1_000);
    const rest = await own.json<Shown[]>(`${LIST}.json?page_size=1000&page=2`);
    expect(rest.body.length).toBeGreaterThan(50);
    expect(new Set([...ids(body), ...ids(rest.body)]).size).toBe(body.length + rest.body.length);
  });
});

describe('GET requests, many of them', () => {
  let own: Open311;
  const COUNT = 130;
  beforeAll(async () => {
    own = await openOpen311({ publicUrl: 'https://city.example' });
    for (let n = 1; n <= COUNT; n++) own.sensor(`${1_000 + n}.0`, null);
  });
  afterAll(() => own.stop());

  test('a page has 100 unless the client says so; a link leads to the next until the last', async () => {
    const seen: string[] = [];
    let [path, pages] = [`${LIST}.json?status=open&api_key=${own.key}`, 0];
    for (;;) {
      const { body, headers } = await own.json<Shown[]>(path);
      seen.push(...ids(body));
      pages++;
      const next = /^<(https:\/\/city\.example)(.+)>; rel="next"$/.exec(headers.get('link') ?? '');
      if (next === null) break;
      expect(body).toHaveLength(100);
      expect(next[2]).not.toContain('api_key');
      path = next[2]!;
    }
    expect([pages, new Set(seen).size]).toEqual([2, COUNT]);
    expect((await own.json<Shown[]>(`${LIST}.json?page_size=1000`)).body).toHaveLength(COUNT);
    const exact = await own.json<Shown[]>(`${LIST}.json?page_size=${COUNT}`);
    expect([exact.body.length, exact.headers.get('link')]).toEqual([COUNT, null]);
    expect((await own.both<Shown[]>(LIST, 'service_requests')).body).toHaveLength(100);
  });

  test('a list may be cached for some seconds, and is sent again only where it changed', async () => {
    const { headers } = await own.json(`${LIST}.json`);
    expect(headers.get('cache-control')).toBe('public, max-age=5');
    const known = { headers: { 'if-none-match': headers.get('etag')! } };
    const same = await own.api.fetch(`${LIST}.json`, { key: null, ...known });
    expect([same.status, await same.text()]).toEqual([304, '']);
    expect((await own.api.fetch(`${LIST}.xml`, { key: null, ...known })).status).toBe(200);
    expect((await own.api.fetch(`${LIST}.json?locale=zh`, { key: null, ...known })).status).toBe(200);
    own.sensor('2000.0', null);
    const changed = await own.api.fetch(`${LIST}.json`, { key: null, ...known });
    expect(ids((await changed.json()) as Shown[])).toContain('t-2000-0');
  });

  test('the same list is read once for all who ask; a change of a ticket makes it anew', async () => {
    const read = vi.spyOn(own.api.deps.citizens.requests, 'find');
    const ask = () => own.json<Shown[]>(`${LIST}.json?page_size=7&api_key=${Math.random()}`);
    await Promise.all(Array.from({ length: 20 }, ask));
    await ask();
    expect(read).toHaveBeenCalledTimes(1);
    own.clock.nowMs += 5_000;
    await ask();
    expect(read).toHaveBeenCalledTimes(2);
    own.act('t-2000-0', 'acknowledge');
    await ask();
    expect(read).toHaveBeenCalledTimes(3);
    read.mockRestore();
  });

  test('while lists are written, other requests are served', async () => {
    const done: string[] = [];
    const lists = Array.from({ length: 15 }, async (_, n) => {
      await own.api.fetch(`${LIST}.xml?page_size=${1_000 - n}`, { key: null });
      done.push('list');
    });
    const health = own.api.fetch('/health', { key: null }).then(() => done.push('health'));
    await Promise.all([...lists, health]);
    expect(done.at(-1)).toBe('list');
  });
});

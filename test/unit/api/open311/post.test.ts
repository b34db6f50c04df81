import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  EAST,
  type Errors,
  encoded,
  type Fields,
  type Open311,
  openOpen311,
  type Posted,
} from '../../../kit/api/open311.ts';

const URL_POST = '/open311/v2/requests';
const REPORTER = {
  email: 'lin@example.org',
  first_name: 'Lin',
  last_name: 'Qing',
  phone: '+86 12345',
  device_id: 'phone-7',
  account_id: 'acc-9',
};
const FLOOD: Fields = { service_code: 'flood', ...EAST, description: 'water on the road' };
const file = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../../fixtures/photos/${name}`, import.meta.url)));

let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());

/** Another place in the east each time, too far from all others to be the same. */
let places = 0;
const elsewhere = () => ({ lat: '0.9', long: String(0.001 + 0.002 * places++) });

describe('POST requests', () => {
  test('returns id, notice, account and token in JSON', async () => {
    const { status, body } = await server.post({ ...FLOOD, ...REPORTER });
    expect(status).toBe(200);
    expect(body).toEqual([
      {
        service_request_id: expect.stringMatching(/^r-[0-9a-f-]+$/),
        service_notice: expect.stringContaining(body[0]!.reporter_token),
        account_id: 'acc-9',
        reporter_token: expect.stringMatching(/^[\w-]{43}$/),
      },
    ]);
    expect(body[0]!.service_notice).toMatch(/^Keep this token/);
  });

  test('sent again with its Idempotency-Key is the same request, with the same token; another one with it is refused', async () => {
    const again = (fields: Fields, name: string) =>
      server.json<Posted[] & Errors>(`${URL_POST}.json`, {
        method: 'POST',
        body: encoded({ api_key: server.key, ...fields }),
        headers: { 'idempotency-key': name },
      });
    const asked = { ...FLOOD, ...elsewhere(), ...REPORTER };
    const [first, second] = await Promise.all([again(asked, 'lin@example.org'), again(asked, 'lin@example.org')]);
    expect(first.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect((await again(asked, 'lin@example.org')).body).toEqual(first.body);
    const other = await again({ ...asked, description: 'another' }, 'lin@example.org');
    expect([other.status, other.body[0]!.description]).toEqual([400, expect.stringContaining('was used for another')]);
    expect((await again(asked, '')).status).toBe(400);
    const { service_request_id: id } = first.body[0]!;
    // Another name is another request: it reports the same once more.
    expect((await again(asked, 'other')).body[0]!.service_request_id).not.toBe(id);
    expect(await server.request(id, '?extensions=true')).toMatchObject({ extended_attributes: { reports: 1 } });
    const trail = JSON.stringify(
      (await (await server.api.fetch('/api/v1/audit?action=citizen.request')).json()) as object,
    );
    expect(trail).toContain(`ticket ${id}`);
    expect(trail).toContain('"repeated"');
    expect(trail).not.toContain('lin@example.org');
    expect(trail).not.toContain('127.0.0.1');
  });

  test('returns the same in XML, in the elements of the specification', async () => {
    const form = encoded({ ...FLOOD, ...elsewhere(), api_key: server.key });
    const { status, body } = await server.xml(`${URL_POST}.xml`, 'service_requests', { method: 'POST', body: form });
    expect(status).toBe(200);
    expect(body).toEqual([
      {
        service_request_id: expect.stringMatching(/^r-/),
        service_notice: expect.any(String),
        account_id: '',
        reporter_token: expect.any(String),
      },
    ]);
  });

  test('the request is a ticket of the service, its department and its district, with the text as sent', async () => {
    const { body } = await server.post({
      ...FLOOD,
      lat: '0.8123456',
      long: '-0.25',
      address_string: 'Pier 7',
      address_id: '42',
      media_url: 'https://photos.example/1.jpg',
    });
    const id = body[0]!.service_request_id;
    expect(await (await server.api.fetch(`/api/v1/tickets/${id}`)).json()).toMatchObject({
      id,
      origin: 'citizen',
      status: 'open',
      service: 'flood',
      department: 'water',
      district: 'west',
      severity: 'medium',
      description: 'water on the road',
      location: { lat: 0.8123456, lon: -0.25 },
      address: 'Pier 7',
      title: 'High water, reported by a citizen',
      titleZh: '积水（市民反映）',
      dueAt: '2026-06-15T13:00:00.000Z',
      rule: null,
      history: [{ by: 'reporter', action: 'opened' }],
    });
    expect(await server.request(id)).toMatchObject({ address_id: '42', media_url: 'https://photos.example/1.jpg' });
  });

  test('is in Chinese where the client prefers it', async () => {
    const { body } = await server.post({ ...FLOOD, ...elsewhere(), locale: 'zh' });
    expect(body[0]!.service_notice).toMatch(/^请保存此凭证（仅显示一次）：[\w-]{43}。/);
  });

  test.each([
    ['a place', { lat: '0.1', long: '0.1' }],
    ['an address in words', { address_string: 'Pier 7' }],
    ['the id of an address', { address_id: '42' }],
    ['all of them', { lat: '0.2', long: '0.1', address_string: 'Pier 7', address_id: '42' }],
    [
      'a place, and the others empty, which is absent',
      { lat: '0.3', long: '0.1', address_string: '', address_id: ' ' },
    ],
  ])('%s is enough of a place', async (_name, place) => {
    expect((await server.post({ service_code: 'flood', ...place })).status).toBe(200);
  });

  test('empty fields, unknown fields and answers to questions of other services are ignored', async () => {
    const { status, body } = await server.post({
      ...FLOOD,
      ...elsewhere(),
      email: '',
      first_name: ' ',
      media_url: '',
      jurisdiction_id: '',
      'attribute[pole]': 'LJ-1',
      easting: '1',
      'attribute[': 'x',
      __proto__: 'x',
    });
    expect(status).toBe(200);
    const reporter = await server.api.fetch(`/api/v1/tickets/${body[0]!.service_request_id}/reporter`);
    expect(reporter.status).toBe(404);
  });
});

describe('api_key', () => {
  const asked = (fields: Fields, query = '', headers: Record<string, string> = {}) =>
    server.json<Errors>(`${URL_POST}.json${query}`, {
      method: 'POST',
      body: encoded({ ...FLOOD, ...elsewhere(), ...fields }),
      headers,
    });

  test.each([
    ['in the form', () => asked({ api_key: server.key })],
    ['in the address', () => asked({}, `?api_key=${server.key}`)],
    ['as a bearer', () => asked({}, '', { authorization: `Bearer ${server.key}` })],
    ["an operator's", () => asked({ api_key: server.api.key('operator') })],
  ])('is accepted %s', async (_name, ask) => {
    expect((await ask()).status).toBe(200);
  });

  test.each([
    ['that is missing', () => asked({}), /is missing or not valid/],
    ['that is empty', () => asked({ api_key: '' }), /is missing or not valid/],
    ['that nobody has', () => asked({ api_key: 'nonsense' }), /is missing or not valid/],
    [
      'of a viewer',
      () => asked({ api_key: server.api.key('viewer') }),
      /citizen-app, operator, admin; yours is viewer/,
    ],
    ['of a network server', () => asked({ api_key: server.api.key('network-server') }), /yours is network-server/],
  ])('%s is a 403', async (_name, ask, description) => {
    const { status, body } = await ask();
    expect(status).toBe(403);
    expect(body).toEqual([{ code: 403, description: expect.stringMatching(description) }]);
  });

  test('that is wrong is a 403 before anything else is checked, in XML too', async () => {
    const { status, body } = await server.xml(`${URL_POST}.xml`, 'errors', {
      method: 'POST',
      body: encoded({ lat: 'x' }),
    });
    expect(status).toBe(403);
    expect(body).toEqual([{ code: '403', description: expect.stringContaining('api_key') }]);
  });

  test('of an app is not valid for anything else', async () => {
    for (const path of [
      '/api/v1/tickets',
      '/api/v1/devices',
      '/api/v1/readings/latest',
      '/api/v1/events',
      '/metrics',
    ]) {
      expect((await server.api.fetch(path, { key: server.key })).status, path).toBe(403);
    }
  });
});

describe('what is wrong with a request', () => {
  const wrong: [string, Fields, number, RegExp[]][] = [
    ['no service', { service_code: '' }, 400, [/^service_code: is missing; the city has street-light, noise, flood$/]],
    ['a service that is written wrong', { service_code: 'nosie' }, 404, [/: did you mean "noise"\?$/]],
    [
      'an unknown service',
      { service_code: 'x' },
      404,
      [/^service_code: unknown service "x"; known: street-light, noise, flood$/],
    ],
    [
      'a service that is not for citizens',
      { service_code: 'repair' },
      404,
      [/^service_code: unknown service "repair"/],
    ],
    [
      'no place',
      { lat: '', long: '' },
      400,
      [/lat and long, or address_string, or address_id: one of them is required/],
    ],
    [
      'half a place',
      { long: '' },
      400,
      [/^long: is missing beside the other; write degrees of WGS 84, between -180 and 180$/],
    ],
    ['no number', { lat: '30N' }, 400, [/^lat: "30N" is not a number/]],
    ['nowhere on Earth', { lat: '91', long: '-181' }, 400, [/^lat: "91" .*between -90 and 90$/, /^long: "-181"/]],
    ['outside of the city', { lat: '-5', long: '0.5' }, 400, [/^lat, long: -5, 0.5 is outside Linjiang$/]],
    ['too much to say', { description: 'x'.repeat(4_001) }, 400, [/^description: has 4001 characters; at most 4000$/]],
    ['no e-mail address', { email: 'lin' }, 400, [/^email: "lin" is not an e-mail address$/]],
    ['a name too long', { first_name: 'x'.repeat(201) }, 400, [/^first_name: has 201 characters; at most 200$/]],
    [
      'no web address',
      { media_url: 'javascript:alert(1)' },
      400,
      [/^media_url: write an address that begins with http/],
    ],
    ['another jurisdiction', { jurisdiction_id: 'nowhere' }, 404, [/^jurisdiction_id: "nowhere" is not served here/]],
    [
      'all at once',
      { lat: 'x', description: 'x'.repeat(5_000), email: '@', media_url: 'ftp://x' },
      400,
      [/^lat/, /^description/, /^email/, /^media_url/],
    ],
  ];
  test.each(wrong)('%s: says what and what would be right', async (_name, fields, status, descriptions) => {
    const reply = await server.post<Errors>({ ...FLOOD, ...fields });
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject(
      descriptions.map((one) => ({ code: status, description: expect.stringMatching(one) })),
    );
    const body = encoded({ api_key: server.key, ...FLOOD, ...fields });
    const xml = await server.xml(`${URL_POST}.xml`, 'errors', { method: 'POST', body });
    expect(xml.status).toBe(status);
    expect(xml.body).toEqual(reply.body.map(({ code, ...fault }) => ({ code: String(code), ...fault })));
  });

  test.each([
    ['JSON', 'application/json', '{}'],
    ['a text', 'text/plain', 'x'],
    ['XML', 'text/xml', '<x/>'],
  ])('%s is no form', async (_name, type, body) => {
    const init = { method: 'POST', body, headers: { 'content-type': type } };
    const reply = await server.json<Errors>(`${URL_POST}.json`, init);
    expect([reply.status, reply.body[0]]).toEqual([
      400,
      { code: 400, description: 'send a form: application/x-www-form-urlencoded or multipart/form-data' },
    ]);
  });

  test('a form that is too large is refused', async () => {
    const reply = await server.json<Errors>(`${URL_POST}.json`, {
      method: 'POST',
      body: encoded({ description: 'x'.repeat(300_000) }),
    });
    expect([reply.status, reply.body[0]!.code]).toEqual([400, 400]);
  });
});

describe("a service's questions", () => {
  const answersOf = async (id: string) =>
    (await (await server.api.fetch(`/api/v1/tickets/${id}/request`)).json()) as { answers: unknown[] };
  const LAMP: Fields = { service_code: 'street-light' };
  const NOISE: Fields = { service_code: 'noise' };

  test.each<[string, Fields, unknown[]]>([
    [
      'attribute[CODE]',
      { ...LAMP, 'attribute[kind]': 'dark', 'attribute[pole]': 'LJ-1' },
      [
        { code: 'pole', title: { en: 'Number on the pole', zh: '灯杆编号' }, answer: 'LJ-1' },
        { code: 'kind', title: { en: 'What is wrong?', zh: '故障类型' }, answer: 'dark' },
      ],
    ],
    ['attribute[CODE][] of one', { ...LAMP, 'attribute[kind][]': 'flickers' }, [{ code: 'kind', answer: 'flickers' }]],
    [
      'several of a list',
      { ...NOISE, 'attribute[sources][]': ['site', 'road'] },
      [{ code: 'sources', answer: ['site', 'road'] }],
    ],
    ['one of a list of several', { ...NOISE, 'attribute[sources]': 'bar' }, [{ code: 'sources', answer: ['bar'] }]],
    [
      'numbered',
      { ...NOISE, 'attribute[sources][0]': 'bar', 'attribute[sources][1]': 'site' },
      [{ answer: ['bar', 'site'] }],
    ],
    ['a number', { ...NOISE, 'attribute[level]': '81.5' }, [{ code: 'level', answer: '81.5' }]],
    ['a time', { ...NOISE, 'attribute[since]': '2026-06-14T22:00:00+08:00' }, [{ code: 'since' }]],
    ['a text', { ...NOISE, 'attribute[story]': 'all\nnight' }, [{ code: 'story', answer: 'all\nnight' }]],
    ['none, where none is required', { ...NOISE, 'attribute[story]': '' }, []],
  ])('take answers: %s', async (_name, fields, answers) => {
    const { status, body } = await server.post({ ...elsewhere(), ...fields });
    expect(status).toBe(200);
    const kept = await answersOf(body[0]!.service_request_id);
    expect(kept.answers).toEqual(answers.map((one) => expect.objectContaining(one as object)));
  });

  test.each<[string, Fields, string]>([
    ['a required one is left out', LAMP, 'attribute[kind]: is required: What is wrong?'],
    ['a required one is empty', { ...LAMP, 'attribute[kind]': '' }, 'attribute[kind]: is required: What is wrong?'],
    ['none of the list', { ...LAMP, 'attribute[kind]': 'blue' }, 'attribute[kind]: "blue" is none of dark, flickers'],
    ['two of one', { ...LAMP, 'attribute[kind]': ['dark', 'flickers'] }, 'attribute[kind]: takes one value, not 2'],
    ['no number', { ...NOISE, 'attribute[level]': 'loud' }, 'attribute[level]: "loud" is not a number'],
    [
      'no time',
      { ...NOISE, 'attribute[since]': 'yesterday' },
      'attribute[since]: "yesterday" is not ISO 8601 with a zone (2026-01-31T12:00:00Z)',
    ],
    [
      'one unknown among several',
      { ...NOISE, 'attribute[sources]': ['bar', 'dog'] },
      'attribute[sources]: "dog" is none of site, bar, road',
    ],
    [
      'too much',
      { ...NOISE, 'attribute[story]': 'x'.repeat(4_001) },
      'attribute[story]: has more than 4000 characters',
    ],
    [
      'too much of a line',
      { ...LAMP, 'attribute[kind]': 'dark', 'attribute[pole]': 'x'.repeat(501) },
      'attribute[pole]: has more than 500 characters',
    ],
  ])('%s: 400', async (_name, fields, description) => {
    const { status, body } = await server.post<Errors>({ ...elsewhere(), ...fields });
    expect(status).toBe(400);
    expect(body).toEqual([{ code: 400, description, reason: 'wrong-answer' }]);
  });
});

describe('multipart, with a photo', () => {
  const formOf = (fields: Fields, ...photos: [string, Uint8Array<ArrayBuffer>, string?][]) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(name, one);
    for (const [name, bytes, filename = 'photo.jpg'] of photos) form.append(name, new Blob([bytes]), filename);
    return form;
  };
  const post = (form: FormData) => server.json<Posted[]>(`${URL_POST}.json`, { method: 'POST', body: form });
  const fields = () => ({ ...FLOOD, ...elsewhere(), api_key: server.key });

  test.each([
    ['baseline.jpg', 'image/jpeg', 'media'],
    ['progressive.jpg', 'image/jpeg', 'media_url'],
    ['photo.png', 'image/png', 'media[]'],
    ['lossy.webp', 'image/webp', 'photo'],
  ])('%s is kept, cleaned, and shown', async (name, type, field) => {
    const { status, body } = await post(formOf(fields(), [field, file(name), '../../evil.html']));
    expect(status).toBe(200);
    const { media_url } = await server.request(body[0]!.service_request_id);
    expect(media_url).toMatch(
      new RegExp(`^http://localhost:${server.api.port}/open311/media/[0-9a-f]{64}\\.(jpg|png|webp)$`),
    );
    const response = await fetch(String(media_url));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.length).toBeGreaterThan(200);
    expect(bytes.includes('SECRET')).toBe(false);
  });

  test('fields of all kinds come through a multipart form too', async () => {
    const form = formOf({
      ...fields(),
      service_code: 'noise',
      description: '太吵了 & <loud>',
      'attribute[sources][]': ['bar', 'road'],
    });
    const { body } = await post(form);
    const id = body[0]!.service_request_id;
    expect(await server.request(id)).toMatchObject({ description: '太吵了 & <loud>', media_url: null });
    const kept = (await (await server.api.fetch(`/api/v1/tickets/${id}/request`)).json()) as { answers: unknown[] };
    expect(kept.answers).toMatchObject([{ code: 'sources', answer: ['bar', 'road'] }]);
  });

  test('an empty file, as browsers send it where none was chosen, counts as none', async () => {
    const { status, body } = await post(formOf(fields(), ['media', new Uint8Array(), '']));
    expect(status).toBe(200);
    expect((await server.request(body[0]!.service_request_id)).media_url).toBeNull();
  });

  test('several photos are all kept, each cleaned, beside addresses of others', async () => {
    const form = formOf(fields(), ['a', file('baseline.jpg')], ['b', file('photo.png')]);
    for (const n of [1, 2]) form.append('media_url', `https://photos.example/${n}.jpg`);
    const { body } = await post(form);
    const request = await server.request(body[0]!.service_request_id, '?extensions=true');
    const { media_urls } = request.extended_attributes as { media_urls: string[] };
    expect(request.media_url).toBe(media_urls[0]);
    expect(media_urls).toHaveLength(4);
    for (const url of media_urls.slice(0, 2)) {
      const photo = Buffer.from(await (await fetch(url.replace('http://localhost', 'http://127.0.0.1'))).arrayBuffer());
      expect(photo.length).toBeGreaterThan(100);
      expect(photo.includes('SECRET')).toBe(false);
    }
    expect(media_urls.slice(2)).toEqual([1, 2].map((n) => `https://photos.example/${n}.jpg`));
  });

  test('a boundary may be as short as some programs make it, and the response XML', async () => {
    const parts = Object.entries(fields()).map(
      ([name, value]) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    const { status } = await server.xml(`${URL_POST}.xml`, 'service_requests', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: `${parts.join('')}--x--\r\n`,
    });
    expect(status).toBe(200);
  });

  test.each<[string, [string, Uint8Array<ArrayBuffer>][], RegExp]>([
    ['a page', [['media', new TextEncoder().encode('<script>')]], /^media: the file is neither JPEG nor PNG nor WebP/],
    [
      'half a photo',
      [['media', file('baseline.jpg').slice(0, 900)]],
      /^media: the file begins like an image and is damaged/,
    ],
    ['a photo that is too large', [['media', new Uint8Array(5 * 1024 * 1024 + 1)]], /^media: at most 5 MB$/],
    ['many photos', [1, 2, 3, 4, 5, 6].map((n) => [`m${n}`, file('plain.jpg')]), /^5 photos, not 6$/],
  ])('%s: 400', async (_name, photos, description) => {
    const { status, body } = await post(formOf(fields(), ...photos));
    expect(status).toBe(400);
    expect(body).toMatchObject([{ code: 400, description: expect.stringMatching(description) }]);
  });

  test('a field that is too large is refused, not truncated', async () => {
    const { status, body } = await post(formOf({ ...fields(), description: 'x'.repeat(20_000) }));
    expect([status, body]).toEqual([400, [{ code: 400, description: 'description: at most 16384 bytes' }]]);
  });

  test('a body that is not multipart is refused, and the server continues', async () => {
    const headers = { 'content-type': 'multipart/form-data; boundary=x' };
    const reply = await server.json<Errors>(`${URL_POST}.json`, {
      method: 'POST',
      headers,
      body: '--x\r\nContent-Disp',
    });
    expect(reply.status).toBe(400);
    const without = { 'content-type': 'multipart/form-data' };
    expect((await server.json(`${URL_POST}.json`, { method: 'POST', headers: without, body: 'x' })).status).toBe(400);
    expect((await post(formOf(fields()))).status).toBe(200);
  });
});

describe('rate limit', () => {
  test('each key has a number of requests per minute, and gets the number that is left', async () => {
    const limited = await openOpen311({ requestsPerMinute: 2 });
    const sent = async (key = limited.key) => {
      const reply = await limited.post<Errors>({ ...FLOOD, api_key: key });
      return {
        status: reply.status,
        left: reply.headers.get('ratelimit'),
        again: reply.headers.get('retry-after'),
        body: reply.body,
      };
    };
    expect(await sent()).toMatchObject({ status: 200, left: '"requests";r=1;t=60', again: null });
    limited.clock.nowMs += 20_500;
    expect(await sent()).toMatchObject({ status: 200, left: '"requests";r=0;t=40' });
    const refused = await sent();
    expect(refused).toMatchObject({ status: 429, left: '"requests";r=0;t=40', again: '40' });
    expect(refused.body).toEqual([{ code: 429, description: expect.stringContaining('Retry-After') }]);
    expect(await sent(limited.api.key('citizen-app'))).toMatchObject({ status: 200 });
    expect((await limited.json('/open311/v2/requests.json')).status).toBe(200);
    limited.clock.nowMs += 39_500;
    expect(await sent()).toMatchObject({ status: 200, left: '"requests";r=1;t=60' });
    await limited.stop();
  });

  test('without a limit there are no headers of one', async () => {
    const reply = await server.post({ ...FLOOD, ...elsewhere() });
    expect(reply.headers.get('ratelimit-policy')).toBeNull();
  });
});

describe('where the city lets anybody request services', () => {
  test('no key is needed, a wrong one is refused all the same, and an address has a twelfth of the limit', async () => {
    const open = await openOpen311({ requestsPerMinute: 24 }, undefined, {}, { anybody: true });
    const sent = async (fields: Fields) => {
      const body = encoded({ ...FLOOD, ...elsewhere(), ...fields });
      const { status, headers } = await open.json<Posted[] & Errors>(`${URL_POST}.json`, { method: 'POST', body });
      return [status, headers.get('ratelimit')];
    };
    expect(await sent({})).toEqual([200, '"requests";r=1;t=60']);
    expect(await sent({ api_key: 'no-such-key' })).toEqual([403, null]);
    expect(await sent({})).toEqual([200, '"requests";r=0;t=60']);
    expect(await sent({})).toEqual([429, '"requests";r=0;t=60']);
    // Apps have their own.
    expect(await sent({ api_key: open.key })).toEqual([200, '"requests";r=23;t=60']);
    const city = await (await open.api.fetch('/public/city.json', { key: null })).json();
    expect(city).toMatchObject({ requests: true, metrics: [] });
    await open.stop();
  });

  test('elsewhere it is, and what is published is nothing', async () => {
    const reply = await server.json<Errors>(`${URL_POST}.json`, { method: 'POST', body: encoded(FLOOD) });
    expect([reply.status, reply.body[0]!.description]).toEqual([403, expect.stringMatching(/^api_key: is missing/)]);
    const readings = await (await server.api.fetch('/public/readings.geojson', { key: null })).json();
    expect(readings).toMatchObject({ features: [] });
    expect((await server.api.fetch('/public/history?device=d1&metric=a', { key: null })).status).toBe(404);
  });
});

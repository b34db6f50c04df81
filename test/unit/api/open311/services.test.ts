import { get } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Errors, type Open311, openOpen311 } from '../../../kit/api/open311.ts';

let server: Open311;
beforeAll(async () => {
  server = await openOpen311();
});
afterAll(() => server.stop());

const NONE = { code: 404, description: expect.stringContaining('"nowhere" is not served here; write city.example') };

describe('GET discovery', () => {
  test.each(['/open311/discovery', '/open311/v2/discovery'])('%s - has the contact and the endpoint', async (path) => {
    const { status, body } = await server.both(path, 'discovery');
    expect(status).toBe(200);
    expect(body).toEqual({
      changeset: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      contact: 'hotline 12345',
      key_service: 'ask the hotline',
      endpoints: [
        {
          specification: 'http://wiki.open311.org/GeoReport_v2',
          url: `http://localhost:${server.api.port}/open311/v2`,
          changeset: expect.any(String),
          type: 'production',
          formats: ['text/xml', 'application/json'],
        },
      ],
    });
  });

  test('the endpoint leads to the services, whether or not a client adds a slash', async () => {
    const { body } = await server.json<{ endpoints: { url: string }[] }>('/open311/v2/discovery.json');
    const { pathname } = new URL(body.endpoints[0]!.url);
    for (const join of ['/', '//', '///'])
      expect((await server.json(`${pathname}${join}services.json`)).status).toBe(200);
  });

  test('no address follows the Host of a request', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' };
    get({ port: server.api.port, path: '/open311/discovery.json', headers, agent: false }, async (reply) => {
      const chunks: Buffer[] = [];
      for await (const chunk of reply) chunks.push(chunk as Buffer);
      resolve(String(Buffer.concat(chunks)));
    });
    const text = await promise;
    expect(text).toContain(`"http://localhost:${server.api.port}/open311/v2"`);
    expect(text).not.toContain('evil');
  });

  test('behind a proxy it has the public address', async () => {
    const outside = await openOpen311({ publicUrl: 'https://city.example/lamppost' });
    const { body } = await outside.json('/open311/v2/discovery.json');
    expect(body).toMatchObject({ endpoints: [{ url: 'https://city.example/lamppost/open311/v2' }] });
    await outside.stop();
  });
});

describe('GET services', () => {
  test('lists what citizens may request, with every field of the specification', async () => {
    const { status, body } = await server.both('/open311/v2/services', 'services');
    expect(status).toBe(200);
    expect(body).toEqual([
      {
        service_code: 'street-light',
        service_name: 'Street light out',
        description: 'A lamp is dark, or burns by day',
        metadata: true,
        type: 'realtime',
        keywords: 'lamp, dark, 路灯',
        group: 'Street Lighting Office',
      },
      expect.objectContaining({ service_code: 'noise', description: 'Noise', metadata: true, keywords: '' }),
      expect.objectContaining({ service_code: 'flood', metadata: false, group: 'Water & Sons' }),
    ]);
  });

  test.each([
    ['?locale=zh', {}, '路灯故障'],
    ['?locale=zh-CN', { 'accept-language': 'en' }, '路灯故障'],
    ['', { 'accept-language': 'zh-CN,zh;q=0.9,en;q=0.8' }, '路灯故障'],
    ['', { 'accept-language': 'en;q=0.5, zh;q=0.9' }, '路灯故障'],
    ['', { 'accept-language': 'zh;q=0, en' }, 'Street light out'],
    ['', { 'accept-language': 'de, *' }, 'Street light out'],
    ['?locale=fr', {}, 'Street light out'],
  ])('is in the language of the client: "%s" %o', async (query, headers, name) => {
    const { body } = await server.json<{ service_name: string }[]>(`/open311/v2/services.json${query}`, { headers });
    expect(body[0]!.service_name).toBe(name);
  });
});

describe('GET services/{code}', () => {
  test('returns the questions of a service with every field of the specification', async () => {
    const { status, body } = await server.both('/open311/v2/services/street-light', 'service_definition');
    expect(status).toBe(200);
    expect(body).toEqual({
      service_code: 'street-light',
      attributes: [
        {
          variable: true,
          code: 'pole',
          datatype: 'string',
          required: false,
          datatype_description: 'LJ-0123',
          order: 1,
          description: 'Number on the pole',
        },
        {
          variable: true,
          code: 'kind',
          datatype: 'singlevaluelist',
          required: true,
          datatype_description: null,
          order: 2,
          description: 'What is wrong?',
          values: [
            { key: 'dark', name: 'It is dark' },
            { key: 'flickers', name: 'It flickers' },
          ],
        },
        {
          variable: true,
          code: 'asset',
          datatype: 'string',
          required: false,
          datatype_description: null,
          order: 3,
          description: 'Which pole?',
        },
      ],
    });
  });

  test('has every datatype of the specification, in the order of the city', async () => {
    const { body } = await server.both<{ attributes: { datatype: string; order: number }[] }>(
      '/open311/v2/services/noise',
      'service_definition',
      '?locale=zh',
    );
    const found = body.attributes.map(({ datatype, order }) => [order, datatype]);
    expect(found).toEqual([
      [1, 'datetime'],
      [2, 'number'],
      [3, 'multivaluelist'],
      [4, 'text'],
    ]);
  });

  test('of a service without questions has no attributes', async () => {
    const { body } = await server.both('/open311/v2/services/flood', 'service_definition');
    expect(body).toEqual({ service_code: 'flood', attributes: [] });
  });

  test.each(['nothing', 'repair', '', '中'])('"%s" is no service: 404', async (code) => {
    const { status, body } = await server.both<Errors>(`/open311/v2/services/${code}`, 'errors');
    expect(status).toBe(404);
    expect(body).toEqual([{ code: 404, description: `unknown service "${code}"; known: street-light, noise, flood` }]);
  });
});

describe('jurisdiction_id', () => {
  const paths = ['services', 'services/noise', 'requests', 'requests/t-1', 'tokens/x'];

  test.each(paths)('%s - may be left out, empty, or that of the city', async (path) => {
    const { status, body } = await server.both(`/open311/v2/${path}`, rootOf(path));
    for (const query of ['?jurisdiction_id=', '?jurisdiction_id=city.example']) {
      const reply = await server.both(`/open311/v2/${path}`, rootOf(path), query);
      expect([reply.status, reply.body]).toEqual([status, body]);
    }
  });

  test.each(paths)('%s - of another city is not found', async (path) => {
    const { status, body } = await server.both(`/open311/v2/${path}`, rootOf(path), '?jurisdiction_id=nowhere');
    expect(status).toBe(404);
    expect(body).toEqual([NONE]);
  });
});

const rootOf = (path: string) =>
  path === 'services' ? 'services' : path.startsWith('services') ? 'service_definition' : 'service_requests';

describe('addresses', () => {
  test.each([
    '/open311/v2//services',
    '//open311/v2/services',
    '/open311//v2//services',
    '/open311/v2//services/noise',
    '/open311/v2//requests',
  ])('%s - a doubled slash is ignored', async (path) => {
    expect((await server.json(`${path}.json`)).status).toBe(200);
    expect((await server.api.fetch(`${path}.xml`, { key: null })).status).toBe(200);
  });

  test.each([
    '/open311/v2/services',
    '/open311/v2/services.csv',
    '/open311/v2/nothing.xml',
    '/open311/v1/services.xml',
  ])('%s - is not found, in XML, which every client knows', async (path) => {
    const { status, body } = await server.xml(path, 'errors');
    expect(status).toBe(404);
    expect(body).toEqual([{ code: '404', description: `there is no GET ${path}` }]);
  });

  test('nothing.json - is not found, in JSON', async () => {
    const { status, body } = await server.json<Errors>('/open311/v2/nothing.json?a=1');
    expect([status, body[0]!.code]).toEqual([404, 404]);
  });

  test('may be read by pages of other origins', async () => {
    for (const path of ['services.json', 'nothing.json']) {
      expect((await server.json(`/open311/v2/${path}`)).headers.get('access-control-allow-origin')).toBe('*');
    }
  });
});

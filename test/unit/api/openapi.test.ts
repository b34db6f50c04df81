import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BODY_EXAMPLES } from '../../../api/examples.ts';
import { JSON_SCHEMAS } from '../../../events/index.ts';
import { warningsOf } from '../../../tickets/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { schemaChecker } from '../../kit/json-schema.ts';
import { redoclyFaults } from '../../kit/redocly.ts';

const ROUTES = fileURLToPath(new URL('../../../api/routes', import.meta.url));
let api: TestApi;
let paths: Record<string, Record<string, { summary?: string; tags?: string[]; responses?: object }>>;
beforeAll(async () => {
  api = await openApi();
  ({ paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as { paths: typeof paths });
});
afterAll(() => api.stop());

/** The names in paths that two kinds of receivers share, in `receivers.ts`. */
const SHARED = ['webhooks', 'subscriptions'];
const PLACE = /\$\{name\}/;

/** Every route that the sources add, `get /api/v1/devices/{id}`; those that say that they hide are left out. */
function written(): string[] {
  return readdirSync(ROUTES).flatMap((file) => {
    const source = readFileSync(`${ROUTES}/${file}`, 'utf8');
    const calls = source.matchAll(/\.(get|post|put|patch|delete)\(\s*['`](\/[^'`]*)['`]([\s\S]*?)=>/g);
    return [...calls]
      .filter(([, , , rest]) => !rest!.includes('hide: true'))
      .map(([, method, path]) => `${method} ${path!.replace(/:(\w+)/g, '{$1}')}`)
      .flatMap((route) => (PLACE.test(route) ? SHARED.map((name) => route.replace(PLACE, name)) : [route]));
  });
}

const described = () =>
  Object.entries(paths).flatMap(([path, all]) => Object.keys(all).map((method) => `${method} ${path}`));

test('openapi - every list, with items and next, takes limit and after', () => {
  interface Get {
    readonly parameters?: readonly { readonly name: string }[];
    readonly responses: { readonly 200?: { readonly content?: { readonly 'application/json'?: { schema: Schema } } } };
  }
  interface Schema {
    readonly properties?: object;
  }
  const lists = Object.entries(paths).filter(([, { get }]) => {
    const schema = (get as Get | undefined)?.responses[200]?.content?.['application/json']?.schema;
    return ['items', 'next'].every((name) => Object.hasOwn(schema?.properties ?? {}, name));
  });
  expect(lists.length).toBeGreaterThan(20);
  const without = lists.filter(([, { get }]) => {
    const names = ((get as Get).parameters ?? []).map(({ name }) => name);
    return !names.includes('limit') || !names.includes('after');
  });
  expect(without.map(([path]) => path)).toEqual([]);
});

test('openapi - lists every route, and nothing else', () => {
  expect(written().length).toBeGreaterThan(20);
  const [ours, open311] = [false, true].map((is) => described().filter((route) => route.includes('/open311/') === is));
  expect(ours!.sort()).toEqual(written().sort());
  const geoReport = [
    'services',
    'services/{code}',
    'requests',
    'requests/{id}',
    'tokens/{token}',
    'discovery',
    'servicerequestupdates',
  ];
  const wanted = geoReport.map((path) => `get /open311/v2/${path}.{format}`);
  const others = [
    'get /open311/discovery.{format}',
    'get /open311/media/{name}',
    'post /open311/v2/requests.{format}',
    'post /open311/v2/servicerequestupdates.{format}',
  ];
  expect(open311!.sort()).toEqual([...wanted, ...others].sort());
});

test.each(['/openapi.json', '/asyncapi.json'])('openapi - who has %s already gets 304', async (path) => {
  const first = await api.fetch(path, { key: null });
  const etag = first.headers.get('etag')!;
  expect([first.status, first.headers.get('cache-control')]).toEqual([200, 'public, max-age=0']);
  const again = await api.fetch(path, { key: null, headers: { 'if-none-match': etag } });
  expect([again.status, await again.text()]).toEqual([304, '']);
  const other = await api.fetch(path, { key: null, headers: { 'if-none-match': 'W/"another"' } });
  expect(other.status).toBe(200);
});

test('openapi - every schema that it refers to is in it', async () => {
  const text = await (await api.fetch('/openapi.json', { key: null })).text();
  const { components } = JSON.parse(text) as { components: { schemas: object } };
  const named = new Set(Array.from(text.matchAll(/"#\/components\/schemas\/([^"]+)"/g), ([, name]) => name));
  expect([...named].sort()).toEqual(Object.keys(components.schemas).sort());
});

interface Operation {
  readonly operationId: string;
  readonly description: string;
  readonly parameters?: readonly { name: string; description?: string; example?: unknown; schema: object }[];
  readonly responses: object;
}

test('openapi - every operation has an id of its own, a description and errors; every parameter words and an example that fits', () => {
  const check = schemaChecker();
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods)) as unknown as Operation[];
  const ids = operations.map(({ operationId }) => operationId);
  expect(ids.filter((id) => !/^[a-z][A-Za-z0-9]+$/.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { operationId, description, parameters = [], responses } of operations) {
    expect(description, operationId).toMatch(/\w{3}/);
    expect(Object.keys(responses), operationId).toContain('4XX');
    for (const { name, description: words, example, schema } of parameters) {
      expect(words, `${operationId} ${name}`).toMatch(/\w{3}/);
      expect(check(schema, example), `${operationId} ${name} ${example}`).toEqual([]);
    }
  }
});

test('openapi - what changes something takes an Idempotency-Key, and what has versions an If-Match', () => {
  const headersOf = (method: string, path: string) =>
    ((paths[path]![method] as Operation).parameters ?? [])
      .filter((one) => (one as { in?: string }).in === 'header')
      .map(({ name }) => name);
  expect(headersOf('post', '/api/v1/silences')).toEqual(['Idempotency-Key']);
  for (const [method, path] of [
    ['patch', '/api/v1/devices/{id}'],
    ['patch', '/api/v1/keys/{id}'],
    ['patch', '/api/v1/users/{id}'],
    ['put', '/api/v1/rules/{id}'],
    ['post', '/api/v1/tickets/{id}/{action}'],
  ] as const)
    expect(headersOf(method, path), path).toEqual(['Idempotency-Key', 'If-Match']);
  expect(headersOf('get', '/api/v1/silences')).toEqual([]);
});

test('openapi - the recommended rules of Redocly have nothing to say of it', async () => {
  const document = (await (await api.fetch('/openapi.json', { key: null })).json()) as Parameters<
    typeof redoclyFaults
  >[0];
  expect(document).toMatchObject({ servers: [{ url: '/' }], info: { license: { identifier: 'Apache-2.0' } } });
  expect(redoclyFaults(document)).toEqual([]);
  // They would: each of these is a mistake of its own.
  const [path, methods] = Object.entries(document.paths)[0]!;
  const broken = {
    ...document,
    info: {},
    servers: [{ url: 'http://localhost/' }],
    tags: [{ name: 'x' }],
    paths: { ...document.paths, [`${path}/`]: { get: { ...methods.get, responses: { 302: {} } } } },
    components: {
      ...document.components,
      schemas: { ...document.components.schemas, Unused: { enum: [1], type: 'string' } },
    },
  };
  const rules = new Set(redoclyFaults(broken).map((fault) => fault.split(/[: ]/)[0]));
  expect([...rules].sort()).toEqual(
    [
      ...['info-license', 'info-license-strict', 'no-enum-type-mismatch', 'no-path-trailing-slash'],
      ...['no-server-example.com', 'no-server-trailing-slash', 'no-unused-components', 'operation-2xx-response'],
      ...['operation-4xx-response', 'operation-operationId-unique', 'tag-description'],
    ].sort(),
  );
});

test('openapi - every body of JSON has an example that fits, and no example is of another route', () => {
  const bodies = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const { requestBody } = operation as { requestBody?: { content?: Record<string, { example?: unknown }> } };
      const json = requestBody?.content?.['application/json'];
      return json === undefined ? [] : [[`${method} ${path}`, json.example] as const];
    }),
  );
  expect(bodies.filter(([, example]) => example === undefined).map(([route]) => route)).toEqual([]);
  expect(bodies.map(([route]) => route).sort()).toEqual(Object.keys(BODY_EXAMPLES).sort());
});

test('openapi - every route has a summary, a tag and its responses', () => {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { summary, tags, responses }] of Object.entries(methods)) {
      expect(summary, `${method} ${path}`).toMatch(/\w{3}/);
      expect(tags, `${method} ${path}`).toHaveLength(1);
      expect(Object.keys(responses ?? {}).length, `${method} ${path}`).toBeGreaterThan(0);
    }
  }
});

/** Routes that take no JSON body, and what they take. */
const WITHOUT_BODY_SCHEMA: Readonly<Record<string, readonly string[]>> = {
  'the payload of a device, journalled as it is': [
    'post /ingest/http/{format}',
    'post /ingest/sensor-community',
    'post /ingest/{device}',
  ],
  'a file of readings': ['post /api/v1/import'],
  'a form, checked against the city': [
    'post /open311/v2/requests.{format}',
    'post /open311/v2/servicerequestupdates.{format}',
  ],
  'no body': [
    'post /api/v1/city/reload',
    'post /api/v1/devices/{id}/confirm',
    'post /api/v1/devices/{id}/resume',
    'post /api/v1/devices/{id}/suspend',
    'post /api/v1/keys/{id}/confirm',
    'post /api/v1/subscriptions/{id}/deliveries/{delivery}/redeliver',
    'post /api/v1/subscriptions/{id}/disable',
    'post /api/v1/subscriptions/{id}/test',
    'post /api/v1/users/{id}/link',
    'post /api/v1/users/{id}/resume',
    'post /api/v1/users/{id}/suspend',
    'post /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver',
    'post /api/v1/webhooks/{id}/disable',
    'post /api/v1/webhooks/{id}/ping',
    'post /api/v1/webhooks/{id}/rotate',
    'post /auth/logout',
    'post /auth/totp',
    'post /public/follow/{secret}/confirm',
    'post /public/follow/{secret}/end',
  ],
};

test('openapi - every route that takes a body has a schema for it', () => {
  const writing = described().filter((route) => /^(post|put|patch) /.test(route));
  const unchecked = writing.filter((route) => {
    const [method, path] = route.split(' ') as [string, string];
    return !('requestBody' in paths[path]![method]!);
  });
  expect(writing.length).toBeGreaterThan(30);
  expect(unchecked.sort()).toEqual(Object.values(WITHOUT_BODY_SCHEMA).flat().sort());
});

test('openapi - every route that it lists exists', async () => {
  for (const route of described()) {
    const [method, path] = route.split(' ') as [string, string];
    const response = await api.fetch(path.replace('{format}', 'json').replace(/\{\w+\}/g, 'x'), {
      method: method.toUpperCase(),
    });
    expect(await response.text(), route).not.toContain('there is no POST');
    expect(response.status, route).toBeLessThan(504);
  }
});

test('openapi - responses leave as the stores return them, byte for byte', async () => {
  api.incidents(3);
  const text = async (path: string) => (await api.fetch(path)).text();
  const paging = { limit: 100, after: null };
  const { deps } = api;
  expect(await text('/api/v1/events')).toBe(JSON.stringify(deps.events.page(paging)));
  const tickets = deps.tickets
    .list(paging)
    .items.map((ticket) => ({ ...ticket, warnings: warningsOf(ticket, 1, undefined), silencedBy: [] }));
  expect(await text('/api/v1/tickets')).toBe(JSON.stringify({ items: tickets, next: null }));
  const alerts = deps.alerts.list(paging).items.map((alert) => ({ ...alert, waits: null }));
  expect(await text('/api/v1/alerts')).toBe(JSON.stringify({ items: alerts, next: null }));
  expect(await text('/api/v1/quarantine')).toBe(JSON.stringify(deps.quarantine.list(paging)));
  expect(await text('/api/v1/devices')).toBe(JSON.stringify(deps.devices.list(paging)));
  expect(await text('/api/v1/ledger')).toBe(JSON.stringify(await deps.ledger()));
  expect(await text('/api/v1/rules/r1')).toBe(JSON.stringify(deps.rules.get('r1')));
});

test('openapi - a response is a named schema or a list of one, with a few exceptions', async () => {
  const document = (await (await api.fetch('/openapi.json', { key: null })).json()) as { paths: typeof paths };
  const plain = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { responses }]) => {
        const { default: _, '4XX': __, ...own } = responses as Record<string, object>;
        return !JSON.stringify(own).includes('#/components/schemas/') && JSON.stringify(own).includes('content');
      })
      .map(([method]) => `${method} ${path}`),
  );
  expect(plain.sort()).toEqual([
    'get /health',
    'get /metrics',
    'get /open311/media/{name}',
    'get /public/readings.csv',
    'get /ready',
    'get /schemas/{name}.json',
    'post /api/v1/city/reload',
    'post /api/v1/quarantine/discard',
    'post /api/v1/webhooks/{id}/redeliver',
    'post /ingest/http/{format}',
    'post /ingest/sensor-community',
    'post /ingest/{device}',
  ]);
});

test('openapi - names the right that a route needs, and errors are problems', () => {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const { security, description, responses } = operation as typeof operation & {
        security?: object[];
        description?: string;
      };
      if (security === undefined)
        expect(description, `${method} ${path}`).toMatch(
          path.startsWith('/auth/') ? /^Needs any key/ : /^Needs the right `[a-z.]+`: .*admin\.$/,
        );
      else expect(security).toEqual([]);
      const errors = path.startsWith('/open311/') ? '#/components/schemas/Open311Errors' : 'application/problem+json';
      expect(JSON.stringify((responses as Record<string, object>).default)).toContain(errors);
    }
  }
});

test('schemas - each is served under its name without a key', async () => {
  for (const [name, schema] of Object.entries(JSON_SCHEMAS)) {
    const response = await api.fetch(`/schemas/${name}.json`, { key: null });
    expect(await response.json(), name).toEqual(schema);
    expect(schema.$id).toBe(`urn:lamppost:schema:1:${name}`);
  }
});

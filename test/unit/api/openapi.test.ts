import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JSON_SCHEMAS } from '../../../events/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

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

test('openapi - lists every route, and nothing else', () => {
  expect(written().length).toBeGreaterThan(20);
  const [ours, open311] = [false, true].map((is) => described().filter((route) => route.includes('/open311/') === is));
  expect(ours!.sort()).toEqual(written().sort());
  const geoReport = ['services', 'services/{code}', 'requests', 'requests/{id}', 'tokens/{token}', 'discovery'];
  const wanted = geoReport.map((path) => `get /open311/v2/${path}.{format}`);
  const others = ['get /open311/discovery.{format}', 'get /open311/media/{name}', 'post /open311/v2/requests.{format}'];
  expect(open311!.sort()).toEqual([...wanted, ...others].sort());
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
  'the payload of a device, journalled as it is': ['post /ingest/sensor-community', 'post /ingest/{device}'],
  'a form, checked against the city': ['post /open311/v2/requests.{format}'],
  'no body': [
    'post /api/v1/city/reload',
    'post /api/v1/devices/{id}/rotate',
    'post /api/v1/subscriptions/{id}/deliveries/{delivery}/redeliver',
    'post /api/v1/subscriptions/{id}/disable',
    'post /api/v1/subscriptions/{id}/test',
    'post /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver',
    'post /api/v1/webhooks/{id}/disable',
    'post /api/v1/webhooks/{id}/ping',
    'post /api/v1/webhooks/{id}/rotate',
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
  const tickets = deps.tickets.list(paging).items.map((ticket) => ({ ...ticket, silencedBy: [] }));
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
        const { default: _, ...own } = responses as Record<string, object>;
        return !JSON.stringify(own).includes('#/components/schemas/') && JSON.stringify(own).includes('content');
      })
      .map(([method]) => `${method} ${path}`),
  );
  expect(plain.sort()).toEqual([
    'get /health',
    'get /metrics',
    'get /open311/media/{name}',
    'get /ready',
    'get /schemas/{name}.json',
    'post /api/v1/city/reload',
    'post /api/v1/quarantine/discard',
    'post /api/v1/webhooks/{id}/redeliver',
    'post /ingest/sensor-community',
    'post /ingest/{device}',
  ]);
});

test('openapi - names the role that a route needs, and errors are problems', () => {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const { security, description, responses } = operation as typeof operation & {
        security?: object[];
        description?: string;
      };
      if (security === undefined)
        expect(description, `${method} ${path}`).toMatch(/key of role (viewer|operator|admin)/);
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

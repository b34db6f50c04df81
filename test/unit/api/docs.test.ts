import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

type Part = string | { readonly ref?: string; readonly note?: string };
const { shape } = (await import('../../../console/docs-shape.js' as string)) as { shape(schema: object): Part[] };
const text = (schema: object) =>
  shape(schema)
    .map((part) => (typeof part === 'string' ? part : (part.ref ?? part.note)))
    .join('');

interface Route {
  readonly path: string;
  readonly method: string;
  readonly operation: object;
}
interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}
const { requestOf, curlOf } = (await import('../../../console/docs-request.js' as string)) as {
  requestOf(route: Route, values: Readonly<Record<string, string>>, body: string): Request;
  curlOf(request: Request, origin: string, isOpen: boolean): string;
};

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

test('docs - a schema is shown in short notation', () => {
  const point = { type: 'array', prefixItems: [{ type: 'number' }, { type: ['number', 'null'] }] };
  const schema = {
    type: 'object',
    required: ['id', 'points'],
    properties: {
      id: { type: 'string', description: 'Its name' },
      points: { type: 'array', items: point },
      tags: { type: 'object', additionalProperties: { type: 'string' } },
      ticket: { anyOf: [{ $ref: '#/components/schemas/Ticket' }, { type: 'null' }] },
      states: { type: 'array', items: { enum: ['a', 'b'] } },
    },
  };
  expect(text(schema)).toBe(`{
  id: string  // Its name
  points: [number, number | null][]
  tags?: { [name]: string }
  ticket?: Ticket | null
  states?: ("a" | "b")[]
}`);
});

test('docs - every page and script is served without a key, and needs no other server', async () => {
  for (const path of [
    '/docs',
    '/docs.js',
    '/docs-shape.js',
    '/docs-request.js',
    '/docs-try.js',
    '/docs.css',
    '/style.css',
  ]) {
    const response = await api.fetch(path, { key: null });
    expect(response.status, path).toBe(200);
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(await response.text(), path).not.toMatch(/https?:\/\//);
  }
});

test('docs - every schema of both documents can be shown, and every name in it exists', async () => {
  const names = new Set<string>();
  const shown: Part[] = [];
  for (const path of ['/openapi.json', '/asyncapi.json']) {
    const { components } = (await (await api.fetch(path, { key: null })).json()) as { components: { schemas: object } };
    for (const [name, schema] of Object.entries(components.schemas)) {
      names.add(name);
      shown.push(...shape(schema));
    }
  }
  expect(names.size).toBeGreaterThan(40);
  for (const part of shown) {
    if (typeof part === 'string') expect(part).not.toContain('undefined');
    else if (part.ref !== undefined) expect(names).toContain(part.ref);
  }
});

test('docs - a request has the values of its form, and its curl command says the same to a shell', () => {
  const parameters = [
    { name: 'id', in: 'path' },
    { name: 'limit', in: 'query' },
    { name: 'q', in: 'query' },
  ];
  const requestBody = { content: { 'application/json': {} } };
  const route = { path: '/api/v1/things/{id}', method: 'post', operation: { parameters, requestBody } };
  const body = `{"note": "it's here"}`;
  const request = requestOf(route, { id: 'a/b', limit: '', q: 'x & y' }, body);
  expect(request).toEqual({
    ...{ method: 'POST', path: '/api/v1/things/a%2Fb?q=x+%26+y', body },
    headers: { 'content-type': 'application/json' },
  });
  const command = curlOf(request, 'http://city.example', false);
  const script = `curl() { printf '%s\\n' "$@"; }\n${command}`;
  const args = execFileSync('sh', ['-c', script], { env: { LAMPPOST_KEY: 'k' } })
    .toString()
    .trimEnd()
    .split('\n');
  expect(args).toEqual([
    ...['-X', 'POST', `http://city.example${request.path}`, '-H', 'Authorization: Bearer k'],
    ...['-H', 'content-type: application/json', '--data-binary', body],
  ]);
  expect(curlOf(requestOf({ ...route, method: 'get' }, { id: '1' }, ''), '', true)).toBe("curl '/api/v1/things/1'");
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

type Part = string | { readonly ref?: string; readonly note?: string };
const { shape } = (await import('../../../console/docs-shape.js' as string)) as { shape(schema: object): Part[] };
const text = (schema: object) =>
  shape(schema)
    .map((part) => (typeof part === 'string' ? part : (part.ref ?? part.note)))
    .join('');

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
  for (const path of ['/docs', '/docs.js', '/docs-shape.js', '/docs.css', '/style.css']) {
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

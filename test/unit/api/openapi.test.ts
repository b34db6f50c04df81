import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApi, type TestApi } from './api-kit.ts';

const ROUTES = fileURLToPath(new URL('../../../api/routes', import.meta.url));
let api: TestApi;
let paths: Record<string, Record<string, { summary?: string; tags?: string[]; responses?: object }>>;
beforeAll(async () => {
  api = await openApi();
  ({ paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as { paths: typeof paths });
});
afterAll(() => api.stop());

/** Every route that the sources add, `get /api/v1/devices/{id}`; those that say that they hide are left out. */
function written(): string[] {
  return readdirSync(ROUTES).flatMap((file) => {
    const source = readFileSync(`${ROUTES}/${file}`, 'utf8');
    const calls = source.matchAll(/\.(get|post|put|patch|delete)\(\s*'(\/[^']*)'([\s\S]*?)=>/g);
    return [...calls]
      .filter(([, , , rest]) => !rest!.includes('hide: true'))
      .map(([, method, path]) => `${method} ${path!.replace(/:(\w+)/g, '{$1}')}`);
  });
}

const described = () =>
  Object.entries(paths).flatMap(([path, all]) => Object.keys(all).map((method) => `${method} ${path}`));

test('openapi - lists every route that there is, and none that there is not', () => {
  expect(written().length).toBeGreaterThan(20);
  expect(described().sort()).toEqual(written().sort());
});

test('openapi - every route has a summary, a tag, and what it answers', () => {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { summary, tags, responses }] of Object.entries(methods)) {
      expect(summary, `${method} ${path}`).toMatch(/\w{3}/);
      expect(tags, `${method} ${path}`).toHaveLength(1);
      expect(Object.keys(responses ?? {}).length, `${method} ${path}`).toBeGreaterThan(0);
    }
  }
});

test('openapi - what it lists is there', async () => {
  for (const route of described()) {
    const [method, path] = route.split(' ') as [string, string];
    const answer = await api.fetch(path.replace(/\{\w+\}/g, 'x'), { method: method.toUpperCase() });
    expect(await answer.text(), route).not.toContain('there is no POST');
    expect(answer.status, route).toBeLessThan(504);
  }
});

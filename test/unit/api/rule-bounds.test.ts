import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

/** Sends a text as it is: what the tests send cannot be written out by JSON.stringify. */
async function post(path: string, body: string, type = 'application/json') {
  const response = await api.fetch(path, { method: 'POST', headers: { 'content-type': type }, body });
  return { status: response.status, text: await response.text() };
}

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const aliases = (n: number) => `id: r\ntitle: T\nx: &a 1\ny: [${Array.from({ length: n }, () => '*a')}]\n`;
const rule = 'id: r\ntitle: T\nwhen: { metric: a, last: true, above: 1 }\nseverity: low\n';
const trial = (fields: object) => JSON.stringify({ rule, device: 'd1', readings: [{ metrics: { a: 1 } }], ...fields });

describe('a rule over HTTP', () => {
  test('with thousands of aliases is refused where the hundred and first is', async () => {
    for (const n of [101, 1_000, 5_000]) {
      const tried = await post('/api/v1/rules/try', trial({ rule: aliases(n) }));
      expect([tried.status, tried.text]).toEqual([422, expect.stringContaining('more than 100 aliases')]);
      const created = await post('/api/v1/rules', aliases(n), 'application/yaml');
      expect([created.status, created.text]).toEqual([422, expect.stringContaining('"line":4')]);
    }
  });

  test.each([65, 1_000, 20_000])(
    'nested %i levels deep, as YAML, as JSON or in a message, is refused with a reason',
    async (n) => {
      const texts = [
        await post('/api/v1/rules', `id: r\nx: ${deep(n)}\n`, 'application/yaml'),
        await post('/api/v1/rules', `{"id":"r","when":${deep(n)}}`),
        await post('/api/v1/rules/try', `{"rule":{"id":"r","x":${deep(n)}},"device":"d1","readings":[{}]}`),
        await post('/api/v1/rules/try', `{"rule":"r","device":"d1","readings":[{"metrics":${deep(n)}}]}`),
        await post('/api/v1/rules/try', `{"rule":"r","device":"d1","message":{"topic":"t","payload":${deep(n)}}}`),
        await post('/api/v1/rules/backtest', `{"rule":{"id":"r","x":${deep(n)}}}`),
      ];
      for (const { status, text } of texts) {
        expect([400, 422]).toContain(status);
        expect(text).toMatch(/nested (deeper than 64 levels|more deeply than 64)/);
      }
    },
  );

  test('is tried on at most a thousand readings of a message', async () => {
    const of = (n: number) => JSON.stringify(Array.from({ length: n }, () => ({ metrics: { a: 1 } })));
    const message = (n: number) =>
      trial({ readings: undefined, message: { topic: 'devices/d1/readings', payload: of(n) } });
    expect((await post('/api/v1/rules/try', message(1_000))).status).toBe(200);
    const refused = await post('/api/v1/rules/try', message(1_001));
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('at most 1000 readings')]);
  });
});

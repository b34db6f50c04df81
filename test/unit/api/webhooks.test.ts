import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from '../../../domain/index.ts';
import type { DeliveryDetail, Webhook, WebhookDetail } from '../../../notify/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.stop());

async function ask<T>(method: string, path: string, body?: unknown, key?: string) {
  const response = await api.fetch(`/api/v1/webhooks${path}`, {
    method,
    ...(key === undefined ? {} : { key }),
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T & { detail: string } };
}
/** A name that leads to a private address. */
const url = 'https://localhost/hook';

test('webhooks - are created with defaults, and their secret is shown once', async () => {
  const made = await ask<Webhook & { secret: string }>('POST', '', { url, party: 'care' });
  expect(made).toMatchObject({
    status: 201,
    body: { url, format: 'cloudevents', filter: {}, concurrency: 4, enabled: true, waiting: 0, authorization: false },
  });
  expect(made.body.secret).toMatch(/^whsec_/);
  const { body: listed } = await ask<Page<Webhook>>('GET', '?party=care');
  expect(listed.items.map(({ id }) => id)).toEqual([made.body.id]);
  expect(JSON.stringify(listed)).not.toContain(made.body.secret);
});

test.each([
  [{ url: 'ftp://a.example/' }, 'body/url: must be an http or https URL'],
  [{ url: 'http://127.0.0.1:9/' }, 'url: 127.0.0.1 is a private address: name a public host, or start Lamppost with'],
  [{ url, filter: { departments: ['nobody'] } }, 'filter.departments: unknown department "nobody"'],
  [{ url, filter: { districts: ['eastt'] } }, 'filter.districts: unknown district "eastt": did you mean "east"?'],
  [
    { url, filter: { types: ['city.lamppost.nothing'] } },
    'body/filter/types/0: "city.lamppost.nothing" is not possible here',
  ],
  [{ url, filter: { colours: ['red'] } }, 'unknown field "colours"'],
  [{ url: 'https://user:secret@a.example/' }, 'body/url: must have no user and password'],
  [{ url, concurrency: 0 }, 'body/concurrency: must be at least 1'],
  [{ url, format: 'smoke' }, 'body/format: "smoke" is not possible here'],
  [{ url, party: 'cares' }, 'party: unknown party "cares": did you mean "care"?'],
  [{ url, party: 'a b' }, 'body/party: must be a department, contractor or community of the city'],
  [{ url, authorization: 'a\nb' }, 'body/authorization: must be printable ASCII'],
  [{}, 'body/url: must be an http or https URL'],
])('webhooks - %j is refused: %s', async (body, detail) => {
  const response = await ask('POST', '', body);
  expect(response.status).toBe(400);
  expect(response.body.detail).toContain(detail);
});

test('webhooks - an operator may not read or change them', async () => {
  for (const [method, path, body] of [
    ['GET', ''],
    ['POST', '', { url }],
    ['GET', '/x/deliveries'],
    ['POST', '/x/ping'],
  ] as const) {
    const { status, body: reply } = await ask(method, path, body, api.key('operator'));
    expect(status).toBe(403);
    expect(reply.detail).toMatch(/which these roles have: dispatcher,.* admin; yours is operator$/);
  }
});

test('webhooks - are changed, disabled, enabled, rotated and deleted', async () => {
  const { body } = await ask<Webhook & { secret: string }>('POST', '', { url });
  const changed = await ask<WebhookDetail>('PATCH', `/${body.id}`, { concurrency: 1, filter: { districts: ['east'] } });
  expect(changed).toMatchObject({ status: 200, body: { url, concurrency: 1, filter: { districts: ['east'] } } });
  expect((await ask<WebhookDetail>('POST', `/${body.id}/disable`)).body).toMatchObject({
    enabled: false,
    disabled: { reason: 'by-admin' },
  });
  expect((await ask<WebhookDetail>('POST', `/${body.id}/enable`, { missed: 'skip' })).body.enabled).toBe(true);
  const rotated = await ask<{ secret: string; secrets: object[] }>('POST', `/${body.id}/rotate`);
  expect(rotated.body.secrets).toHaveLength(2);
  expect(rotated.body.secret).not.toBe(body.secret);
  expect((await ask('DELETE', `/${body.id}`)).status).toBe(204);
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/ping'],
    ['POST', '/rotate'],
    ['GET', '/deliveries'],
    ['POST', '/deliveries/1/redeliver'],
  ] as const) {
    const response = await ask(method, `/${body.id}${path}`);
    expect([response.status, response.body.detail]).toEqual([404, `there is no webhook "${body.id}"`]);
  }
});

test('webhooks - a ping says why nothing arrived, and the deliveries of events are logged', async () => {
  const { body } = await ask<Webhook>('POST', '', { url });
  const ping = await ask<DeliveryDetail>('POST', `/${body.id}/ping`);
  expect(ping).toMatchObject({
    status: 200,
    body: {
      state: 'failed',
      outcome: 'private-address',
      tries: [{ status: null, response: expect.stringMatching(/^localhost resolves to .*(127\.0\.0\.1|::1)/) }],
    },
  });
  api.incidents(2);
  expect(await ask('POST', `/${body.id}/redeliver`, { from: 1, to: 2 })).toMatchObject({
    status: 202,
    body: { deliveries: 2 },
  });
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-01-02' };
  expect(await ask('POST', `/${body.id}/redeliver`, range)).toMatchObject({ status: 202, body: { deliveries: 6 } });
  expect((await ask('POST', `/${body.id}/redeliver`, { from: 'x', to: 'y' })).status).toBe(400);
  const { body: log } = await ask<Page<DeliveryDetail>>('GET', `/${body.id}/deliveries?limit=50`);
  expect(log.items.filter(({ origin }) => origin === 'redelivery')).toHaveLength(8);
  const one = await ask<DeliveryDetail>('GET', `/${body.id}/deliveries/${log.items[0]!.id}`);
  expect(one.body.request.contentType).toContain('application/cloudevents+json');
  const again = await ask<DeliveryDetail>('POST', `/${body.id}/deliveries/${log.items[0]!.id}/redeliver`);
  expect(again).toMatchObject({ status: 202, body: { origin: 'redelivery', events: one.body.events } });
  expect((await ask('GET', `/${body.id}/deliveries/x`)).status).toBe(404);
  await ask('DELETE', `/${body.id}`);
});

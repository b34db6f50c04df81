import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditEntry } from '../../../actions/index.ts';
import type { Page, Quarantined } from '../../../domain/index.ts';
import type { ReplayJob } from '../../../ingest/index.ts';
import type { DeliveryDetail, Subscription, Webhook, WebhookDetail } from '../../../notify/index.ts';
import type { ListedRule } from '../../../rules/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { until } from '../../kit/wait.ts';

let api: TestApi;
beforeAll(async () => {
  const smtp = { url: 'smtp://127.0.0.1:9', from: 'Lamppost <lamppost@city.example>' };
  api = await openApi({}, { smtp });
});
afterAll(() => api.stop());

/** A name that leads to a private address. */
const url = 'https://localhost/hook';
const yaml = 'id: full\ntitle: A\nwhen: { metric: a, last: true, above: 80 }\nseverity: low\n';

async function ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await api.fetch(`/api/v1${path}`, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    etag: response.headers.get('etag'),
    body: (text === '' ? null : JSON.parse(text)) as T & { detail: string; reason?: string },
  };
}
const named = (key: string) => ({ 'idempotency-key': key });
const trail = async (query: string) => (await ask<Page<AuditEntry>>('GET', `/audit?limit=200${query}`)).body.items;
const results = async (target: string) =>
  (await trail(`&target=${encodeURIComponent(target)}`)).map(({ action, result }) => [action, result]).toReversed();

test('records - a webhook that is asked for twice is one, with the secret of the first response', async () => {
  const wanted = { url, authorization: 'Bearer of-the-receiver' };
  const first = await ask<Webhook & { secret: string }>('POST', '/webhooks', wanted, named('w'));
  expect(first).toMatchObject({ status: 201, body: { authorization: true } });
  const again = await ask<Webhook & { secret: string }>('POST', '/webhooks', wanted, named('w'));
  expect(again).toEqual(first);
  const other = await ask('POST', '/webhooks', { ...wanted, url: `${url}/2` }, named('w'));
  expect(other.status).toBe(422);
  expect(await results(`webhook ${first.body.id}`)).toEqual([['webhook.add', 'done']]);
  expect((await trail('&action=webhook.add')).map(({ result }) => result)).toEqual(['mistakes', 'repeated', 'done']);
});

test('records - a silence from now on that is asked for twice, later, is one, and starts when it was decided', async () => {
  const endsAt = new Date(Date.now() + 86_400_000).toISOString();
  const wanted = { comment: 'works', matchers: { severity: 'low' }, endsAt };
  const first = await ask<{ startsAt: string; createdAt: string }>('POST', '/silences', wanted, named('silence'));
  expect(first.status).toBe(201);
  expect(first.body.startsAt).toBe(first.body.createdAt);
  await until(() => Date.now() > Date.parse(first.body.createdAt), 'a later moment');
  expect(await ask('POST', '/silences', wanted, named('silence'))).toEqual(first);
});

test('records - secrets, and what is sent as Authorization, are in no file in clear', async () => {
  const made = await ask<{ id: string; secret: string }>('POST', '/webhooks', {
    url,
    authorization: 'Bearer 8f2a-clear',
  });
  const { secret } = (await ask<{ secret: string }>('POST', `/webhooks/${made.body.id}/rotate`)).body;
  await ask('PATCH', `/webhooks/${made.body.id}`, { authorization: 'Bearer 9c1b-clear' });
  const files = readdirSync(api.dir).filter((name) => /sqlite/.test(name));
  expect(files).toContain('journal.sqlite');
  for (const name of files) {
    const bytes = readFileSync(join(api.dir, name));
    for (const clear of [made.body.secret, secret, 'Bearer 8f2a-clear', 'Bearer 9c1b-clear'])
      expect(bytes.includes(clear), `${clear} in ${name}`).toBe(false);
  }
});

test('records - what is set of a webhook is in the trail with its result; a refusal changes nothing', async () => {
  const { id } = (await ask<Webhook>('POST', '/webhooks', { url })).body;
  await ask('PATCH', `/webhooks/${id}`, { description: 'd' });
  await ask('POST', `/webhooks/${id}/disable`);
  await ask('POST', `/webhooks/${id}/enable`, { missed: 'skip' });
  const pings = [1, 2].map(() => ask<DeliveryDetail>('POST', `/webhooks/${id}/ping`, undefined, named('p')));
  const [first, again] = await Promise.all(pings);
  expect(again!.body.id).toBe(first!.body.id);
  expect((await ask<Page<unknown>>('GET', `/webhooks/${id}/deliveries`)).body.items).toHaveLength(1);
  const { log } = (await ask<WebhookDetail>('GET', `/webhooks/${id}`)).body;
  expect(log.map(({ note }) => note)).toEqual([
    'enabled; missed events are skipped',
    'disabled: an administrator disabled it',
    'changed: description',
    'created',
  ]);
  expect((await ask('DELETE', `/webhooks/${id}`)).status).toBe(204);
  expect((await ask('DELETE', `/webhooks/${id}`)).status).toBe(404);
  expect(await results(`webhook ${id}`)).toEqual([
    ['webhook.add', 'done'],
    ['webhook.change', 'done'],
    ['webhook.disable', 'done'],
    ['webhook.enable', 'done'],
    ['webhook.ping', 'done'],
    ['webhook.ping', 'repeated'],
    ['webhook.remove', 'done'],
    ['webhook.remove', 'not-found'],
  ]);
});

test('records - subscriptions by mail and over a webhook are actions, too', async () => {
  const { id: webhook } = (await ask<Webhook>('POST', '/webhooks', { url, filter: null })).body;
  const mail = { channel: 'email', to: 'duty@city.example', party: 'care' };
  const byMail = (await ask<Subscription>('POST', '/subscriptions', mail, named('s'))).body.id;
  expect((await ask<Subscription>('POST', '/subscriptions', mail, named('s'))).body.id).toBe(byMail);
  const over = (await ask<Subscription>('POST', '/subscriptions', { channel: 'webhook', webhook, party: 'care' })).body
    .id;
  expect((await ask('POST', `/subscriptions/${over}/disable`)).status).toBe(409);
  expect((await ask('PATCH', `/subscriptions/${byMail}`, { language: 'zh' })).body).toMatchObject({ language: 'zh' });
  expect((await ask('DELETE', `/webhooks/${webhook}`)).status).toBe(204);
  expect((await ask('GET', `/subscriptions/${over}`)).status).toBe(404);
  expect(await results(`subscription ${over}`)).toEqual([
    ['subscription.add', 'done'],
    ['subscription.disable', 'conflict'],
  ]);
  expect(await results(`subscription ${byMail}`)).toEqual([
    ['subscription.add', 'done'],
    ['subscription.change', 'done'],
  ]);
});

test('records - a rule that is asked for twice has one version; If-Match is decided in the order of the log', async () => {
  const first = await ask<ListedRule>('POST', '/rules', { text: yaml }, named('r'));
  expect(first).toMatchObject({ status: 201, body: { number: 1, inForce: true, origin: 'api:admin' } });
  expect(await ask('POST', '/rules', { text: yaml }, named('r'))).toEqual(first);
  expect((await ask('POST', '/rules', { text: yaml })).body).toMatchObject({ status: 409, reason: 'rule-exists' });
  const changes = [81, 82].map((above) =>
    ask<ListedRule>('PUT', '/rules/full', { text: yaml.replace('80', String(above)) }, { 'if-match': first.etag! }),
  );
  const [won, lost] = await Promise.all(changes);
  expect(won).toMatchObject({ status: 200, body: { number: 2 } });
  expect(lost).toMatchObject({ status: 412, body: { reason: 'rule-changed' } });
  expect((await ask('DELETE', '/rules/full', undefined, named('d'))).status).toBe(204);
  expect((await ask('DELETE', '/rules/full', undefined, named('d'))).status).toBe(204);
  expect((await ask<Page<object>>('GET', '/rules/full/history')).body.items).toHaveLength(3);
  expect(await results('rule full')).toEqual([
    ['rule.create', 'done'],
    ['rule.change', 'done'],
    ['rule.change', 'rule-changed'],
    ['rule.remove', 'done'],
    ['rule.remove', 'repeated'],
  ]);
});

test('records - discards and replays of refused messages are actions; a repeated one is the first', async () => {
  const { items } = (await ask<Page<Quarantined>>('GET', '/quarantine?limit=2')).body;
  const wanted = { ids: [...items.map(({ id }) => id), '99999-0', 'nonsense'], note: 'a test' };
  for (let i = 0; i < 2; i++)
    expect((await ask('POST', '/quarantine/discard', wanted, named('q'))).body).toEqual({ discarded: 2 });
  expect((await ask('POST', '/quarantine/discard', wanted)).body).toEqual({ discarded: 0 });
  const [shown] = (await ask<Page<Quarantined>>('GET', '/quarantine?limit=1&discarded=true')).body.items;
  expect(shown!.discarded).toMatchObject({ by: 'admin', note: 'a test' });
  const replay = () => ask<ReplayJob>('POST', '/quarantine/replay', { device: 'd2' }, named('replay'));
  const job = await replay();
  // While it runs, too.
  expect((await replay()).body.id).toBe(job.body.id);
  expect(job.status).toBe(202);
  await expect
    .poll(async () => (await ask<ReplayJob>('GET', `/quarantine/replays/${job.body.id}`)).body.state)
    .toBe('done');
  expect((await replay()).body.id).toBe(job.body.id);
  const quarantine = (await trail('')).filter(({ action }) => action.startsWith('quarantine.'));
  expect(quarantine.map(({ action, result }) => [action, result]).toReversed()).toEqual([
    ['quarantine.discard', 'done'],
    ['quarantine.discard', 'repeated'],
    ['quarantine.discard', 'done'],
    ['quarantine.replay', 'done'],
    ['quarantine.replay', 'repeated'],
    ['quarantine.replay', 'repeated'],
  ]);
});

test('records - nothing of this is noted before it is done', async () => {
  const noted = await trail('&result=requested');
  expect(noted.map(({ action }) => action)).toEqual([]);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from '../../domain/index.ts';
import type { Delivery, DeliveryDetail, Webhook, WebhookDetail } from '../../notify/index.ts';
import { freePort } from '../kit/ports.ts';
import { type Arrival, cloudEventOf, WebhookReceiver } from '../kit/receiver.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';

const DOC = fileURLToPath(new URL('../../docs/webhooks.md', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
type Made = Webhook & { secret: string };

const server = new RulesServer({ 'bin-full': full('bin-full', 90, 'ticket: { service: waste }\n') });
const receiver = new WebhookReceiver();
let url: string;
beforeAll(async () => {
  server.settings.WEBHOOK_ALLOW_PRIVATE = 'true';
  url = await receiver.start();
  await server.start();
  await server.bins(['bin-1', 'bin-2', 'bin-3', 'bin-4']);
});
afterAll(async () => {
  receiver.stop();
  expect(await server.stop()).toBe(0);
});

/** Repeats a request until its response is right. */
async function untilRight<T>(ask: () => Promise<T>, isRight: (response: T) => boolean): Promise<T> {
  let last = '';
  const look = async () => {
    const response = await ask();
    last = JSON.stringify(response);
    return isRight(response) ? { response } : null;
  };
  return (await until(look, () => `another response than ${last}`, 50)).response;
}

test('webhooks - the receiver of the documentation verifies a ping and an incident, also after a rotation of the secret', async () => {
  const port = await freePort();
  const example = /```js\n([\s\S]*?)```/.exec(readFileSync(DOC, 'utf8'))![1]!.replace('9000', String(port));
  const made = await server.post<Made>('/api/v1/webhooks', { url: `http://127.0.0.1:${port}/` });
  const child = spawn(process.execPath, ['--input-type=module', '-e', example], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, WEBHOOK_SECRET: made.secret },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ping = () => server.ask<DeliveryDetail>('POST', `/api/v1/webhooks/${made.id}/ping`);
  const { body } = await untilRight(ping, (response) => response.body.state === 'delivered');
  expect(body).toMatchObject({ state: 'delivered', tries: [{ status: 204 }] });
  await server.ask('POST', `/api/v1/webhooks/${made.id}/rotate`);
  await server.fill('bin-1', 95);
  await untilRight(
    async () => output,
    (text) => text.includes('ticket.opened'),
  );
  expect(output).toContain(`city.lamppost.ping webhooks/${made.id}`);
  expect(output).toContain('city.lamppost.alert.firing alerts/bin-full/bin-1');
  expect(output).toMatch(/city\.lamppost\.ticket\.opened tickets\/t-\d+-\d+/);
  child.kill();
  await once(child, 'exit');
});

test('webhooks - a receiver that responds with 410 is disabled, stays so over kill -9, and gets missed events when it is enabled', async () => {
  const made = await server.post<Made>('/api/v1/webhooks', { url });
  receiver.secrets = [made.secret];
  receiver.respond = () => 410;
  const look = () => server.get<WebhookDetail>(`/api/v1/webhooks/${made.id}`);
  await server.fill('bin-2', 95);
  expect(await untilRight(look, ({ enabled }) => !enabled)).toMatchObject({ disabled: { reason: 'gone' } });
  await server.kill();
  await server.start();
  await server.fill('bin-2', 10);
  expect(await look()).toMatchObject({ enabled: false, log: [{ note: expect.stringContaining('410') }, {}] });
  receiver.arrivals.length = 0;
  receiver.respond = () => 200;
  await server.ask('POST', `/api/v1/webhooks/${made.id}/enable`);
  await untilRight(
    async () => receiver.arrivals,
    ({ length }) => length >= 4,
  );
  expect(await untilRight(look, ({ waiting }) => waiting === 0)).toMatchObject({ enabled: true, failingSince: null });
  const types = receiver.arrivals.map(({ body }) => (JSON.parse(body) as { type: string }).type.slice(14)).sort();
  expect(types).toEqual(['alert.firing', 'alert.resolved', 'ticket.opened', 'ticket.resolved']);
  await server.ask('DELETE', `/api/v1/webhooks/${made.id}`);
});

test('webhooks - a city folder that is read again applies from the next message on', async () => {
  const made = await server.post<Made>('/api/v1/webhooks', { url, format: 'cap', filter: { severities: ['medium'] } });
  receiver.secrets = [made.secret];
  receiver.respond = () => 200;
  receiver.arrivals.length = 0;
  const alerts = () =>
    untilRight(
      async () => receiver.arrivals.splice(0),
      (arrivals) => arrivals.length > 0,
    );
  await server.fill('bin-4', 95);
  expect((await alerts())[0]!.body).toContain('<senderName>Linjiang</senderName>');
  server.write('city.yaml', readFileSync(join(server.city, 'city.yaml'), 'utf8').replace('Linjiang', 'New Linjiang'));
  expect(await server.ask('POST', '/api/v1/city/reload')).toMatchObject({ body: { changed: true } });
  await server.fill('bin-4', 10);
  const [{ body, contentType }] = (await alerts()) as [Arrival];
  expect(contentType).toContain('application/cap+xml');
  expect(body).toContain('<senderName>New Linjiang</senderName>');
  expect(body).toContain('<msgType>Cancel</msgType>');
  expect(body).toContain('<event>Full waste bin</event>');
  await server.ask('DELETE', `/api/v1/webhooks/${made.id}`);
});

test('webhooks - CloudEvents in binary mode are the same events as structured ones, and both are verified', async () => {
  const formats = ['cloudevents', 'cloudevents-binary'] as const;
  const made = await Promise.all(formats.map((format) => server.post<Made>('/api/v1/webhooks', { url, format })));
  receiver.secrets = made.map(({ secret }) => secret);
  receiver.respond = () => 200;
  receiver.arrivals.length = 0;
  receiver.bad.length = 0;
  await server.fill('bin-4', 95);
  const arrivals = await untilRight(
    async () => receiver.arrivals,
    ({ length }) => length >= 4,
  );
  const [whole, parted] = [true, false].map((isWhole) =>
    arrivals.filter(({ contentType }) => contentType.startsWith('application/cloudevents+json') === isWhole),
  ) as [Arrival[], Arrival[]];
  const byId = (a: { id?: unknown }, b: { id?: unknown }) => (String(a.id) < String(b.id) ? -1 : 1);
  expect(parted.map(({ contentType }) => contentType)).toEqual(['application/json', 'application/json']);
  expect(parted.map(cloudEventOf).sort(byId)).toEqual(
    whole.map(({ body }) => JSON.parse(body) as { id: string }).sort(byId),
  );
  expect(receiver.bad).toEqual([]);
  for (const { id } of made) await server.ask('DELETE', `/api/v1/webhooks/${id}`);
});

test('webhooks - private addresses are refused by default, literals at once, names at the connection', async () => {
  server.settings.WEBHOOK_ALLOW_PRIVATE = 'false';
  await server.stop();
  await server.start();
  expect(await server.ask('POST', '/api/v1/webhooks', { url })).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining('127.0.0.1 is a private address') },
  });
  const before = receiver.arrivals.length;
  const { id } = await server.post<Made>('/api/v1/webhooks', { url: url.replace('127.0.0.1', 'localhost') });
  await server.fill('bin-3', 95);
  const { items } = await untilRight(
    () => server.get<Page<Delivery>>(`/api/v1/webhooks/${id}/deliveries`),
    (page) => page.items.length === 2 && page.items.every(({ outcome }) => outcome !== null),
  );
  expect(items.map(({ outcome }) => outcome)).toEqual(['private-address', 'private-address']);
  const { tries } = await server.get<DeliveryDetail>(`/api/v1/webhooks/${id}/deliveries/${items[0]!.id}`);
  expect(tries[0]!.response).toMatch(/^localhost resolves to .*(127\.0\.0\.1|::1)/);
  expect(receiver.arrivals.length).toBe(before);
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from '../../../domain/index.ts';
import type { DeliveryDetail, Subscription, Webhook } from '../../../notify/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { Mailbox } from '../../kit/mailbox.ts';

const mailbox = new Mailbox();
let api: TestApi;
let url: string;
beforeAll(async () => {
  url = await mailbox.start();
  api = await openApi({}, { smtp: { url, from: 'lamppost@city.example' } });
});
afterAll(async () => {
  await api.stop();
  await mailbox.stop();
});

async function ask<T>(method: string, path: string, body?: unknown) {
  const response = await api.fetch(`/api/v1/${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T & { detail: string } };
}
const mail = { channel: 'email', to: 'duty@city.example', party: 'care' };

test('subscriptions - by mail are created with defaults, changed and deleted', async () => {
  const { status, body } = await ask<Subscription>('POST', 'subscriptions', mail);
  expect({ status, body }).toMatchObject({
    status: 201,
    body: {
      ...mail,
      filter: {},
      language: 'both',
      digest: null,
      quietHours: null,
      critical: 'at-once',
      enabled: true,
      held: 0,
    },
  });
  const path = `subscriptions/${body.id}`;
  const changes = { digest: { daily: '07:30' }, quietHours: { from: '22:00', to: '07:00' }, language: 'zh' };
  expect(await ask('PATCH', path, changes)).toMatchObject({ status: 200, body: { ...changes, to: mail.to } });
  expect((await ask<Subscription>('POST', `${path}/disable`)).body).toMatchObject({ enabled: false });
  expect((await ask<Subscription>('POST', `${path}/enable`)).body).toMatchObject({ enabled: true });
  expect(await ask('GET', 'subscriptions?party=care')).toMatchObject({
    body: { items: [{ id: body.id }], next: null },
  });
  expect((await ask('DELETE', path)).status).toBe(204);
  expect(await ask('GET', path)).toMatchObject({
    status: 404,
    body: { detail: `there is no subscription "${body.id}"` },
  });
});

test.each([
  [{ ...mail, to: 'nobody' }, 'body/to: must be an e-mail address'],
  [{ ...mail, to: 'a@b.example\r\nBcc: x@y.example' }, 'body/to: must be an e-mail address'],
  [{ ...mail, party: undefined }, 'body/party'],
  [{ ...mail, party: 'nobody' }, 'party: unknown party "nobody"'],
  [{ ...mail, digest: { every: '1s' } }, 'must be a duration from 10s to 7d, such as "15m"'],
  [{ ...mail, digest: { daily: '24:00' } }, 'must be a time of day, such as "07:30"'],
  [{ ...mail, quietHours: { from: '07:00', to: '07:00' } }, 'from and to must differ'],
  [{ ...mail, quietHours: { outside: 'never' } }, 'quietHours.outside: unknown calendar "never"'],
  [{ ...mail, language: 'fr' }, 'body/language: "fr" is not possible here'],
  [{ ...mail, filter: { departments: ['x'] } }, 'filter.departments: unknown department "x"'],
  [{ ...mail, channel: 'pigeon' }, 'body/channel: Invalid'],
  [{ channel: 'webhook', webhook: 'wh-x', party: 'care' }, 'webhook: there is no webhook "wh-x"'],
  [{ channel: 'webhook', webhook: 'wh-x', party: 'care', digest: null }, 'unknown field "digest"'],
])('subscriptions - %j is refused: %s', async (body, detail) => {
  const response = await ask('POST', 'subscriptions', body);
  expect(response.status).toBe(400);
  expect(response.body.detail).toContain(detail);
});

test('subscriptions - a test mail arrives, and is in the log with what was sent and the response', async () => {
  const { body } = await ask<Subscription>('POST', 'subscriptions', mail);
  const test = await ask<DeliveryDetail>('POST', `subscriptions/${body.id}/test`);
  expect(test).toMatchObject({ status: 200, body: { state: 'delivered', tries: [{ status: 250 }] } });
  expect(mailbox.mails.at(-1)).toMatchObject({ to: [mail.to] });
  const log = await ask<Page<DeliveryDetail>>('GET', `subscriptions/${body.id}/deliveries`);
  expect(log.body.items).toMatchObject([{ id: test.body.id, origin: 'ping' }]);
  const one = await ask<DeliveryDetail>('GET', `subscriptions/${body.id}/deliveries/${test.body.id}`);
  expect(JSON.parse(one.body.request.body)).toMatchObject({ subject: expect.stringContaining('测试邮件') });
  const again = await ask('POST', `subscriptions/${body.id}/deliveries/${test.body.id}/redeliver`);
  expect(again).toMatchObject({ status: 409, body: { detail: expect.stringContaining('not redelivered') } });
});

test('subscriptions - over a webhook have their own settings, and refer to the webhook for the rest', async () => {
  const { body: webhook } = await ask<Webhook>('POST', 'webhooks', { url: 'https://localhost/', filter: null });
  const { status, body } = await ask<Subscription>('POST', 'subscriptions', {
    channel: 'webhook',
    webhook: webhook.id,
    party: 'person:li-wei',
    filter: { severities: ['critical'] },
  });
  expect({ status, body }).toMatchObject({
    status: 201,
    body: { channel: 'webhook', filter: { severities: ['critical'] } },
  });
  const path = `subscriptions/${body.id}`;
  expect(await ask('PATCH', path, { language: 'en' })).toMatchObject({ status: 400 });
  expect(await ask('PATCH', path, { filter: {} })).toMatchObject({ status: 200, body: { filter: {} } });
  expect(await ask('POST', `${path}/test`)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining(`use webhook "${webhook.id}"`) },
  });
  expect((await ask('DELETE', path)).status).toBe(204);
});

test('subscriptions - by mail are refused where no mail server is set', async () => {
  const bare = await openApi();
  const response = await bare.fetch('/api/v1/subscriptions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(mail),
  });
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain('SMTP_URL and SMTP_FROM');
  await bare.stop();
});

import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { newWebhookSecret, signatureHeaders } from '../../../notify/webhook.ts';

const message = { id: '12.0-alert', atMs: Date.now(), body: '{"text":"临江市 ✓"}' };

test('webhooks - the standardwebhooks package verifies a signature', () => {
  const secret = newWebhookSecret();
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const headers = signatureHeaders(message, [secret]);
  expect(new Webhook(secret).verify(message.body, headers)).toEqual({ text: '临江市 ✓' });
});

test('webhooks - during a rotation each of the two secrets verifies, and a third does not', () => {
  const secrets = [newWebhookSecret(), newWebhookSecret()];
  const headers = signatureHeaders(message, secrets);
  expect(headers['webhook-signature']!.split(' ')).toHaveLength(2);
  for (const secret of secrets) expect(new Webhook(secret).verify(message.body, headers)).toBeTruthy();
  expect(() => new Webhook(newWebhookSecret()).verify(message.body, headers)).toThrow('No matching signature');
});

test('webhooks - another body, id or time does not verify', () => {
  const secret = newWebhookSecret();
  const headers = signatureHeaders(message, [secret]);
  const verify = (body: string, changed: object) => () => new Webhook(secret).verify(body, { ...headers, ...changed });
  const later = String(Number(headers['webhook-timestamp']) + 1);
  expect(verify(message.body, {})).not.toThrow();
  expect(verify('{}', {})).toThrow();
  expect(verify(message.body, { 'webhook-id': 'other' })).toThrow();
  expect(verify(message.body, { 'webhook-timestamp': later })).toThrow();
});

import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../domain/index.ts';
import { createMailer } from '../../../notify/index.ts';
import { Mailbox } from '../../kit/mailbox.ts';
import { freePort } from '../../kit/ports.ts';

const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

async function open(options?: ConstructorParameters<typeof Mailbox>[0]) {
  const mailbox = new Mailbox(options);
  const url = await mailbox.start();
  closings.push(() => mailbox.stop());
  return { mailbox, url };
}

const ENVELOPE = {
  to: 'duty@city.example',
  mail: { subject: '[临江市] 工单 / Ticket', text: '你好\nhello', html: '<p>你好</p>' },
  messageId: 't-1.sub@lamppost.example',
  thread: 'thread.sub@lamppost.example',
  events: Array.from({ length: 30 }, (_, i) => `${i}.0-alert`),
};

function send(
  url: string,
  {
    signal = new AbortController().signal,
    timeoutMs = 5_000,
    ...more
  }: Partial<typeof ENVELOPE> & { signal?: AbortSignal; timeoutMs?: number } = {},
) {
  const mailer = createMailer(
    { clock: systemClock },
    { url, from: 'Lamppost 路灯 <lamppost@city.example>', timeoutMs },
  );
  closings.push(() => mailer.stop());
  return mailer.send({ ...ENVELOPE, ...more }, signal);
}

test('SMTP - a mail arrives with both languages, its ids and its thread', async () => {
  const { mailbox, url } = await open();
  expect(await send(url)).toMatchObject({ outcome: 'delivered', status: 250 });
  const [{ to, headers, raw, events }] = mailbox.mails as [(typeof mailbox.mails)[0]];
  expect(to).toEqual(['duty@city.example']);
  expect(headers).toMatchObject({
    'message-id': '<t-1.sub@lamppost.example>',
    references: '<thread.sub@lamppost.example>',
    'in-reply-to': '<thread.sub@lamppost.example>',
    'auto-submitted': 'auto-generated',
    to: 'duty@city.example',
  });
  expect(headers.subject).toMatch(/^=\?UTF-8\?/i);
  expect(headers['content-type']).toContain('multipart/alternative');
  expect(raw).toContain('text/plain; charset=utf-8');
  expect(raw).toContain('text/html; charset=utf-8');
  expect(events).toEqual(ENVELOPE.events);
});

test('SMTP - an address that is refused permanently is rejected, with the reply of the server', async () => {
  const { mailbox, url } = await open();
  mailbox.welcome = () => ({ code: 550, text: 'no such mailbox' });
  expect(await send(url)).toMatchObject({
    outcome: 'rejected',
    status: 550,
    text: expect.stringContaining('no such mailbox'),
  });
});

test('SMTP - an address that is refused temporarily is deferred', async () => {
  const { mailbox, url } = await open();
  mailbox.welcome = () => ({ code: 450, text: 'greylisted' });
  expect(await send(url)).toMatchObject({
    outcome: 'deferred',
    status: 450,
    text: expect.stringContaining('greylisted'),
  });
});

test('SMTP - after a refused login mail waits until the setting is fixed', async () => {
  const { url } = await open({
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: (_auth, _session, callback) => callback(new Error('wrong password')),
  });
  const login = url.replace('smtp://', 'smtp://user:wrong@');
  expect(await send(login)).toMatchObject({ outcome: 'unavailable', status: 535 });
});

test('SMTP - a closed port is unreachable', async () => {
  const result = await send(`smtp://127.0.0.1:${await freePort()}`);
  expect(result).toMatchObject({ outcome: 'unreachable', status: null, text: expect.stringContaining('ECONNREFUSED') });
});

test('SMTP - a server that never greets times out', async () => {
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  closings.push(() => silent.close());
  const { port } = silent.address() as { port: number };
  expect(await send(`smtp://127.0.0.1:${port}`, { timeoutMs: 100 })).toMatchObject({ outcome: 'timed-out' });
});

test('SMTP - an aborted mail throws', async () => {
  const { mailbox, url } = await open();
  const aborted = new AbortController();
  mailbox.beforeAnswer = async () => aborted.abort(new Error('the server stops'));
  await expect(send(url, { signal: aborted.signal })).rejects.toThrow('the server stops');
  expect(mailbox.mails).toHaveLength(1);
});

test('SMTP - line breaks in an address or a subject add no header', async () => {
  const { mailbox, url } = await open();
  const mail = { ...ENVELOPE.mail, subject: 'a\r\nBcc: other@city.example' };
  await send(url, { mail });
  expect(mailbox.mails[0]!.headers).not.toHaveProperty('bcc');
  expect(mailbox.mails[0]!.to).toEqual(['duty@city.example']);
});

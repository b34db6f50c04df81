import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RequestPage } from '../../../citizens/index.ts';
import { newWebhookSecret } from '../../../notify/index.ts';
import { EAST, encoded, type Open311, openOpen311 } from '../../kit/api/open311.ts';
import { Mailbox } from '../../kit/mailbox.ts';
import { WebhookReceiver } from '../../kit/receiver.ts';
import { until } from '../../kit/wait.ts';

const HOUR_MS = 3_600_000;
const mailbox = new Mailbox();
const gateway = new WebhookReceiver();
let server: Open311;
beforeAll(async () => {
  const secret = newWebhookSecret();
  gateway.secrets = [secret];
  gateway.anyTime = true;
  const smtp = { url: await mailbox.start(), from: 'city@example.org' };
  const sms = { url: await gateway.start(), secret };
  server = await openOpen311({}, undefined, {}, { smtp, sms });
});
afterAll(async () => {
  await server.stop();
  await mailbox.stop();
  gateway.stop();
});

let places = 0;
async function report(fields: Record<string, string> = {}) {
  const place = { lat: '0.8', long: String(0.001 + 0.002 * places++) };
  const { service_request_id: id, reporter_token: token } = (
    await server.post({ service_code: 'flood', ...place, description: 'water', ...fields })
  ).body[0]!;
  return { id, token };
}

async function ask<T = RequestPage>(method: string, path: string, body?: unknown, accept = 'application/json') {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await server.api.fetch(path, { method, key: null, headers: { accept, ...type }, ...json });
  const text = await response.text();
  return { status: response.status, body: (accept === 'application/json' ? JSON.parse(text) : text) as T };
}
const page = async (token: string) => (await ask('GET', `/public/requests/${token}`)).body;
const say = (token: string, what: string, body?: unknown) => ask('POST', `/public/requests/${token}/${what}`, body);
const actions = ({ updates }: RequestPage) => updates.map(({ action }) => action);

test('a request has a page by its link: what its citizen wrote, and what became of it', async () => {
  const { id, token } = await report({ description: 'the cellar is full', media_url: 'https://x.example/1.jpg' });
  await server.act(id, 'acknowledge', 'inner note');
  expect(await page(token)).toMatchObject({
    ...{ id, status: 'acknowledged', isOpen: true, description: 'the cellar is full', sameAs: null },
    ...{ media: ['https://x.example/1.jpg'], canRate: false, notFixedUntil: null, follow: ['email', 'sms'] },
    updates: [{ action: 'opened' }, { action: 'acknowledged', text: null }],
  });
  expect((await ask('GET', '/public/requests/unknown')).status).toBe(404);
});

test('a browser gets the page of the console, which search engines leave out', async () => {
  const { token } = await report({ description: '<b>cellar</b>' });
  const response = await server.api.fetch(`/public/requests/${token}`, { key: null, headers: { accept: 'text/html' } });
  expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
  expect(response.headers.get('x-robots-tag')).toBe('noindex');
  const text = await response.text();
  expect(text).toContain('id="root"');
  // What the citizen wrote is fetched by the page.
  expect(text).not.toContain('cellar');
});

test('a comment reaches the department with its words, and the log and its events without them', async () => {
  const { id, token } = await report();
  const said = await say(token, 'comment', { text: 'zephyrquill: it rises' });
  expect(said.body.updates.at(-1)).toMatchObject({ action: 'wrote', text: 'zephyrquill: it rises' });
  const ticket = (await (await server.api.fetch(`/api/v1/tickets/${id}`)).json()) as { history: object[] };
  expect(ticket.history.at(-1)).toMatchObject({ action: 'wrote', by: 'reporter', note: 'zephyrquill: it rises' });
  const history = await (await server.api.fetch(`/api/v1/tickets/${id}/history`)).text();
  expect(history).toContain('zephyrquill');
  const events = await (await server.api.fetch(`/api/v1/events?ticket=${id}`)).text();
  expect(events).toContain('city.lamppost.ticket.wrote');
  for (const file of ['state.sqlite', 'state.sqlite-wal', 'journal.sqlite', 'journal.sqlite-wal'])
    expect(readFileSync(join(server.api.dir, file)).includes('zephyrquill'), file).toBe(false);
  expect((await server.api.fetch(`/api/v1/tickets/${id}/reporter`, { method: 'DELETE' })).status).toBe(204);
  expect(readFileSync(join(server.api.dir, 'reporters.sqlite')).includes('zephyrquill')).toBe(false);
  expect((await page(token)).updates.at(-1)!.text).toContain('已应市民要求删除');
});

test('the department replies in public words, which every citizen who reported the same reads; its other notes stay inside', async () => {
  const place = { lat: '0.7', long: '0.9' };
  const [first, second] = [await report(place), await report(place)];
  expect((await page(second.token)).sameAs).toBe(first.id);
  await server.act(first.id, 'comment', 'the pump is broken', false);
  await server.act(first.id, 'comment', 'the pumps come at noon', true);
  await say(second.token, 'comment', { text: 'mine is worse' });
  for (const { token } of [first, second]) {
    const { updates } = await page(token);
    expect(updates).toContainEqual(expect.objectContaining({ action: 'replied', text: 'the pumps come at noon' }));
    expect(JSON.stringify(updates)).not.toContain('broken');
  }
  expect(JSON.stringify(await page(first.token))).not.toContain('mine is worse');
  expect(await (await server.api.fetch(`/api/v1/tickets/${first.id}`)).text()).toContain('mine is worse');
  await server.act(first.id, 'resolve', 'pumped dry');
  expect((await page(second.token)).updates.at(-1)).toMatchObject({ action: 'resolved', text: 'pumped dry' });
});

test('whoever reported the same sees that it was seen and begun, and the words with which it ended each time', async () => {
  const place = { lat: '0.65', long: '0.9' };
  const [first, second] = [await report(place), await report(place)];
  await server.act(first.id, 'acknowledge');
  await server.act(first.id, 'start');
  expect((await page(second.token)).status).toBe('in_progress');
  await server.act(first.id, 'resolve', 'pumped dry');
  server.clock.nowMs += 1_000;
  await server.act(first.id, 'reopen');
  server.clock.nowMs += 1_000;
  await server.act(first.id, 'resolve', 'a new pump');
  const { updates } = await page(second.token);
  expect(updates.map(({ action, text }) => [action, text])).toEqual([
    ['opened', null],
    ['acknowledged', null],
    ['started', null],
    ['resolved', 'pumped dry'],
    ['reopened', null],
    ['resolved', 'a new pump'],
  ]);
});

test('"not fixed" opens a request again within the time of its service, and what it repeats with it', async () => {
  const place = { lat: '0.6', long: '0.9' };
  const [first, second] = [await report(place), await report(place)];
  expect((await say(second.token, 'not-fixed')).status).toBe(409);
  await server.act(first.id, 'resolve', 'done');
  expect((await page(second.token)).notFixedUntil).not.toBeNull();
  const said = await say(second.token, 'not-fixed', { text: 'still wet' });
  expect(said.body).toMatchObject({ id: second.id, isOpen: true, notFixedUntil: null });
  expect(actions(said.body).slice(-3)).toEqual(['resolved', 'wrote', 'reopened']);
  expect((await page(first.token)).isOpen).toBe(true);
  await server.act(first.id, 'resolve', 'done now');
  server.clock.nowMs += 14 * 24 * HOUR_MS + 1_000;
  expect((await page(first.token)).notFixedUntil).toBeNull();
  const late = await ask<{ reason: string }>('POST', `/public/requests/${first.token}/not-fixed`, {});
  expect(late).toMatchObject({ status: 409, body: { reason: 'too-late' } });
});

test('"not fixed" of a report leaves the work on what it repeats alone, where that goes on', async () => {
  const place = { lat: '0.55', long: '0.9' };
  const [first, second] = [await report(place), await report(place)];
  await server.act(first.id, 'acknowledge');
  await server.act(second.id, 'resolve', 'a second one');
  const said = await say(second.token, 'not-fixed', {});
  expect(said.body).toMatchObject({ id: second.id, status: 'open', notFixedUntil: null });
  expect((await page(first.token)).status).toBe('acknowledged');
  expect((await say(second.token, 'not-fixed', {})).status).toBe(409);
  await server.act(first.id, 'resolve', 'done');
  expect((await page(second.token)).status).toBe('resolved');
});

test('a closed request is rated once by its link', async () => {
  const { id, token } = await report();
  expect((await say(token, 'rate', { stars: 5 })).status).toBe(409);
  await server.act(id, 'resolve');
  await server.act(id, 'close');
  expect((await page(token)).canRate).toBe(true);
  const rated = await say(token, 'rate', { stars: 4, comment: 'quick' });
  expect(rated.body).toMatchObject({ rating: { stars: 4, comment: 'quick' }, canRate: false });
  expect((await say(token, 'rate', { stars: 1 })).status).toBe(409);
});

test('a citizen writes about one request twenty times in a day at most', async () => {
  const { token } = await report();
  for (let n = 0; n < 20; n++) expect((await say(token, 'comment', { text: `${n}` })).status).toBe(200);
  expect(await ask<{ reason: string }>('POST', `/public/requests/${token}/comment`, { text: 'more' })).toMatchObject({
    status: 429,
    body: { reason: 'too-often' },
  });
  server.clock.nowMs += 25 * HOUR_MS;
  expect((await say(token, 'comment', { text: 'next day' })).status).toBe(200);
});

/** The link in the newest mail to an address, by what it leads to. */
function linkIn(to: string, kind: 'follow' | 'requests'): string {
  const mail = mailbox.mails.findLast((one) => one.to.includes(to))!;
  const text = mail.raw.replace(/=\r\n/g, '').replace(/=3D/g, '=');
  return new RegExp(`https://lamppost.example(/public/${kind}/[A-Za-z0-9_-]+)`).exec(text)![1]!;
}
const mailsTo = (to: string) => mailbox.mails.filter((one) => one.to.includes(to)).length;

test('progress comes by mail once its reader confirmed by link, and one click ends it for good', async () => {
  const to = 'lin@city.example';
  const { id, token } = await report();
  const follow = { channel: 'email', to, language: 'en' };
  expect((await say(token, 'follow', follow)).status).toBe(202);
  await until(() => mailsTo(to) === 1);
  expect(mailbox.mails.at(-1)!.headers.subject).toContain('Please confirm');
  await server.act(id, 'acknowledge');
  const link = linkIn(to, 'follow');
  // Mail servers open links: that changes nothing.
  expect((await ask<string>('GET', link, undefined, 'text/html')).body).toContain(`action="${link}/confirm"`);
  expect((await ask<object>('GET', link)).body).toEqual({ channel: 'email', confirmed: false });
  expect((await ask<object>('POST', `${link}/confirm`)).body).toEqual({ channel: 'email', confirmed: true });
  await server.act(id, 'comment', 'the pumps come', true);
  await until(() => mailsTo(to) === 2);
  const mail = mailbox.mails.at(-1)!;
  expect(mail.raw).toContain('the pumps come');
  expect(mail.headers['list-unsubscribe']).toBe(`<https://lamppost.example${link}/end>`);
  expect(mail.headers['list-unsubscribe-post']).toBe('List-Unsubscribe=One-Click');
  expect(linkIn(to, 'requests')).toBe(`/public/requests/${token}`);
  const click = await server.api.fetch(`${link}/end`, {
    method: 'POST',
    key: null,
    body: encoded({ 'List-Unsubscribe': 'One-Click' }),
  });
  expect(click.status).toBe(200);
  expect(readFileSync(join(server.api.dir, 'reporters.sqlite')).includes(to)).toBe(false);
  expect((await ask('GET', link)).status).toBe(404);
  await server.act(id, 'resolve', 'dry');
  const again = 'second@city.example';
  await say(token, 'follow', { ...follow, to: again });
  await until(() => mailsTo(again) === 1);
  expect(mailsTo(to)).toBe(2);
});

test("the department's mail has what the citizen wrote; nothing that is kept of that mail has, nor any other mail", async () => {
  const department = 'water';
  const subscribe = (party: string, to: string) =>
    server.api.fetch('/api/v1/subscriptions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ channel: 'email', to, party, filter: { types: ['city.lamppost.ticket.opened'] } }),
    });
  const [duty, other] = ['duty@city.example', 'other@city.example'];
  expect((await subscribe(department, duty)).status).toBe(201);
  expect((await subscribe('person:li-wei', other)).status).toBe(201);
  const { id } = await report({ description: 'quartzblimp in the cellar' });
  server.api.notify();
  await until(() => mailsTo(duty) === 1 && mailsTo(other) === 1);
  const [mine, theirs] = [duty, other].map((to) => mailbox.mails.find((one) => one.to.includes(to))!.raw);
  expect(mine).toContain('quartzblimp in the cellar');
  expect(mine).toContain(`https://lamppost.example/tickets/${id}`);
  expect(theirs).toContain(id);
  expect(theirs).not.toContain('quartzblimp');
  for (const file of ['state.sqlite', 'journal.sqlite', 'deliveries.sqlite'])
    for (const end of ['', '-wal'])
      expect(readFileSync(join(server.api.dir, file + end)).includes('quartzblimp'), file + end).toBe(false);
});

test('contacts of who follows are in the file of citizens only', async () => {
  const to = 'quillzephyr@city.example';
  const { token } = await report();
  await say(token, 'follow', { channel: 'email', to, language: 'en' });
  await until(() => mailsTo(to) === 1);
  for (const file of ['state.sqlite', 'journal.sqlite', 'deliveries.sqlite'])
    for (const end of ['', '-wal'])
      expect(readFileSync(join(server.api.dir, file + end)).includes(to), file + end).toBe(false);
});

test('an SMS goes to the gateway, signed, in the language of the citizen', async () => {
  const { token, id } = await report();
  expect((await say(token, 'follow', { channel: 'sms', to: '139', language: 'zh' })).status).toBe(400);
  await say(token, 'follow', { channel: 'sms', to: '+8613912345678', language: 'zh' });
  await until(() => gateway.arrivals.length === 1);
  const sent = () => JSON.parse(gateway.arrivals.at(-1)!.body) as { to: string; text: string };
  expect(sent()).toMatchObject({ to: '+8613912345678', text: expect.stringContaining('请确认') });
  const [, link] = /https:\/\/lamppost\.example(\S+)/.exec(sent().text)!;
  await ask('POST', `${link}/confirm`);
  await server.act(id, 'resolve', '已排干');
  await until(() => gateway.arrivals.length === 2);
  expect(sent().text).toContain('您的诉求已办结');
  expect(gateway.bad).toEqual([]);
});

test('what a mail server defers is sent later, once; an address that does not exist is forgotten', async () => {
  const to = 'slow@city.example';
  const { token } = await report();
  mailbox.welcome = (address) =>
    address === to ? { code: 451, text: 'later' } : address === 'no@city.example' ? { code: 550, text: 'no' } : null;
  let asked = 0;
  const { welcome } = mailbox;
  mailbox.welcome = (address) => {
    asked++;
    return welcome(address);
  };
  await say(token, 'follow', { channel: 'email', to, language: 'en' });
  await until(() => asked === 1);
  await say(token, 'follow', { channel: 'email', to: 'no@city.example', language: 'en' });
  await until(() => !readFileSync(join(server.api.dir, 'reporters.sqlite')).includes('no@city.example'));
  mailbox.welcome = () => null;
  server.clock.nowMs += 60_000;
  await say(token, 'follow', { channel: 'email', to: 'wakes@city.example', language: 'en' });
  await until(() => mailsTo(to) === 1 && mailsTo('wakes@city.example') === 1);
});

test('nobody is asked more often than five times in a day, and a request has five followers at most', async () => {
  const { token } = await report();
  const follow = (to: string) => say(token, 'follow', { channel: 'email', to, language: 'en' });
  for (let n = 0; n < 5; n++) expect((await follow(`f${n}@city.example`)).status).toBe(202);
  expect((await follow('f5@city.example')).status).toBe(429);
  for (let n = 0; n < 5; n++) {
    const other = await report({ ...EAST, lat: String(0.1 + n / 100) });
    expect((await say(other.token, 'follow', { channel: 'email', to: 'one@city.example' })).status).toBe(202);
  }
  const sixth = await report({ ...EAST, lat: '0.2' });
  expect((await say(sixth.token, 'follow', { channel: 'email', to: 'one@city.example' })).status).toBe(429);
});

test('one mailbox is one contact however it is written, and may be asked again where nobody confirmed in time', async () => {
  const { token } = await report({ ...EAST, lat: '0.21' });
  const follow = (to: string) => say(token, 'follow', { channel: 'email', to, language: 'en' });
  for (const to of ['Anna@City.example', 'anna@city.example', ' ANNA@CITY.EXAMPLE'])
    expect((await follow(to)).status).toBe(202);
  const other = await report({ ...EAST, lat: '0.23' });
  await say(other.token, 'follow', { channel: 'email', to: 'berta@city.example', language: 'en' });
  await until(() => mailsTo('berta@city.example') === 1);
  expect(mailsTo('anna@city.example')).toBe(1);
  const old = linkIn('anna@city.example', 'follow');
  server.clock.nowMs += 25 * HOUR_MS;
  expect((await ask('GET', old)).status).toBe(404);
  expect((await follow('anna@city.example')).status).toBe(202);
  await until(() => mailsTo('anna@city.example') === 2);
  expect((await ask('GET', linkIn('anna@city.example', 'follow'))).status).toBe(200);
});

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { verifyState } from '../../app/verify.ts';
import { systemClock, type Ticket } from '../../domain/index.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';
import { readMqtt } from '../kit/webhooks.ts';

/** In the harbour of the sample city. */
const BIN = { lat: 32.015, lon: 118.76 };
const REPORTER = { email: 'lin.qing@example.org', first_name: 'Lin', last_name: 'Qing', phone: '+86-139-5555' };
const PHOTO = new Uint8Array(readFileSync(new URL('../fixtures/photos/baseline.jpg', import.meta.url)));

let server: RulesServer;
afterEach(() => server.kill());

interface Posted {
  readonly service_request_id: string;
  readonly reporter_token: string;
}

interface Shown {
  readonly service_request_id: string;
  readonly status: string;
  readonly status_notes: string | null;
  readonly media_url: string | null;
  readonly extended_attributes: {
    readonly same_as: string | null;
    readonly reports: number;
    readonly rating: number | null;
  };
}

async function start(): Promise<string> {
  server = new RulesServer({ 'bin-full': full('bin-full', 90, 'ticket: { service: waste, deadline: 12h }\n') });
  await server.start();
  return (await server.post<{ secret: string }>('/api/v1/keys', { name: 'app', role: 'citizen-app' })).secret;
}

const at = (path: string) => `http://127.0.0.1:${server.httpPort}${path}`;

/** A place some metres north of the bin. */
const north = (metres: number) => ({ lat: String(BIN.lat + metres / 111_195), long: String(BIN.lon) });

async function report(
  api_key: string,
  fields: Record<string, string>,
  photo?: Uint8Array<ArrayBuffer>,
): Promise<Posted> {
  const form = new FormData();
  for (const [name, value] of Object.entries({ api_key, service_code: 'waste', ...fields })) form.append(name, value);
  if (photo !== undefined) form.append('media', new Blob([photo]), 'bin.jpg');
  const response = await fetch(at('/open311/v2/requests.json'), { method: 'POST', body: form });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return (JSON.parse(text) as Posted[])[0]!;
}

async function shown(id: string): Promise<Shown> {
  const response = await fetch(at(`/open311/v2/requests/${id}.json?extensions=true`));
  expect(response.status, id).toBe(200);
  return ((await response.json()) as Shown[])[0]!;
}

async function rate(id: string, token: string, stars: number, comment = ''): Promise<number | string> {
  const body = JSON.stringify({ token, stars, comment });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(at(`/api/v1/tickets/${id}/rate`), { method: 'POST', headers, body });
  return response.ok ? response.status : ((await response.json()) as { reason: string }).reason;
}

/** Names of the files of a folder (by default the data folder) that hold a text. */
function filesWith(text: string, dir = server.data): string[] {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return files.filter((one) => readFileSync(join(one.parentPath, one.name)).includes(text)).map(({ name }) => name);
}

async function ticketOf(device: string): Promise<Ticket> {
  const { items } = await server.get<{ items: Ticket[] }>(`/api/v1/tickets?group=${device}`);
  return items[0]!;
}

test('citizens - a report near the ticket of a sensor joins it, is closed with it, and is rated', async () => {
  const key = await start();
  await server.bins(['bin-1'], 'harbour', BIN);
  await server.fill('bin-1', 95);
  const sensor = await ticketOf('bin-1');
  // The sensor measures that, and nothing else.
  const full = { 'attribute[kind]': 'full' };
  const first = await report(key, { ...north(40), ...REPORTER, ...full, description: '垃圾桶满了' }, PHOTO);
  const second = await report(key, { ...north(90), ...full, description: 'it smells' });
  const apart = await report(key, { ...north(400), description: 'another bin' });
  expect((await shown(sensor.id)).extended_attributes.reports).toBe(2);
  expect((await shown(first.service_request_id)).extended_attributes.same_as).toBe(sensor.id);
  expect((await shown(second.service_request_id)).extended_attributes.same_as).toBe(sensor.id);
  expect((await shown(apart.service_request_id)).extended_attributes.same_as).toBeNull();

  const { media_url } = await shown(first.service_request_id);
  const photo = Buffer.from(await (await fetch(media_url!)).arrayBuffer());
  expect(photo.length).toBeGreaterThan(500);
  expect(photo.includes('SECRET')).toBe(false);

  expect(await rate(first.service_request_id, first.reporter_token, 5)).toBe('wrong-status');
  await server.fill('bin-1', 5);
  for (const id of [sensor.id, first.service_request_id, second.service_request_id])
    expect(await shown(id)).toMatchObject({ status: 'closed' });
  expect(await shown(apart.service_request_id)).toMatchObject({ status: 'open' });
  expect((await server.ask('POST', `/api/v1/tickets/${sensor.id}/close`, {})).status).toBe(200);
  expect(await rate(first.service_request_id, second.reporter_token, 1)).toBe('not-the-reporter');
  expect(await rate(first.service_request_id, first.reporter_token, 5)).toBe(200);
  expect(await rate(second.service_request_id, second.reporter_token, 4)).toBe(200);
  expect((await shown(first.service_request_id)).extended_attributes.rating).toBe(5);

  const { items } = await server.get<{ items: { event: { type: string; subject: string } }[] }>(
    `/api/v1/events?limit=1000&ticket=${first.service_request_id}`,
  );
  const reply = items.map(({ event }) => event.type);
  expect(reply.map((type) => type.split('.').at(-1))).toEqual(['opened', 'resolved', 'closed', 'rated']);
});

/** Is in everything that a citizen writes in the next test. */
const WORD = 'zephyrquill';
const WROTE = {
  description: `the lamp at ${WORD} corner`,
  address_string: `${WORD} Lane 7`,
  address_id: `${WORD}-7`,
  'attribute[pole]': `LJ-${WORD}`,
  'attribute[kind]': 'dark',
  email: `${WORD}@example.org`,
  first_name: WORD,
  last_name: `Lin ${WORD}`,
  phone: `+86 ${WORD}`,
  device_id: `${WORD}-phone`,
  account_id: `${WORD}-account`,
  service_code: 'street-light',
};

test('citizens - what they write is in one file only, and once they want it removed, in no byte of the folder or of a backup', async () => {
  const backups = mkdtempSync(join(tmpdir(), 'lamppost-backups-'));
  server = new RulesServer();
  Object.assign(server.settings, { LAMPPOST_BACKUP_DIR: backups, WEBHOOK_ALLOW_PRIVATE: 'true' });
  await server.start();
  const { secret: key } = await server.post<{ secret: string }>('/api/v1/keys', { name: 'app', role: 'citizen-app' });
  // Whoever keeps events: a session that is away, and a webhook that nobody takes.
  await (await readMqtt(server)).stop();
  await server.post('/api/v1/webhooks', { url: 'http://127.0.0.1:9/' });

  const photo = { ...WROTE, ...north(0) };
  const first = await report(key, photo, PHOTO);
  const second = await report(key, { ...WROTE, ...north(400), media_url: `https://photos.example/${WORD}.jpg` });
  const ids = [first, second].map(({ service_request_id: id }) => id);
  for (const { service_request_id: id, reporter_token: token } of [first, second]) {
    for (const action of ['resolve', 'close']) await server.ask('POST', `/api/v1/tickets/${id}/${action}`, {});
    expect(await rate(id, token, 5, `${WORD} was quick`)).toBe(200);
  }
  const tickets = await Promise.all(ids.map((id) => server.get<Ticket>(`/api/v1/tickets/${id}`)));
  for (const { description, address, rating } of tickets)
    for (const text of [description, address, rating?.comment]) expect(text).toContain(WORD);
  const outbox = `/api/v1/events?limit=1000&type=city.lamppost.ticket.rated`;
  const { items } = await server.get<{ items: object[] }>(outbox);
  expect(items).toHaveLength(2);
  await until(async () => filesWith('ticket.rated').includes('deliveries.sqlite-wal'), 'a delivery', 60);
  expect(JSON.stringify(items)).not.toContain(WORD);
  // Files are searched as they are: none of them is packed.
  const names = (found: string[]) => [...new Set(found.map((name) => name.replace(/-wal$/, '')))].sort();
  expect(names(filesWith(tickets[0]!.statement!))).toEqual(
    expect.arrayContaining(['deliveries.sqlite', 'journal.sqlite', 'state.sqlite']),
  );
  expect(names(filesWith(WORD))).toEqual(['reporters.sqlite']);
  expect(readdirSync(join(server.data, 'media'))).toHaveLength(1);

  for (const id of ids) expect((await server.ask('DELETE', `/api/v1/tickets/${id}/reporter`)).status).toBe(204);
  expect(filesWith(WORD)).toEqual([]);
  expect(readdirSync(join(server.data, 'media'))).toEqual([]);
  const path = join(backups, 'after');
  expect((await server.ask('POST', '/api/v1/backup', { to: path })).status).toBe(202);
  const last = () => server.get<{ state: string }>('/api/v1/backup');
  await until(async () => (await last()).state === 'done', 'the backup', 120);
  expect(filesWith(tickets[0]!.statement!, path)).toContain('journal.sqlite');
  expect(filesWith(WORD, path)).toEqual([]);
  for (const id of ids) expect(JSON.stringify(await shown(id))).not.toContain(WORD);

  expect(await server.stop()).toBe(0);
  expect(filesWith(WORD)).toEqual([]);
  const { differences } = await verifyState(server.data, {
    ...{ backup: null, clock: systemClock, log: pino({ level: 'silent' }) },
  });
  expect(differences).toEqual([]);
});

test('citizens - names and contacts are shown to the department only, and stay deleted over kill -9', async () => {
  const key = await start();
  const { service_request_id: id } = await report(key, { ...north(0), ...REPORTER, description: 'full' });
  const path = `/api/v1/tickets/${id}/reporter`;
  const keyOf = async (department: string) =>
    (await server.post<{ secret: string }>('/api/v1/keys', { name: 'k', role: 'operator', department })).secret;
  expect(await server.get(path, await keyOf('waste'))).toMatchObject({ email: REPORTER.email, name: 'Lin Qing' });
  // A ticket that they do not see is none.
  await expect(server.get(path, await keyOf('water'))).rejects.toThrow(/404/);
  await server.post(`/api/v1/tickets/${id}/hand-over`, { to: 'river-watch' });
  await expect(server.get(path, await keyOf('river-watch'))).rejects.toThrow(/403.*river-watch is no department/);
  await server.post(`/api/v1/tickets/${id}/hand-over`, { to: 'waste' });
  expect((await server.ask('DELETE', path)).status).toBe(204);
  await server.kill();
  expect(filesWith(REPORTER.email)).toEqual([]);
  await server.start();
  expect((await server.ask('GET', path)).status).toBe(404);
  expect(await shown(id)).toMatchObject({ status: 'open' });
  expect(await server.get(`/api/v1/tickets/${id}`)).toMatchObject({ description: expect.stringContaining('Removed') });
});

test('citizens - a report that got its response survives kill -9 with photo, reporter and ticket', async () => {
  const key = await start();
  const answered: Posted[] = [];
  for (const kills of [1, 6, 15]) {
    const round: Posted[] = [];
    const killed = new Promise<void>((resolve) => {
      const send = async (n: number) => {
        const place = { lat: '32.02', long: String(118.741 + (answered.length + n) * 0.0001) };
        const email = `citizen-${kills}-${n}@example.org`;
        const posted = await report(key, { ...place, email }, PHOTO).catch(() => null);
        if (posted === null) return;
        round.push(posted);
        if (round.length === kills) resolve(server.kill().then(() => {}));
      };
      for (let n = 0; n < 40; n++) void send(n);
    });
    await killed;
    expect(round.length).toBeGreaterThanOrEqual(kills);
    answered.push(...round);
    await server.start();
    for (const { service_request_id: id, reporter_token } of answered) {
      const { media_url } = await shown(id);
      expect((await fetch(media_url!)).status, id).toBe(200);
      expect(await server.get(`/api/v1/tickets/${id}/reporter`)).toMatchObject({
        email: expect.stringMatching(/^citizen-/),
      });
      const token = await (await fetch(at(`/open311/v2/tokens/${reporter_token}.json`))).json();
      expect(token).toEqual([{ service_request_id: id, token: reporter_token }]);
    }
  }
});

test('citizens - the mail of the department has what they wrote, also after a crash, and no file but theirs has it', async () => {
  const mailbox = new Mailbox();
  server = new RulesServer();
  server.settings.SMTP_URL = await mailbox.start();
  server.settings.SMTP_FROM = 'lamppost@city.example';
  // The first attempt is not acknowledged: the mail is sent again by the next process.
  let isDown = true;
  mailbox.beforeAnswer = () => (isDown ? new Promise(() => {}) : Promise.resolve());
  await server.start();
  const key = (await server.post<{ secret: string }>('/api/v1/keys', { name: 'app', role: 'citizen-app' })).secret;
  const filter = { types: ['city.lamppost.ticket.opened'] };
  const duty = { channel: 'email', to: 'duty@city.example', party: 'waste', language: 'en', filter };
  await server.post('/api/v1/subscriptions', duty);
  const { service_request_id: id } = await report(key, { ...north(0), description: 'quartzblimp' });
  await until(() => mailbox.mails.length === 1);
  await server.kill();
  isDown = false;
  await server.start();
  await until(() => mailbox.mails.length === 2);
  for (const { raw, events } of mailbox.mails) {
    expect(raw).toContain('What the citizen wrote');
    expect(raw).toContain('> quartzblimp');
    expect(events).toEqual([`${id}.1`]);
  }
  expect(filesWith('quartzblimp').every((name) => name.startsWith('reporters.sqlite'))).toBe(true);
  await server.kill();
  await mailbox.stop();
});

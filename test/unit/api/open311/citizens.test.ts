import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createCitizenStore, createMedia, REMOVED } from '../../../../citizens/index.ts';
import type { Ticket } from '../../../../domain/index.ts';
import { restoreBackup } from '../../../../store/index.ts';
import { EAST, type Open311, openOpen311, type Posted } from '../../../kit/api/open311.ts';
import { PATIENCE_MS } from '../../../kit/wait.ts';

const REPORTER = {
  email: 'lin@example.org',
  first_name: 'Lin',
  last_name: 'Qing',
  phone: '139',
  device_id: 'd',
  account_id: 'a',
};
// There is nothing in it to take out.
const PHOTO = readFileSync(new URL('../../../fixtures/photos/plain.jpg', import.meta.url));
const lines: Record<string, unknown>[] = [];
const log = pino(
  { level: 'info' },
  new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  }),
);

let server: Open311;
beforeAll(async () => {
  server = await openOpen311({}, log);
});
afterAll(() => server.stop());

let places = 0;
async function report(fields: Record<string, string> = {}): Promise<Posted> {
  const place = { lat: '0.9', long: String(0.001 + 0.002 * places++) };
  return (await server.post({ service_code: 'flood', ...place, ...fields })).body[0]!;
}

async function ask(method: string, path: string, { key, body }: { key?: string | null; body?: unknown } = {}) {
  const json =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await server.api.fetch(path, { method, ...json, ...(key === undefined ? {} : { key }) });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>) };
}

describe('who reported it', () => {
  test('is shown to operators of the responsible department and to the city, and each access is logged', async () => {
    const { service_request_id: id } = await report(REPORTER);
    for (const key of [
      server.api.key('operator', 'water'),
      server.api.key('admin', 'water'),
      server.api.key('admin'),
    ]) {
      lines.length = 0;
      expect(await ask('GET', `/api/v1/tickets/${id}/reporter`, { key })).toEqual({
        status: 200,
        body: {
          ticket: id,
          name: 'Lin Qing',
          email: 'lin@example.org',
          phone: '139',
          deviceId: 'd',
          accountId: 'a',
          reportedAt: '2026-06-15T12:00:00.000Z',
        },
      });
      expect(lines).toEqual([
        expect.objectContaining({
          ticket: id,
          key: expect.any(String),
          msg: 'the reporter of a ticket was read',
        }),
      ]);
      expect(JSON.stringify(lines)).not.toMatch(/Lin|lin@|"139"/);
    }
  });

  test.each([
    // A ticket that they do not see is none.
    ['another department', () => server.api.key('operator', 'lighting'), 404],
    ['an operator of the whole city', () => server.api.key('operator'), 403],
    ['an admin of another department', () => server.api.key('admin', 'lighting'), 404],
    ['a viewer of the department', () => server.api.key('viewer', 'water'), 403],
    ['the app that sent it', () => server.key, 403],
  ] as const)('is not shown to %s, nor may they delete it', async (_name, keyOf, refused) => {
    const { service_request_id: id } = await report(REPORTER);
    const key = keyOf();
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await ask(method, `/api/v1/tickets/${id}/reporter`, { key });
      expect(status).toBe(refused);
      expect(JSON.stringify(body)).not.toContain('Lin');
    }
    expect((await ask('GET', `/api/v1/tickets/${id}/reporter`)).status).toBe(200);
  });

  test.each(['bright', 'friends'])(
    'a hand-over to a contractor or a group (%s) gives no name, mail or phone',
    async (party) => {
      const { service_request_id: id } = await report({ ...REPORTER, description: 'at the quay' });
      const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
      server.api.tickets.act({ ticket: id, action: 'hand-over', actor, to: party });
      for (const role of ['operator', 'dispatcher', 'admin'] as const) {
        const key = server.api.key(role, party);
        const refused = await ask('GET', `/api/v1/tickets/${id}/reporter`, { key });
        expect(refused).toMatchObject({ status: 403, body: { reason: 'not-a-department' } });
        expect((await ask('DELETE', `/api/v1/tickets/${id}/reporter`, { key })).status).toBe(403);
        const seen = [
          await ask('GET', `/api/v1/tickets/${id}`, { key }),
          await ask('GET', `/api/v1/tickets/${id}/request`, { key }),
          await ask('GET', `/api/v1/events?ticket=${id}`, { key }),
        ];
        expect(seen[0]).toMatchObject({ status: 200, body: { description: 'at the quay' } });
        expect(JSON.stringify(seen)).not.toMatch(/Lin|Qing|lin@example|"139"/);
      }
      expect((await ask('GET', `/api/v1/tickets/${id}/reporter`)).status).toBe(200);
    },
  );

  test('is shown to the department that has the ticket now, not to the one before; also for repeated reports', async () => {
    const first = await report({ ...EAST, ...REPORTER });
    const same = await report({ ...EAST, ...REPORTER });
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    const id = first.service_request_id;
    server.api.tickets.act({ ticket: id, action: 'hand-over', actor, to: 'lighting' });
    const [water, lighting] = [server.api.key('operator', 'water'), server.api.key('operator', 'lighting')];
    for (const one of [first, same]) {
      const path = `/api/v1/tickets/${one.service_request_id}/reporter`;
      expect((await ask('GET', path, { key: water })).status).toBe(403);
      expect((await ask('GET', path, { key: lighting })).status).toBe(200);
    }
  });

  test('is deleted at once on request, and the ticket stays', async () => {
    const { service_request_id: id } = await report(REPORTER);
    expect((await ask('DELETE', `/api/v1/tickets/${id}/reporter`)).status).toBe(204);
    expect((await ask('GET', `/api/v1/tickets/${id}/reporter`)).status).toBe(404);
    expect((await ask('DELETE', `/api/v1/tickets/${id}/reporter`)).status).toBe(404);
    expect((await ask('GET', `/api/v1/tickets/${id}`)).status).toBe(200);
    expect((await ask('GET', '/api/v1/tickets/nothing/reporter')).status).toBe(404);
  });

  test('is removed with all that they wrote, and a sentence stands in its place everywhere', async () => {
    const words = { description: 'my cellar', address_string: 'Mill Lane 7', media_url: 'http://photos.example/9.jpg' };
    const { service_request_id: id, reporter_token: token } = await report({ ...REPORTER, ...words });
    const path = `/api/v1/tickets/${id}`;
    server.act(id, 'resolve');
    server.act(id, 'close');
    await ask('POST', `${path}/rate`, { key: null, body: { token, stars: 4, comment: 'dry again' } });
    const written = /my cellar|Mill Lane|photos\.example|dry again/;
    const everywhere = async () => {
      const { body: ticket } = await ask('GET', path);
      const { body: request } = await ask('GET', `${path}/request`);
      const { body: list } = await server.json('/open311/v2/requests.json?page_size=1000');
      const { body: tickets } = await ask('GET', '/api/v1/tickets?limit=1000');
      return { ticket, request, list, tickets, open311: await server.request(id) };
    };
    for (const [name, text] of Object.entries(await everywhere())) expect(JSON.stringify(text), name).toMatch(written);
    const events = JSON.stringify((await ask('GET', `/api/v1/events?limit=1000&ticket=${id}`)).body);
    expect(events).toContain('ticket.rated');
    expect(events).not.toMatch(written);
    expect((await ask('DELETE', `${path}/reporter`)).status).toBe(204);
    const after = await everywhere();
    for (const [name, text] of Object.entries(after)) expect(JSON.stringify(text), name).not.toMatch(written);
    const removed = `${REMOVED.en} ${REMOVED.zh}`;
    expect(after.ticket).toMatchObject({ description: removed, address: null, rating: { stars: 4, comment: removed } });
    expect(after.open311).toMatchObject({ description: REMOVED.en, address: null, media_url: null });
    expect(await server.request(id, '?locale=zh')).toMatchObject({ description: REMOVED.zh });
  });

  test('is not shown to a department that has a part of the ticket', async () => {
    const { service_request_id: id } = await report({ ...REPORTER, description: 'my cellar' });
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    const part = server.api.tickets.split({ ticket: id, actor, department: 'lighting', note: 'light it' }).id;
    const key = server.api.key('operator', 'lighting');
    expect((await ask('GET', `/api/v1/tickets/${part}`, { key })).body).toMatchObject({ description: 'my cellar' });
    for (const method of ['GET', 'DELETE'])
      expect((await ask(method, `/api/v1/tickets/${part}/reporter`, { key })).status).toBe(404);
    expect((await ask('GET', `/api/v1/tickets/${id}/reporter`)).status).toBe(200);
  });

  test('is deleted 90 days after the ticket closed, not before', async () => {
    const { service_request_id: id } = await report(REPORTER);
    server.act(id, 'resolve');
    server.act(id, 'close');
    const closedMs = server.clock.nowMs;
    server.clock.nowMs = closedMs + 90 * 86_400_000 - 1_000;
    expect(await server.api.citizens.reception.expire()).toMatchObject({ reporters: 0 });
    server.clock.nowMs = closedMs + 90 * 86_400_000;
    expect(await server.api.citizens.reception.expire()).toMatchObject({ reporters: 1 });
    expect((await ask('GET', `/api/v1/tickets/${id}/reporter`)).status).toBe(404);
    server.clock.nowMs = closedMs;
  });
});

describe('a rating', () => {
  const rate = (id: string, body: unknown) => ask('POST', `/api/v1/tickets/${id}/rate`, { key: null, body });

  test('is accepted with the token of the reporter, once the ticket is closed, and only once', async () => {
    const { service_request_id: id, reporter_token: token } = await report();
    const five = { token, stars: 5, comment: 'quick & dry' };
    expect(await rate(id, five)).toMatchObject({ status: 409, body: { reason: 'wrong-status' } });
    server.act(id, 'resolve');
    server.act(id, 'close');
    expect(await rate(id, { ...five, token: 'x'.repeat(43) })).toMatchObject({
      status: 403,
      body: { reason: 'not-the-reporter' },
    });
    expect(await rate(id, five)).toEqual({
      status: 200,
      body: { id, rating: { stars: 5, comment: 'quick & dry', at: expect.any(String), statement: expect.any(String) } },
    });
    expect(await rate(id, five)).toMatchObject({ status: 409, body: { reason: 'already-rated' } });
    expect((await ask('GET', `/api/v1/tickets/${id}`)).body).toMatchObject({ rating: { stars: 5 } });
    expect(await server.request(id, '?extensions=true')).toMatchObject({ extended_attributes: { rating: 5 } });
  });

  test('is possible for each repeated report that was closed with the first', async () => {
    const place = { lat: '0.2', long: '0.2' };
    const [first, second] = [await report(place), await report(place)];
    server.act(first.service_request_id, 'resolve');
    server.act(first.service_request_id, 'close');
    const stranger = { token: first.reporter_token, stars: 1 };
    expect((await rate(second.service_request_id, stranger)).status).toBe(403);
    expect((await rate(second.service_request_id, { token: second.reporter_token, stars: 2 })).status).toBe(200);
    expect((await rate(first.service_request_id, { ...stranger, stars: 4 })).status).toBe(200);
  });

  test("of a sensor's ticket is not possible", async () => {
    const id = server.sensor('1.0', null);
    server.act(id, 'resolve');
    server.act(id, 'close');
    expect((await rate(id, { token: '', stars: 3 })).status).toBe(400);
    expect((await rate(id, { token: 'x', stars: 3 })).status).toBe(403);
  });

  test.each([{ stars: 0 }, { stars: 6 }, { stars: 2.5 }, {}, { stars: 3, comment: 'x'.repeat(2_001) }])(
    'of %j is none',
    async (body) => {
      const { service_request_id: id, reporter_token: token } = await report();
      expect((await rate(id, { token, ...body })).status).toBe(400);
    },
  );

  test('of an unknown ticket is a 404', async () => {
    expect((await rate('nothing', { token: 'x', stars: 3 })).status).toBe(404);
  });
});

describe('a photo', () => {
  test.each(['nothing.jpg', `${'0'.repeat(64)}.jpg`, '..%2Freporters.sqlite', '%2e%2e%2freporters.sqlite'])(
    'that there is not is a 404: %s',
    async (name) => {
      const { status } = await server.xml(`/open311/media/${name}`, 'errors');
      expect(status).toBe(404);
    },
  );

  test('in the folder is shown once a request has it, and under its own name only', async () => {
    const name = await server.api.citizens.media.put({ type: 'image/jpeg', bytes: PHOTO });
    expect((await server.xml(`/open311/media/${name}`, 'errors')).status).toBe(404);
    const form = new FormData();
    for (const [field, value] of Object.entries({
      api_key: server.key,
      service_code: 'flood',
      lat: '0.9',
      long: '0.95',
    }))
      form.append(field, value);
    form.append('media', new Blob([PHOTO]), 'a.jpg');
    const taken = await server.json<Posted[]>('/open311/v2/requests.json', { method: 'POST', body: form });
    const { media_url } = await server.request(taken.body[0]!.service_request_id);
    expect(media_url).toBe(`http://localhost:${server.api.port}/open311/media/${name}`);
    expect((await fetch(String(media_url))).headers.get('cache-control')).toBe('public, max-age=3600');
    expect((await fetch(String(media_url).replace(/\.jpg$/, '.png'))).status).toBe(404);
  });
});

test('a backup has reporters and photos with their tickets, and restores them', async () => {
  const form = new FormData();
  const fields = { api_key: server.key, service_code: 'flood', lat: '0.7', long: '0.7', ...REPORTER };
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  form.append('media', new Blob([PHOTO]), 'a.jpg');
  const taken = await server.json<Posted[]>('/open311/v2/requests.json', { method: 'POST', body: form });
  const id = taken.body[0]!.service_request_id;
  const { media_url } = await server.request(id);
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-citizens-'));
  const [to, data] = [join(server.api.dir, 'backups', 'monday'), join(dir, 'data')];
  expect((await ask('POST', '/api/v1/backup', { body: { to } })).status).toBe(202);
  await vi.waitFor(
    async () => expect((await ask('GET', '/api/v1/backup')).body).toMatchObject({ state: 'done', error: null }),
    PATIENCE_MS,
  );
  await restoreBackup(to, data);
  const { statement } = (await ask('GET', `/api/v1/tickets/${id}`)).body as unknown as Ticket;
  const store = createCitizenStore({ path: join(data, 'reporters.sqlite') }).open();
  expect(store.reporter(statement!)).toMatchObject({ name: 'Lin Qing' });
  store.close();
  const photo = await createMedia(join(data, 'media')).get(String(media_url).split('/').at(-1)!);
  expect(photo!.bytes.equals(PHOTO)).toBe(true);
});

describe('what a request adds to its ticket', () => {
  test('is shown to those who see the ticket', async () => {
    const { service_request_id: id } = await report({ address_id: '42', media_url: 'http://photos.example/1.jpg' });
    const path = `/api/v1/tickets/${id}/request`;
    const [mediaUrl, mediaUrls] = ['http://photos.example/1.jpg', ['http://photos.example/1.jpg']];
    const said = { ticket: id, mediaUrl, mediaUrls, addressId: '42', answers: [] };
    expect(await ask('GET', path, { key: server.api.key('viewer', 'water') })).toEqual({ status: 200, body: said });
    expect(await ask('GET', path, { key: server.api.key('viewer') })).toMatchObject({ status: 200 });
    expect(await ask('GET', path, { key: server.api.key('viewer', 'lighting') })).toMatchObject({ status: 404 });
    expect(await ask('GET', path, { key: null })).toMatchObject({ status: 401 });
  });
});

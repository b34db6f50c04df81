import { mkdtempSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  createMedia,
  createReception,
  createReporters,
  mediaPath,
  type Photo,
  photoOf,
  type Report,
  type Reporters,
  refuseReporter,
} from '../../../citizens/index.ts';
import { LamppostError, type Ticket } from '../../../domain/index.ts';
import type { Request } from '../../../tickets/index.ts';

const opened: Reporters[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function openFolder() {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-citizens-'));
  const path = join(dir, 'reporters.sqlite');
  const reporters = createReporters({ path }).open();
  opened.push(reporters);
  const media = createMedia(join(dir, 'media'));
  /** Every byte of the file and its log. */
  const bytes = () =>
    Buffer.concat(
      readdirSync(dir, { withFileTypes: true }).flatMap((one) =>
        one.isFile() ? [readFileSync(join(dir, one.name))] : [],
      ),
    );
  return { dir, path, reporters, media, bytes };
}

const lin = (n: number) => ({
  name: `Lin Qing ${n}`,
  email: `lin-${n}@example.org`,
  phone: null,
  deviceId: 'd',
  accountId: null,
  reportedAt: '2026-01-01T00:00:00.000Z',
});

test('reporters - are returned as stored, also after the file is opened again', () => {
  const { path, reporters } = openFolder();
  reporters.put('r-1', lin(1));
  expect(reporters.get('r-1')).toEqual(lin(1));
  expect(reporters.get('r-2')).toBeNull();
  const again = createReporters({ path }).open();
  opened.push(again);
  expect(again.get('r-1')).toEqual(lin(1));
});

test('reporters - that are deleted are in no byte of the file, and the others are', () => {
  const { reporters, bytes } = openFolder();
  for (let n = 100; n < 600; n++) reporters.put(`r-${n}`, lin(n));
  expect(bytes().includes('lin-450@example.org')).toBe(true);
  const gone = Array.from({ length: 300 }, (_, i) => i + 200);
  expect(reporters.forget(gone.map((n) => `r-${n}`))).toBe(300);
  expect(reporters.forget(['r-200', 'nobody'])).toBe(0);
  const left = bytes();
  for (const n of gone) {
    expect(left.includes(`lin-${n}@example.org`), `lin-${n}`).toBe(false);
    expect(left.includes(`Lin Qing ${n}`), `lin-${n}`).toBe(false);
  }
  expect(left.includes('lin-150@example.org')).toBe(true);
  expect(reporters.after('r-198', 3).map(({ ticket }) => ticket)).toEqual(['r-199', 'r-500', 'r-501']);
});

type CitizenRequest = Request & { readonly id: string };
const photo = photoOf(readFileSync(new URL('../../fixtures/photos/plain.jpg', import.meta.url))) as Photo;

test('media - a photo is stored once, under its hash, and returned', async () => {
  const { media, dir } = openFolder();
  const name = await media.put(photo);
  expect(name).toMatch(/^[0-9a-f]{64}\.jpg$/);
  expect(await media.put(photo)).toBe(name);
  expect(readdirSync(join(dir, 'media'))).toEqual([name]);
  expect(await media.get(name)).toEqual(photo);
  const { stream, ...about } = (await media.open(name))!;
  expect(about).toEqual({ type: photo.type, length: photo.bytes.length });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(photo.bytes)).toBe(true);
});

test.each([
  '../reporters.sqlite',
  'x.jpg',
  '',
  `${'0'.repeat(64)}.gif`,
  `${'0'.repeat(64)}.jpg`,
  `/${'0'.repeat(64)}.jpg`,
])('media - "%s" is no photo of this folder', async (name) => {
  const { media } = openFolder();
  expect(await media.get(name)).toBeNull();
  expect(await media.open(name)).toBeNull();
  await media.put(photo);
  expect(await media.get(name)).toBeNull();
});

test('media - a folder that cannot be written is an operational fault', async () => {
  const { dir } = openFolder();
  writeFileSync(join(dir, 'taken'), '');
  await expect(createMedia(join(dir, 'taken')).put(photo)).rejects.toMatchObject({ code: 'disk', retryable: true });
});

test('media - unused photos and half-written files go when they are old enough; a photo that is sent again counts as new', async () => {
  const { media, dir } = openFolder();
  const old = new Date('2026-01-01');
  const used = await media.put(photo);
  const other = await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  writeFileSync(join(dir, 'media', 'a.part'), 'half');
  for (const name of [used, other, 'a.part']) utimesSync(join(dir, 'media', name), old, old);
  await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  expect(statSync(join(dir, 'media', other)).mtimeMs).toBeGreaterThan(old.getTime());
  expect(await media.sweep((name) => name === used, old.getTime() + 1)).toBe(1);
  expect(readdirSync(join(dir, 'media')).sort()).toEqual([used, other].sort());
  expect(await createMedia(join(dir, 'none')).sweep(() => false, Date.now())).toBe(0);
});

const NOW = Date.UTC(2026, 3, 1);
const DAY_MS = 86_400_000;
const report: Report = {
  service: 'noise',
  title: 'T',
  titleZh: 'Z',
  description: 'loud',
  district: 'harbour',
  location: { lat: 1, lon: 2 },
  address: null,
  addressId: null,
  attributes: {},
  mediaUrl: null,
  photo,
  reporter: lin(1),
};

function openReception({ openTicket }: { openTicket?: (request: CitizenRequest) => Promise<Ticket> } = {}) {
  const folder = openFolder();
  const tickets = new Map<string, Ticket>();
  const media = new Set<string>();
  let n = 0;
  const reception = createReception(
    {
      clock: { now: () => NOW },
      reporters: folder.reporters,
      media: folder.media,
      tickets: {
        get: (id) => tickets.get(id) ?? null,
        servicesWith: (url) => (media.has(url) ? ['noise'] : []),
      },
      openTicket:
        openTicket ??
        (async (request) => {
          const ticket = { id: request.id, closedAt: null } as Ticket;
          tickets.set(request.id, ticket);
          media.add(request.extras?.mediaUrl ?? '');
          return ticket;
        }),
      newId: () => `r-${++n}`,
      newToken: () => `token-${n}`,
      hash: (token) => Buffer.from(`#${token}`),
    },
    { sameWithinM: 100, reporterDays: 90 },
  );
  return { ...folder, reception, tickets };
}

test('reception - photo and reporter are stored before the ticket opens; the ticket has only the hash of the token', async () => {
  const seen: CitizenRequest[] = [];
  const scene = openReception({
    async openTicket(request) {
      expect(scene.reporters.get(request.id)).toMatchObject({ email: 'lin-1@example.org' });
      expect(readdirSync(join(scene.dir, 'media'))).toHaveLength(1);
      seen.push(request);
      return { id: request.id } as Ticket;
    },
  });
  expect(await scene.reception.report(report)).toEqual({ ticket: { id: 'r-1' }, token: 'token-1' });
  const [name] = readdirSync(join(scene.dir, 'media'));
  expect(seen[0]).toMatchObject({
    origin: 'citizen',
    same: { withinM: 100 },
    extras: { reporterHash: Buffer.from('#token-1'), mediaUrl: mediaPath(name!) },
  });
  expect(JSON.stringify(seen)).not.toContain('Lin Qing');
});

test('reception - a citizen without name and contact leaves no record', async () => {
  const { reception, reporters } = openReception();
  await reception.report({ ...report, reporter: null });
  expect(reporters.after('', 10)).toEqual([]);
});

test('reception - where no ticket opens, no reporter stays', async () => {
  const refused = new LamppostError('not-found', 'no such service');
  const { reception, reporters } = openReception({ openTicket: () => Promise.reject(refused) });
  await expect(reception.report(report)).rejects.toBe(refused);
  expect(reporters.after('', 10)).toEqual([]);
});

test('reception - a reporter is deleted a number of days after the ticket closed, and where a crash left no ticket', async () => {
  const { reception, reporters, tickets } = openReception();
  const closed = (id: string, days: number | null) => {
    const closedAt = days === null ? null : new Date(NOW - days * DAY_MS).toISOString();
    tickets.set(id, { id, closedAt } as Ticket);
    reporters.put(id, lin(1));
  };
  closed('open', null);
  closed('fresh', 89.9);
  closed('over', 90);
  reporters.put('orphan', lin(2));
  reporters.put('on its way', { ...lin(3), reportedAt: new Date(NOW - 60_000).toISOString() });
  expect(await reception.expire()).toEqual({ reporters: 2, photos: 0 });
  expect(reporters.after('', 10).map(({ ticket }) => ticket)).toEqual(['fresh', 'on its way', 'open']);
  expect(await reception.expire()).toEqual({ reporters: 0, photos: 0 });
});

test('reception - photos of no ticket go after an hour, those of tickets stay', async () => {
  const { reception, media, dir } = openReception();
  await reception.report(report);
  const orphan = await media.put({ ...photo, bytes: Buffer.concat([photo.bytes, Buffer.from('x')]) });
  for (const name of readdirSync(join(dir, 'media'))) {
    utimesSync(join(dir, 'media', name), (NOW - 3_600_001) / 1_000, (NOW - 3_600_001) / 1_000);
  }
  expect(await reception.expire()).toEqual({ reporters: 0, photos: 1 });
  expect(readdirSync(join(dir, 'media'))).not.toContain(orphan);
});

test.each([
  ['operator', 'water', null],
  ['admin', 'water', null],
  ['admin', null, null],
  ['operator', null, 'not-your-department'],
  ['operator', 'waste', 'not-your-department'],
  ['admin', 'waste', 'not-your-department'],
  ['viewer', 'water', 'not-your-role'],
  ['citizen-app', 'water', 'not-your-role'],
  ['network-server', null, 'not-your-role'],
] as const)('access - a %s of %s who asks for the reporter of a ticket of water: %s', (role, department, refusal) => {
  expect(refuseReporter({ role, department }, { department: 'water' })).toBe(refusal);
});

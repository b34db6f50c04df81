import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import {
  CITIZENS_FILE,
  type CitizenStore,
  copyOf,
  createCitizenStore,
  createMedia,
  createSharedMedia,
  createSharedWrites,
  type Entry,
  mediaPath,
  type Photo,
  photoIn,
  sharePhotos,
} from '../../citizens/index.ts';
import { connectTo, openSharedKeys, openSharedObjects } from '../../cluster/index.ts';
import { createSealer } from '../../notify/index.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

const log = pino({ level: 'silent' });
const seal = createSealer('what-the-nodes-of-this-test-seal-with', 'citizens');
const PHOTO: Photo = { type: 'image/jpeg', bytes: Buffer.from('a picture of zephyrquill corner'.repeat(10_000)) };
const WORD = 'zephyrquill';
const FAR_MS = Date.UTC(2100, 0);

let servers: NatsServer[] = [];
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
  for (const server of servers) await server.end();
});

/** What a node has of citizens; it can be stopped and started again over the same folder. */
async function node(dir = mkdtempSync(join(tmpdir(), 'lamppost-shared-'))) {
  const settings = nodeOf(servers, 'a');
  const connection = await connectTo(settings, 'test');
  const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
  const objects = await openSharedObjects(connection, settings, 'photos');
  const local = createMedia(join(dir, 'media'));
  const isUsed = (name: string) => store.withMedia(mediaPath(name)).length > 0;
  const photos = { local, objects, seal, isUsed };
  let asked = 0;
  const keysFor = await openSharedKeys(connection, settings, 'citizens');
  const keys = keysFor({ seal, copy: copyOf(store, () => asked++), log });
  const share = () =>
    sharePhotos(
      photos,
      store.allMedia().flatMap((url) => photoIn(url) ?? []),
    );
  const writes = createSharedWrites({ store, keys, now: Date.now, sharePhotos: share });
  store.onUnused((urls) => void Promise.all(urls.map((url) => local.remove(photoIn(url)!))));
  keys.start();
  let stopping: Promise<void> | null = null;
  const stop = () => {
    stopping ??= keys.stop().then(() => {
      store.close();
      return connection.close();
    });
    return stopping;
  };
  undo.push(stop);
  const media = createSharedMedia(photos);
  return { dir, store, media, objects, keys, writes, stop, told: () => asked };
}

const entry = (id: string, more: Partial<Entry> = {}): Entry => ({
  ...{ id, storedMs: 1_000, repeat: null },
  statement: { description: `at ${WORD} corner`, address: null, addressId: null, mediaUrl: null, attributes: {} },
  reporter: {
    ...{ name: WORD, email: `${WORD}@example.org`, phone: null, deviceId: null, accountId: null },
    reportedAt: '2026-01-01T00:00:00.000Z',
  },
  ...more,
});
const named = (id: string, token: string) =>
  entry(id, { repeat: { name: Buffer.from('the name'), asked: Buffer.from('the same'), token } });
const filesWith = (dir: string) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && readFileSync(join(one.parentPath, one.name)).includes(WORD))
    .map(({ name }) => name);
const knows = (store: CitizenStore, id: string) => until(() => store.statement(id) !== null, `${id} on the other node`);

test('shared citizens - what one node stores the others have, sealed in NATS; what is removed is in no folder', async () => {
  servers = await startedNats(1);
  const [a, b] = [await node(), await node()];
  const mediaUrl = mediaPath(await a.media.put(PHOTO));
  const { statement } = entry('c-1');
  await a.writes.put(entry('c-1', { statement: { ...statement, mediaUrl } }), 0);
  await a.writes.putComment('c-2', `${WORD} was quick`, 1_000, []);
  await knows(b.store, 'c-2');
  expect(b.store.statement('c-1')).toEqual({ said: { ...statement, mediaUrl } });
  expect(b.store.reporter('c-1')).toEqual(entry('c-1').reporter);
  expect(b.store.comment('c-2')).toEqual({ said: `${WORD} was quick` });
  expect((await b.media.get(photoIn(mediaUrl)!))?.bytes.equals(PHOTO.bytes)).toBe(true);
  expect(filesWith(b.dir)).toContain(photoIn(mediaUrl)!);
  const connection = await connectTo(nodeOf(servers, 'x'), 'test');
  undo.push(() => connection.close());
  const manager = await jetstreamManager(connection);
  const inNats = async (stream: string) => {
    const { state } = await manager.streams.info(stream);
    const found: Buffer[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq });
      if (message !== null) found.push(Buffer.from(message.data));
    }
    return Buffer.concat(found);
  };
  for (const stream of ['KV_lamppost-citizens', 'OBJ_lamppost-photos']) {
    const bytes = await inNats(stream);
    expect(bytes.length, stream).toBeGreaterThan(300);
    expect(bytes.includes(WORD), stream).toBe(false);
  }

  const rewrites = a.store.rewrites();
  expect(await b.writes.remove(['c-1', 'c-2'])).toEqual([mediaUrl]);
  await b.media.remove(photoIn(mediaUrl)!);
  await until(() => a.store.statement('c-1') === 'removed' && a.store.comment('c-2') === 'removed');
  for (const { store, dir, media } of [a, b]) {
    expect(store.reporter('c-1')).toBeNull();
    await until(() => filesWith(dir).length === 0, `nothing in ${dir}: ${filesWith(dir)}`);
    expect(await media.get(photoIn(mediaUrl)!)).toBeNull();
  }
  // Lists of before are made anew.
  expect(a.store.rewrites()).toBe(rewrites + 2);
  expect(await inNats('OBJ_lamppost-photos')).toHaveLength(0);
  expect(await b.writes.remove(['c-1', 'nobody'])).toBeNull();
});

test('shared citizens - two nodes with requests of one name at once store one', async () => {
  servers = await startedNats(1);
  const nodes = [await node(), await node()];
  const firsts = await Promise.all(
    Array.from({ length: 8 }, (_, n) => nodes[n % 2]!.writes.put(named(`c-${n}`, `token-${n}`), 0)),
  );
  expect(firsts.filter((first) => first === null)).toHaveLength(1);
  const one = firsts.indexOf(null);
  for (const first of firsts)
    if (first !== null) expect(first).toMatchObject({ id: `c-${one}`, token: `token-${one}` });
  await nodes[0]!.writes.caughtUp();
  expect(nodes[0]!.store.after('', 10)).toHaveLength(1);
});

test('shared citizens - a node that was away learns what was deleted meanwhile, also where no mark of it is left', async () => {
  servers = await startedNats(1);
  const a = await node();
  for (const id of ['c-1', 'c-2', 'c-3']) await a.writes.put(entry(id), 0);
  let b = await node();
  await knows(b.store, 'c-3');
  await b.stop();
  await a.writes.drop(['c-1', 'c-2']);
  await a.writes.forgetReporters(['c-3']);
  await a.keys.forgetDeleted((await a.keys.keys()).names, 0);
  expect((await a.keys.keys()).names.size).toBe(3);
  await a.keys.forgetDeleted((await a.keys.keys()).names, FAR_MS);
  expect((await a.keys.keys()).names).toEqual(new Set(['s.c-3']));
  b = await node(b.dir);
  await b.writes.tidy();
  expect(b.store.after('', 10)).toEqual([{ id: 'c-3', storedMs: 1_000, hasReporter: false }]);
  expect(readFileSync(join(b.dir, CITIZENS_FILE)).includes(`${WORD}@`)).toBe(false);
});

test('shared citizens - a file from before the cluster is shared once, with its photos; what was removed anywhere stays so', async () => {
  servers = await startedNats(1);
  const dirs = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'lamppost-before-')));
  for (const dir of dirs) {
    const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
    for (const id of ['c-both', 'c-gone']) store.put(entry(id));
    if (dir === dirs[1]) store.remove(['c-gone']);
    const name = await createMedia(join(dir, 'media')).put(PHOTO);
    const mediaUrl = mediaPath(name);
    if (dir === dirs[0]) store.put(entry('c-photo', { statement: { ...entry('').statement, mediaUrl } }));
    const follower = {
      id: 'f-1',
      ticket: 't',
      token: 'x',
      secret: 's',
      channel: 'email',
      contact: WORD,
      language: 'en',
    };
    const times = { createdMs: 5, confirmedMs: null, failingMs: null } as const;
    if (dir === dirs[0]) store.followers.add({ ...follower, channel: 'email', language: 'en', ...times });
    store.followers.confirm('f-1', 6);
    store.followers.put([], { store: 'before', n: 7 });
    store.close();
  }
  const a = await node(dirs[0]);
  await a.writes.tidy();
  const b = await node(dirs[1]);
  await b.writes.tidy();
  await a.writes.caughtUp();
  for (const { store } of [a, b]) {
    expect(store.after('', 10).map(({ id }) => id)).toEqual(['c-both', 'c-gone', 'c-photo']);
    expect(store.statement('c-gone')).toBe('removed');
    expect(store.reporter('c-both')).toMatchObject({ name: WORD });
    // Events up to the place of its node wait there, or were sent.
    expect([store.followers.of('t', 7).length, store.followers.of('t', 8).length]).toEqual([0, 1]);
  }
  rmSync(join(b.dir, 'media'), { recursive: true });
  const [url] = b.store.allMedia();
  expect((await b.media.get(photoIn(url!)!))?.bytes.equals(PHOTO.bytes)).toBe(true);
  const before = (await a.keys.keys()).revision;
  await a.writes.tidy();
  await b.writes.tidy();
  expect((await a.keys.keys()).revision).toBe(before);
});

test('shared citizens - a bucket that was lost is filled again from what the nodes have', async () => {
  servers = await startedNats(1);
  const a = await node();
  await a.writes.put(entry('c-1'), 0);
  const connection = await connectTo(nodeOf(servers, 'x'), 'test');
  await (await jetstreamManager(connection)).streams.delete('KV_lamppost-citizens');
  await openSharedKeys(connection, nodeOf(servers, 'x'), 'citizens');
  await connection.close();
  await a.writes.tidy();
  const b = await node();
  await knows(b.store, 'c-1');
});

test('shared citizens - photos of nobody go from the object store once they are old enough, those of requests stay', async () => {
  servers = await startedNats(1);
  const a = await node();
  const used = await a.media.put(PHOTO);
  await a.writes.put(entry('c-1', { statement: { ...entry('').statement, mediaUrl: mediaPath(used) } }), 0);
  const orphan = await a.media.put({ ...PHOTO, bytes: Buffer.from('another one') });
  const isUsed = (name: string) => name === used;
  await a.media.sweep(isUsed, 0);
  expect(await a.objects.names()).toEqual(new Set([used, orphan]));
  await a.media.sweep(isUsed, FAR_MS);
  expect(await a.objects.names()).toEqual(new Set([used]));
  rmSync(join(a.dir, 'media'), { recursive: true });
  expect((await a.media.get(used))?.bytes.equals(PHOTO.bytes)).toBe(true);
  expect(await a.media.get(orphan)).toBeNull();
});

test('shared citizens - what is removed at one node stays so, whatever another one changes of it at once', async () => {
  servers = await startedNats(1);
  const [a, b] = [await node(), await node()];
  const ids = Array.from({ length: 100 }, (_, n) => `c-${n}`);
  for (const id of ids) await a.writes.put(entry(id), 0);
  await knows(b.store, 'c-99');
  await Promise.all([
    ...ids.map((id) => a.writes.remove([id])),
    b.writes.forgetReporters(ids),
    ...ids.map((id) => b.writes.forgetReporters([id])),
  ]);
  for (const { store, writes } of [a, b]) {
    await writes.caughtUp();
    expect(new Set(ids.map((id) => store.statement(id)))).toEqual(new Set(['removed']));
  }
});

test('shared citizens - a contact that two nodes ask at once is asked once; what was sent leaves every queue', async () => {
  servers = await startedNats(1);
  const [a, b] = [await node(), await node()];
  const plan = (of: typeof a, id: string) => () => {
    if (of.store.followers.same('t', 'email', WORD) !== null) return null;
    const follower = {
      ...({ id, ticket: 't', token: 'x', secret: id, channel: 'email', contact: WORD, language: 'en' } as const),
      ...{ createdMs: 5, confirmedMs: null, failingMs: null },
    };
    return { follower, before: null, message: { follower: id, name: 'confirm', body: '{}', event: 0, dueMs: 5 } };
  };
  await Promise.all([a, b].flatMap((of, n) => [1, 2].map((m) => of.writes.ask(plan(of, `f-${n}-${m}`)))));
  for (const { writes } of [a, b]) await writes.caughtUp();
  const waiting = [a, b].map(({ store }) => store.followers.due(10, 10));
  expect(waiting.map((due) => due.map(({ follower }) => follower.id))).toEqual([
    [waiting[0]![0]!.follower.id],
    [waiting[0]![0]!.follower.id],
  ]);
  const [asked] = waiting[1]!;
  await b.writes.attempted(asked!, { failingMs: null, isOver: true });
  await a.writes.confirm(asked!.follower.id, 20);
  for (const { store, writes } of [a, b]) {
    await writes.caughtUp();
    expect(store.followers.due(10, 10)).toEqual([]);
    expect(store.followers.of('t', 1)).toMatchObject([{ confirmedMs: 20 }]);
    const message = { follower: asked!.follower.id, body: '{}', dueMs: 5 };
    store.followers.put(
      [1, 2].map((event) => ({ ...message, event, name: `e-${event}` })),
      null,
    );
  }
  const [first] = a.store.followers.due(10, 10);
  await a.writes.attempted(first!, { failingMs: null, isOver: true });
  await b.writes.caughtUp();
  for (const { store } of [a, b]) expect(store.followers.due(10, 10)).toMatchObject([{ event: 2 }]);
  expect(b.store.followers.of('t', 1)).toEqual([]);
  await b.writes.unfollow([asked!.follower.id]);
  await a.writes.caughtUp();
  for (const { store } of [a, b]) expect([store.followers.count('t'), store.followers.nextDue()]).toEqual([0, null]);
});

test('shared citizens - what was acknowledged before and after the end of a NATS server is the same on every node', async () => {
  servers = await startedNats(3);
  const nodes = [await node(), await node()];
  const stored: string[] = [];
  /** Stores requests with photos, and what is refused again, until so many are there. */
  async function work({ media, writes }: (typeof nodes)[number], name: string, until: () => boolean) {
    for (let n = 0; !until(); n++) {
      const [id, bytes] = [`c-${name}-${n}`, Buffer.from(`${name}-${n}`.repeat(50_000))];
      try {
        const mediaUrl = mediaPath(await media.put({ ...PHOTO, bytes }));
        const repeat = { name: Buffer.from(id), asked: Buffer.from('same'), token: id };
        await writes.put(entry(id, { repeat, statement: { ...entry('').statement, mediaUrl } }), 0);
        stored.push(id);
      } catch (error) {
        expect(error).toMatchObject({ code: 'log-away' });
      }
    }
  }
  const round = (name: string, most: number) =>
    Promise.all(nodes.map((one, n) => work(one, `${name}${n}`, () => stored.length >= most)));
  await round('before', 20);
  const connection = await connectTo(nodeOf(servers, 'x'), 'test');
  const { cluster } = await (await jetstreamManager(connection)).streams.info('KV_lamppost-citizens');
  await connection.close();
  const during = round('during', 60);
  await servers[Number(cluster!.leader!.slice(1))]!.end();
  await during;
  for (const { store, writes, media } of nodes) {
    await writes.caughtUp();
    expect(store.after('', 1_000).map(({ id }) => id)).toEqual(expect.arrayContaining(stored));
    for (const url of store.allMedia()) expect(await media.get(photoIn(url)!), url).not.toBeNull();
  }
  const [one, other] = nodes.map(({ store }) => store.after('', 1_000));
  expect(one).toEqual(other);
});

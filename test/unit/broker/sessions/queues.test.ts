import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import pino from 'pino';
import { expect, test } from 'vitest';
import { SessionsFile } from '../../../../broker/sessions/file.ts';
import { Pages, Turns } from '../../../../broker/sessions/outbox.ts';
import { Queues } from '../../../../broker/sessions/queues.ts';
import type { Session } from '../../../../broker/sessions/session.ts';
import { SessionTable } from '../../../../broker/sessions/table.ts';
import type { Publication } from '../../../../domain/index.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';
import { range } from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

const log = pino({ level: 'silent' });
const LIMITS = { days: 7, messages: 5, bytes: 1_000, perUser: 10 };
const IDS = ['a', 'b', 'c'];
const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-queues-'));

/** Queues over a file and an outbox, as the broker opens them, once all are counted. */
async function open(dir: string, outbox: MemoryOutbox, limits = LIMITS) {
  const file = new SessionsFile(join(dir, 'sessions.sqlite'), log, () => {});
  const table = new SessionTable(file, limits, 0);
  let dropped = 0;
  const turns = new Turns();
  const onDropped = (session: Session, _reason: unknown, messages: number) => {
    dropped += messages;
    table.write(session);
  };
  const queues = new Queues({ table, pages: new Pages(outbox), turns, limits, mayRead: () => true, onDropped });
  table.load({ store: outbox.store(), head: outbox.now().head });
  for (const session of table.all()) queues.count(session);
  await until(() => [...table.all()].every(({ counted }) => counted === null), 'the counts');
  const sessionOf = (id: string) => {
    const known = table.get(id);
    if (known !== undefined) return known;
    const session = table.create(id, { user: 'u', secret: Buffer.alloc(32) }, 0);
    table.subscribe(session, [{ topic: `+/${id}`, qos: 1 }]);
    return session;
  };
  /** Adds an event with a message for each of these sessions. */
  const add = (ids: readonly string[], payload: string) => {
    const messages = ids.map((id): Publication => ({ topic: `t/${id}`, payload, qos: 1, retain: false }));
    const n = outbox.append(...messages);
    for (const session of queues.add({ n, messages }).keys()) queues.trim(session);
  };
  /** Takes the next event of a session on its way; returns its payload, null where nothing waits. */
  const take = (session: Session): string | null => {
    while (table.isBehind(session)) {
      const [share] = queues.next(session);
      const [message] = share!.messages;
      if (message !== undefined) session.sent.set(queues.freeMessageId(session, new Set()), message);
      queues.pass(session, share!);
      if (message !== undefined) return message.payload;
    }
    return null;
  };
  const close = () => {
    turns.stop();
    table.stop();
    return file.close();
  };
  return { file, table, queues, sessionOf, add, take, close, dropped: () => dropped };
}

/** The expected queue: payloads that wait, and those on their way. */
type Model = Map<string, { waiting: string[]; sent: string[] }>;

const bytesOf = (payloads: readonly string[]) => payloads.reduce((sum, payload) => sum + payload.length + 3, 0);

function trimmed({ waiting, sent }: { waiting: string[]; sent: string[] }): number {
  let dropped = 0;
  while (waiting.length > 0 && (waiting.length + sent.length > LIMITS.messages || bytesOf(waiting) > LIMITS.bytes)) {
    waiting.shift();
    dropped++;
  }
  return dropped;
}

const idOf = fc.constantFrom(...IDS);
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      to: fc.subarray(IDS),
      size: fc.integer({ min: 1, max: 600 }),
    }),
    fc.record({ kind: fc.constant('take' as const), id: idOf }),
    fc.record({ kind: fc.constant('acknowledge' as const), id: idOf, which: fc.nat(5) }),
    fc.record({ kind: fc.constant('end' as const), id: idOf }),
    fc.record({ kind: fc.constant('unsubscribe' as const), id: idOf }),
    fc.record({ kind: fc.constant('restart' as const) }),
  ),
  { maxLength: 120 },
);

test('queues - after any events, deliveries, acknowledgements, ends and restarts they equal a model, within their caps', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (run) => {
      const dir = newDir();
      const outbox = new MemoryOutbox();
      let store = await open(dir, outbox);
      for (const id of IDS) store.sessionOf(id);
      const model: Model = new Map(IDS.map((id) => [id, { waiting: [], sent: [] }]));
      let counter = 0;
      let [lost, lostBefore] = [0, 0];
      for (const step of run) {
        if (step.kind === 'add') {
          const payload = `${++counter}`.padEnd(step.size, '.');
          store.add(step.to, payload);
          for (const id of step.to) {
            model.get(id)!.waiting.push(payload);
            lost += trimmed(model.get(id)!);
          }
        } else if (step.kind === 'take') {
          const { waiting, sent } = model.get(step.id)!;
          const next = waiting.shift() ?? null;
          if (next !== null) sent.push(next);
          expect(store.take(store.sessionOf(step.id))).toBe(next);
        } else if (step.kind === 'acknowledge') {
          const session = store.sessionOf(step.id);
          const messageId = [...session.sent.keys()][step.which];
          if (messageId === undefined) continue;
          session.sent.delete(messageId);
          store.table.moved(session);
          model.get(step.id)!.sent.splice(step.which, 1);
        } else if (step.kind === 'end') {
          store.table.delete(store.sessionOf(step.id));
          store.sessionOf(step.id);
          model.set(step.id, { waiting: [], sent: [] });
        } else if (step.kind === 'unsubscribe') {
          const session = store.sessionOf(step.id);
          store.table.unsubscribe(session, [`+/${step.id}`]);
          store.queues.recount(session);
          store.table.subscribe(session, [{ topic: `+/${step.id}`, qos: 1 }]);
          model.get(step.id)!.waiting = [];
        } else {
          lostBefore += store.dropped();
          await store.close();
          store = await open(dir, outbox);
        }
        await until(() => [...store.table.all()].every(({ counted }) => counted === null), 'the counts');
        for (const [id, { waiting, sent }] of model) {
          const session = store.sessionOf(id);
          expect([session.messages, session.bytes]).toEqual([waiting.length, bytesOf(waiting)]);
          expect([...session.sent.values()].map((one) => store.queues.sent(one)!.payload)).toEqual(sent);
        }
      }
      expect(lostBefore + store.dropped()).toBe(lost);
      for (const [id, { waiting }] of model) {
        const session = store.sessionOf(id);
        const left: string[] = [];
        for (let next = store.take(session); next !== null; next = store.take(session)) left.push(next);
        expect(left).toEqual(waiting);
      }
      await store.close();
    }),
    { seed: 20_260_501, numRuns: 100 },
  );
});

const WIDE = { ...LIMITS, messages: 10_000, bytes: 1e9 };

test('queues - an event writes nothing, whether a thousand sessions wait for it or none', async () => {
  const outbox = new MemoryOutbox();
  const store = await open(newDir(), outbox, WIDE);
  const ids = range(1, 1_000).map((n) => `s${n}`);
  for (const id of ids) store.table.subscribe(store.sessionOf(id), [{ topic: '#', qos: 1 }]);
  await store.file.synced();
  const changes = () => Number(store.file.db.prepare('select total_changes() as n').get()!.n);
  const before = changes();
  for (const n of range(1, 100)) store.add(['x'], String(n));
  expect(store.sessionOf('s1').messages).toBe(100);
  store.file.flush();
  expect(changes()).toBe(before);
  await store.close();
});

test('queues - a thousand sessions that come back read and parse the outbox once', async () => {
  const outbox = new MemoryOutbox();
  const store = await open(newDir(), outbox, WIDE);
  const sessions = range(1, 1_000).map((n) => store.sessionOf(`s${n}`));
  for (const session of sessions) store.table.subscribe(session, [{ topic: '#', qos: 1 }]);
  for (const n of range(1, 500)) store.add(['x'], String(n));
  const before = outbox.reads;
  for (let page = 0; page < 10; page++) {
    for (const session of sessions) for (const share of store.queues.next(session)) store.queues.pass(session, share);
  }
  expect(sessions.every((session) => session.messages === 0 && !store.table.isBehind(session))).toBe(true);
  expect(outbox.reads - before).toBe(10);
  await store.close();
});

test('queues - what the outbox no longer has was dropped, once; the rest comes', async () => {
  const outbox = new MemoryOutbox();
  const store = await open(newDir(), outbox, WIDE);
  const session = store.sessionOf('a');
  for (const n of range(1, 300)) store.add(n % 3 === 0 ? ['a'] : [], String(n));
  expect(session.messages).toBe(100);
  outbox.prune(150);
  store.queues.check(session, outbox.oldest());
  for (const n of range(301, 330)) store.add(n % 3 === 0 ? ['a'] : [], String(n));
  await until(() => session.counted === null, 'the count');
  expect([store.dropped(), session.messages]).toEqual([50, 60]);
  outbox.prune(60);
  const left: (string | null)[] = [];
  for (let next = store.take(session); next !== null; next = store.take(session)) left.push(next);
  expect(left.map(Number)).toEqual(range(271, 330).filter((n) => n % 3 === 0));
  await until(() => store.dropped() === 90, 'what was dropped');
  await store.close();
});

test('queues - after a crash a queue goes on from its last row, and its count is right', async () => {
  const [dir, copy] = [newDir(), newDir()];
  const outbox = new MemoryOutbox();
  const store = await open(dir, outbox, WIDE);
  const session = store.sessionOf('a');
  await store.file.synced();
  for (const n of range(1, 120)) store.add(['a'], String(n));
  store.take(session);
  store.file.flush();
  cpSync(dir, copy, { recursive: true });
  const next = await open(copy, outbox, WIDE);
  const again = next.sessionOf('a');
  expect([again.messages, again.sent.size]).toEqual([120, 0]);
  expect(next.take(again)).toBe('1');
  await next.close();
  await store.close();
});

test.each([
  ['another outbox', (outbox: MemoryOutbox) => Object.assign(outbox.copy(), { name: 'two' }), range(1, 9)],
  ['an outbox of a backup', (outbox: MemoryOutbox) => outbox.copy(4), range(5, 9)],
])('queues - in %s nothing is lost', async (_name, replace, wanted) => {
  const dir = newDir();
  const outbox = new MemoryOutbox();
  const before = await open(dir, outbox, WIDE);
  before.sessionOf('a');
  for (const n of range(1, 6)) before.add(['a'], String(n));
  for (const _ of range(1, 5)) before.take(before.sessionOf('a'));
  await before.close();
  const replaced = replace(outbox);
  const after = await open(dir, replaced, WIDE);
  const session = after.sessionOf('a');
  for (const n of range(replaced.now().head + 1, 9)) after.add(['a'], String(n));
  const left: (string | null)[] = [];
  for (let next = after.take(session); next !== null; next = after.take(session)) left.push(next);
  expect(left.map(Number)).toEqual(wanted);
  await after.close();
});

test('queues - a subscription brings no event of before it, also where older events wait', async () => {
  const outbox = new MemoryOutbox();
  const store = await open(newDir(), outbox, WIDE);
  const session = store.sessionOf('a');
  for (const n of range(1, 3)) store.add(['a', 'b'], String(n));
  store.table.subscribe(session, [{ topic: '+/b', qos: 1 }]);
  store.add(['b'], '4');
  const left: string[] = [];
  while (store.table.isBehind(session))
    for (const share of store.queues.next(session)) {
      left.push(...share.messages.map(({ topic, payload }) => `${topic} ${payload}`));
      store.queues.pass(session, share);
    }
  expect(left).toEqual(['t/a 1', 't/a 2', 't/a 3', 't/b 4']);
  await store.close();
});

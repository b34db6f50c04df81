import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import pino from 'pino';
import { expect, test } from 'vitest';
import { SessionsFile } from '../../../../broker/sessions/file.ts';
import { Queues } from '../../../../broker/sessions/queues.ts';
import type { Session } from '../../../../broker/sessions/session.ts';
import { SessionTable } from '../../../../broker/sessions/table.ts';

const log = pino({ level: 'silent' });
const LIMITS = { days: 7, messages: 5, bytes: 1_000, perUser: 10 };
const IDS = ['a', 'b', 'c'];
const newPath = () => join(mkdtempSync(join(tmpdir(), 'lamppost-queues-')), 'sessions.sqlite');

/** Queues over a file, as the broker opens them. */
function open(path: string) {
  const file = new SessionsFile(path, log);
  const registry = new SessionTable(file, LIMITS, 0);
  let dropped = 0;
  const queues = new Queues(file, LIMITS, (_session, _reason, messages) => {
    dropped += messages;
  });
  queues.load(registry.load());
  const sessionOf = (id: string) => registry.get(id) ?? registry.create(id, { user: 'u', secret: Buffer.alloc(32) }, 0);
  const packets = () => {
    file.flush();
    return file.db
      .prepare('select n from packets order by n')
      .all()
      .map(({ n }) => Number(n));
  };
  return { file, queues, sessionOf, packets, dropped: () => dropped };
}

const packetOf = (counter: number, payload: string) =>
  ({
    cmd: 'publish',
    brokerId: 'b',
    brokerCounter: counter,
    topic: 't',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
  }) as const;

/** The expected queue: payloads, and the id under which each was sent. */
type Model = Map<string, { payload: string; messageId: number | null }[]>;

function trimmed(queue: { payload: string; messageId: number | null }[]): number {
  const isOver = () =>
    queue.length > LIMITS.messages || queue.reduce((sum, { payload }) => sum + payload.length + 1, 0) > LIMITS.bytes;
  let dropped = 0;
  while (isOver()) {
    const oldest = queue.findIndex(({ messageId }) => messageId === null);
    if (oldest === -1) break;
    queue.splice(oldest, 1);
    dropped++;
  }
  return dropped;
}

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      to: fc.subarray(IDS, { minLength: 1 }),
      size: fc.integer({ min: 1, max: 600 }),
    }),
    fc.record({ kind: fc.constant('send' as const), id: fc.constantFrom(...IDS) }),
    fc.record({ kind: fc.constant('acknowledge' as const), id: fc.constantFrom(...IDS), which: fc.nat(5) }),
    fc.record({ kind: fc.constant('clear' as const), id: fc.constantFrom(...IDS) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  ),
  { maxLength: 60 },
);

function compare(store: ReturnType<typeof open>, model: Model): void {
  for (const id of IDS) {
    const session = store.sessionOf(id);
    const wanted = model.get(id) ?? [];
    const found = store.queues.page(session, 0, 1_000)!;
    expect(found.map(({ packet, messageId }) => ({ payload: packet.payload.toString(), messageId }))).toEqual(wanted);
    const bytes = wanted.reduce((sum, { payload }) => sum + payload.length + 1, 0);
    expect({ messages: session.messages, bytes: session.bytes }).toEqual({ messages: wanted.length, bytes });
    expect([...session.inFlight.keys()]).toEqual(wanted.flatMap(({ messageId }) => messageId ?? []));
  }
  const numbers = IDS.flatMap((id) => store.queues.page(store.sessionOf(id), 0, 1_000)!.map(({ n }) => n));
  expect(store.packets(), 'a packet is there while a queue has it').toEqual(
    [...new Set(numbers)].toSorted((x, y) => x - y),
  );
}

test('queues - after any adding, sending, acknowledging, clearing and restarting they equal a model, within their caps', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (run) => {
      const path = newPath();
      const model: Model = new Map(IDS.map((id) => [id, []]));
      let store = open(path);
      let counter = 0;
      let lost = 0;
      let lostBefore = 0;
      for (const step of run) {
        if (step.kind === 'add') {
          const payload = `${++counter}`.padEnd(step.size, '.');
          store.queues.add(step.to.map(store.sessionOf), packetOf(counter, payload));
          for (const id of step.to) {
            const queue = model.get(id)!;
            queue.push({ payload, messageId: null });
            lost += trimmed(queue);
          }
        } else if (step.kind === 'send') {
          const session = store.sessionOf(step.id);
          const next = store.queues.page(session, 0, 1_000)!.find(({ messageId }) => messageId === null);
          if (next === undefined) continue;
          const messageId = store.queues.freeMessageId(session, new Set());
          store.queues.assign(session, next, messageId);
          model.get(step.id)!.find((one) => one.messageId === null)!.messageId = messageId;
        } else if (step.kind === 'acknowledge') {
          const session = store.sessionOf(step.id);
          const messageId = [...session.inFlight.keys()][step.which];
          if (messageId === undefined) continue;
          const queue = model.get(step.id)!;
          const index = queue.findIndex((one) => one.messageId === messageId);
          const packet = store.queues.acknowledge(session, messageId);
          expect(packet).toMatchObject({ messageId });
          expect(packet!.payload.toString()).toBe(queue.splice(index, 1)[0]!.payload);
        } else if (step.kind === 'clear') {
          store.queues.clear(store.sessionOf(step.id));
          model.set(step.id, []);
        } else {
          lostBefore += store.dropped();
          await store.file.close();
          store = open(path);
        }
        compare(store, model);
      }
      expect(lostBefore + store.dropped()).toBe(lost);
      await store.file.close();
    }),
    { seed: 20_260_501, numRuns: 100 },
  );
});

test('queues - a session that ends while the disk is full takes no message from another', async () => {
  const path = newPath();
  const store = open(path);
  const [a, b] = [store.sessionOf('a'), store.sessionOf('b')] as [Session, Session];
  store.queues.add([a, b], packetOf(1, 'x'));
  const [message] = store.queues.page(a, 0)!;
  await store.file.synced();
  const { page_count } = store.file.db.prepare('pragma page_count').get()!;
  store.file.db.exec(`pragma max_page_count = ${page_count}`);
  store.queues.assign(a, message!, 1);
  store.queues.acknowledge(a, 1);
  store.queues.add([b], packetOf(2, 'y'.repeat(900)));
  for (let n = 3; n < 30; n++)
    store.file.write(
      store.file.db.prepare(`insert into drops values ('${n}', '${'z'.repeat(900)}', 'u', 'r', 1, 1, 1)`),
    );
  expect(store.file.flush(), 'the disk is full').toBe(false);
  store.queues.clear(a);
  store.file.db.exec('pragma max_page_count = 1000000');
  await store.file.synced();
  expect(store.queues.page(b, 0)!.map(({ packet }) => packet.payload.toString()[0])).toEqual(['x', 'y']);
  expect(store.queues.page(a, 0)).toEqual([]);
  await store.file.close();
});

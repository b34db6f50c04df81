import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JournalSessions } from '../../app/threads/session-records.ts';
import { SharedClock } from '../../domain/index.ts';
import { JournalServer } from '../../journal/index.ts';
import { type RawClient, type Scene, startBroker } from '../kit/broker/kit.ts';
import { MemoryOutbox } from '../kit/broker/outbox.ts';
import { acknowledge, keptSession, payloads, range, subscribe } from '../kit/broker/sessions.ts';
import { until } from '../kit/wait.ts';

const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-nodes-'));
const journalDir = newDir();
const counter = new Int32Array(new SharedArrayBuffer(4));
const limits = { maxBytes: 1e9, retentionMs: 3_600_000, tickMs: 50 };
const clock = new SharedClock();
const deps = { path: join(journalDir, 'journal.sqlite'), clock, timekeeper: null, signal: { counter } };
const journal = new JournalServer(deps, limits);
const opened: { scene: Scene; log: JournalSessions }[] = [];

beforeAll(() => {
  journal.open();
  journal.start();
});
afterAll(async () => {
  for (const { scene, log } of opened) {
    await scene.stop();
    log.close();
  }
  await journal.stop();
});

/** A broker that follows the journal's file, as the thread of a node does. */
async function node(name: string, dir = newDir(), outbox = new MemoryOutbox()): Promise<Scene> {
  let scene: Scene | null = null;
  const log = new JournalSessions({
    ...{ node: name, dir: journalDir, counter },
    append: async (control) => journal.control('sessions', control, null),
    followed: () => {},
    onMore: () => scene?.broker.recorded(),
  });
  scene = await startBroker({ dir, outbox, clock: clock.steady, records: log.records });
  opened.push({ scene, log });
  void log.follow();
  return scene;
}

/** Notes what comes, acknowledges each third message late or never, and is cut without a word. */
function take(client: RawClient, into: string[]): void {
  client.onPacket = (packet) => {
    if (packet.cmd !== 'publish') return;
    into.push(packet.payload.toString());
    if (into.length % 3 !== 0) acknowledge(client, packet.messageId!);
  };
  for (const packet of client.packets) client.onPacket(packet);
}

test('sessions - between two brokers over one journal, one of which crashes, a client gets every event in order', async () => {
  const x = await node('x');
  let y = await node('y');
  const got: string[] = [];
  const first = await keptSession(x, 'admin', { acknowledges: false });
  take(first, got);
  await subscribe(first, 'events/#');
  let published = 0;
  const publish = (count: number) => {
    for (let more = 0; more < count; more++) {
      const event = { topic: 'events/tickets/waste/1', payload: String(++published), qos: 1, retain: false } as const;
      for (const one of [x, y]) one.publish(event);
    }
  };
  let before = first;
  for (const round of range(1, 6)) {
    publish(20);
    if (round === 3) {
      // As by kill -9: another one begins from what is in the files at this moment.
      const dir = newDir();
      cpSync(y.dir, dir, { recursive: true });
      y = await node('y', dir, y.outbox.copy());
    }
    if (round % 2 === 0) before.socket.destroy();
    const client = await keptSession(round % 2 === 1 ? y : x, 'admin', { acknowledges: false });
    expect(client.got('connack')[0]!.sessionPresent, `round ${round}`).toBe(true);
    take(client, got);
    publish(20);
    // The connection to the other node ends by itself, or was cut.
    await before.closed;
    before = client;
  }
  await until(() => got.includes(String(published)), 'the newest event');
  const firsts = [...new Set(got)].map(Number);
  expect(firsts).toEqual(range(1, published));
  expect(payloads(first).length).toBeGreaterThan(0);
});

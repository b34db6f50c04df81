import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HistoryProgress } from '../../../domain/index.ts';
import { createHistoryConsumer, createInfluxHistory, SharedHistory } from '../../../history/index.ts';
import {
  createHistoryProgress,
  createLedgerReader,
  createLedgerStore,
  createQuarantineStore,
} from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { InfluxScript } from '../../kit/influx.ts';
import { cityControl, native, openIntake, openState, testClock, testDir, write } from '../../kit/ingest/intake.ts';

const START = 1_700_000_000_000;
const ends: (() => unknown)[] = [];
let script: InfluxScript;
let clock: ReturnType<typeof testClock>;
let dir: string;
let store: JournalStore;
let nodes: ReturnType<typeof openNode>[];
let records: HistoryProgress[];

beforeEach(async () => {
  script = new InfluxScript();
  await script.start();
  clock = testClock(START);
  dir = testDir();
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
  write(store, { kind: 'city', atMs: START, body: cityControl() });
  const registered = [{ id: 'd1', profile: 'bin', district: 'east' }];
  write(store, { kind: 'devices', atMs: START, body: { version: 1, registered, revoked: [] } });
  records = [];
  nodes = [];
  for (const name of ['a', 'b']) nodes.push(openNode(name));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  store.close();
  await script.stop();
});

/** A node with a state of its own, which follows the log of this test. */
function openNode(name: string) {
  const db = openState(join(dir, `${name}.sqlite`));
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { context, intake } = openIntake(db);
  const { metrics } = context;
  const progress = createHistoryProgress(db);
  let isOver = false;
  const append = (record: HistoryProgress) => {
    records.push(record);
    for (const node of nodes) node.progress.take(record);
  };
  const shared = new SharedHistory(progress.confirmed, append, () => isOver);
  /** Its lease is over or not, without anybody telling it. */
  const expire = (over: boolean) => {
    isOver = over;
  };
  const settings = { url: script.url, token: '', org: '', bucket: 'b', api: 'v2' } as const;
  const writes = () => shared.holds();
  const history = createInfluxHistory({ metrics, unitOf: () => 'u', clock, writes }, settings);
  const parts = { ledger: createLedgerStore(db), quarantine: createQuarantineStore(db), history, shared };
  const consumer = createHistoryConsumer(
    { db, journal, intake, metrics, clock, log: pino({ level: 'silent' }), ...parts },
    { readings: 20, ageMs: 1_000 },
  );
  const end = async () => {
    await history.stop();
    db.close();
    journal.close();
  };
  ends.push(end);
  return { consumer, shared, expire, progress, ledger: createLedgerReader(db, journal) };
}

function publish(from: number, until: number): void {
  for (let n = from; n < until; n++) {
    const message = native('d1', { ts: START + n, metrics: { a: n % 100 } }, START + n);
    write(store, { kind: 'messages', atMs: START + n, messages: [message] });
  }
}

async function drain(): Promise<void> {
  for (const { consumer } of nodes) while (await consumer.step(true));
}

const lines = () => script.writes.flatMap((one) => one.lines).length;
const needs = () => nodes.map(({ consumer }) => consumer.needs());

test('a shared InfluxDB - the holder of the duty writes it, and every node counts what is stored', async () => {
  nodes[0]!.shared.hold(1);
  publish(0, 15);
  await drain();
  expect([script.points.size, lines()]).toEqual([15, 15]);
  for (const { ledger, consumer } of nodes) {
    expect(ledger.read()!.readings).toMatchObject({ received: 15, stored: 15, duplicate: 0, quarantined: 0 });
    expect(consumer.trouble()).toBeNull();
  }
});

test('a shared InfluxDB - nobody writes without the duty, and the log is kept for whoever gets it', async () => {
  publish(0, 15);
  await drain();
  clock.ms += 200_000;
  publish(15, 16);
  await drain();
  expect([lines(), records, needs()]).toEqual([0, [], [0, 0]]);
  nodes[1]!.shared.hold(1);
  await drain();
  expect(script.points.size).toBe(16);
});

test('a shared InfluxDB - the next holder writes again what the one before may have lost, and counts nothing twice', async () => {
  nodes[0]!.shared.hold(1);
  publish(0, 15);
  await drain();
  clock.ms += 120_000;
  publish(15, 16);
  await drain();
  // Two minutes later it is on the database's disk, and the log says so.
  expect([records, needs()]).toEqual([[{ duty: 'history', revision: 1, seq: 17 }], [17, 17]]);
  publish(16, 20);
  await drain();
  expect(lines()).toBe(20);
  // The holder is gone, and the database with what it had in memory.
  script.points.clear();
  nodes[1]!.shared.hold(2);
  await drain();
  expect([script.points.size, lines()]).toEqual([5, 25]);
  expect(nodes.map(({ ledger }) => ledger.read()!.readings.stored)).toEqual([20, 20]);
  // A record of the lease before counts for nothing.
  nodes[1]!.progress.take({ duty: 'history', revision: 2, seq: 18 });
  nodes[1]!.progress.take({ duty: 'history', revision: 1, seq: 21 });
  expect(nodes[1]!.progress.confirmed()).toBe(18);
});

test('a shared InfluxDB - whoever was paused for longer than its lease writes nothing more under it; renewed, it writes what passed meanwhile', async () => {
  const [paused, next] = nodes as [ReturnType<typeof openNode>, ReturnType<typeof openNode>];
  paused.shared.hold(1);
  publish(0, 15);
  await drain();
  paused.expire(true);
  publish(15, 20);
  await drain();
  expect([script.points.size, lines()]).toEqual([15, 15]);
  next.shared.hold(2);
  await drain();
  expect(script.points.size).toBe(20);
  next.shared.hold(null);
  publish(20, 25);
  await drain();
  expect(script.points.size).toBe(20);
  paused.expire(false);
  publish(25, 26);
  await drain();
  expect(script.points.size).toBe(26);
});

import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHistoryConsumer, createInfluxHistory, type HistoryConsumer } from '../../../history/index.ts';
import { bodyOfPart } from '../../../ingest/import/part.ts';
import {
  createLedgerReader,
  createLedgerStore,
  createQuarantineReader,
  createQuarantineStore,
  importParts,
  type LedgerStore,
} from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { InfluxScript, type Responder, says, stored } from '../../kit/influx.ts';
import {
  cityControl,
  native,
  openIntake,
  openState,
  type TestClock,
  testClock,
  testDir,
  write,
} from '../../kit/ingest/intake.ts';

const START = 1_700_000_000_000;
const BATCH = 20;
const ends: (() => unknown)[] = [];
let script: InfluxScript;
let clock: TestClock;
let run: ReturnType<typeof open>;
let dir: string;
let store: JournalStore;
let lines: string[] = [];

beforeEach(async () => {
  lines = [];
  script = new InfluxScript();
  await script.start();
  clock = testClock(START);
  dir = testDir();
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
  write(store, { kind: 'city', atMs: START, body: cityControl() });
  const registered = ['d1', 'd2'].map((id) => ({ id, profile: 'bin', district: 'east' }));
  write(store, { kind: 'devices', atMs: START, body: { version: 1, registered, revoked: [] } });
  run = open();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  store.close();
  await script.stop();
});

/** A process over the files of this test. */
function open(ledgerOf = (ledger: LedgerStore): LedgerStore => ledger) {
  const db = openState(join(dir, 'state.sqlite'));
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { context, intake } = openIntake(db);
  const { metrics } = context;
  const settings = { url: script.url, token: '', org: '', bucket: 'b', api: 'v2' } as const;
  const limits = { lines: 5, inFlight: 1, timeoutMs: 5_000 };
  const history = createInfluxHistory({ metrics, unitOf: () => 'u', clock }, settings, limits);
  const stores = { ledger: ledgerOf(createLedgerStore(db)), quarantine: createQuarantineStore(db) };
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line).msg) },
  );
  const deps = { db, journal, intake, history, metrics, clock, log, random: () => 1, ...stores };
  const consumer = createHistoryConsumer(deps, { readings: BATCH, ageMs: 1_000 });
  const end = async () => {
    await history.stop();
    db.close();
    journal.close();
  };
  ends.push(end);
  return { consumer, db, ledger: createLedgerReader(db, journal), quarantine: createQuarantineReader(db), end };
}

/** Block after block of one message of `d1`, with one reading each. */
function publish(from: number, until: number): void {
  for (let n = from; n < until; n++) {
    const message = native('d1', { ts: START + n, metrics: { a: n % 100 } }, START + n);
    write(store, { kind: 'messages', atMs: START + n, messages: [message] });
  }
}

async function drain(consumer: HistoryConsumer): Promise<void> {
  while (await consumer.step(true));
}

/** Advances the clock until the consumer sends a request again; returns how long that took. */
async function untilAsked(consumer: HistoryConsumer): Promise<number> {
  const { length } = script.writes;
  for (let waited = 0; waited < 400_000; waited += 100) {
    await consumer.step(true);
    if (script.writes.length > length) return waited;
    clock.ms += 100;
  }
  throw new Error('it asks no more');
}

test('an outage - is retried after 1, 2, 4 … 30 s; one batch waits, and everything is stored once it is over', async () => {
  publish(0, 200);
  script.respond = says(503, { error: 'shard is gone' });
  const waits: number[] = [];
  for (let n = 0; n < 8; n++) waits.push(await untilAsked(run.consumer));
  expect(waits).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(run.consumer.trouble()).toContain('shard is gone');
  expect(lines).toEqual([expect.stringContaining('shard is gone')]);
  expect(run.consumer.cursor()).toBe(0);
  // A batch of 20 in requests of 5 lines, the first of which fails: no more of it is ever sent.
  expect(new Set(script.writes.flatMap(({ lines }) => lines)).size).toBe(5);
  expect(run.ledger.read()!.messages.pending).toBe(200);

  script.respond = stored;
  await untilAsked(run.consumer);
  await drain(run.consumer);
  expect(run.consumer.trouble()).toBeNull();
  expect(lines.slice(1)).toEqual(['the history goes on']);
  expect(script.points.size).toBe(200);
  expect(run.ledger.read()!.readings).toMatchObject({ stored: 200, duplicate: 0, quarantined: 0 });
});

test('an outage - a delay that the server names is kept, and a success resets the delays', async () => {
  publish(0, 10);
  script.respond = says(429, {}, { 'retry-after': '45' });
  await untilAsked(run.consumer);
  expect(await untilAsked(run.consumer)).toBe(45_000);
  script.respond = stored;
  await untilAsked(run.consumer);
  publish(10, 20);
  script.respond = says(500, {});
  await untilAsked(run.consumer);
  expect(await untilAsked(run.consumer)).toBe(1_000);
});

test('a small batch waits for a second, or for the batch to be full', async () => {
  publish(0, 3);
  expect(await run.consumer.step(false)).toBe(false);
  clock.ms += 999;
  expect(await run.consumer.step(false)).toBe(false);
  clock.ms += 1;
  expect(await run.consumer.step(false)).toBe(true);
  publish(3, 100);
  expect(await run.consumer.step(false)).toBe(true);
});

test('readings that the database refuses are counted and kept before the batch is settled; the ledger balances; each can be found by its payload', async () => {
  publish(0, 30);
  const bad: Responder = (met, response, server) => {
    const [first] = met.lines.filter((line) => / a=(7|23) /.test(line));
    if (first === undefined) stored(met, response, server);
    else says(400, { code: 'invalid', message: `unable to parse '${first}'` })(met, response, server);
  };
  script.respond = bad;
  await drain(run.consumer);
  expect(script.points.size).toBe(28);
  const { messages, readings } = run.ledger.read('d1')!;
  expect(messages).toEqual({ received: 30, decoded: 30, quarantined: 0, pending: 0 });
  expect(readings).toEqual({ received: 30, stored: 28, replaced: 0, duplicate: 0, quarantined: 2 });
  const { items } = run.quarantine.list({ reason: 'history-refused', limit: 10, after: null });
  expect(items).toHaveLength(2);
  const raws = items.map(({ id }) => JSON.parse(Buffer.from(run.quarantine.get(id)!.raw, 'base64').toString()));
  // Newest first, as everywhere.
  expect(raws).toEqual([23, 7].map((n) => ({ ts: START + n, metrics: { a: n } })));
  for (const item of items) {
    expect(item).toMatchObject({ device: 'd1', topic: 'devices/d1/readings', scope: 'reading', path: '$.metrics.a' });
    expect(item.detail).toMatch(/unable to parse/);
  }
  // Oldest first, so that of two values for one key the later one wins.
  const { items: again } = run.quarantine.replayable({ reason: 'history-refused' }, Number.MIN_SAFE_INTEGER, 0);
  expect(again.map(({ payload }) => JSON.parse(Buffer.from(payload, 'base64').toString()).metrics.a)).toEqual([7, 23]);
});

test('a state file that fails after the history has the batch - is retried alone, and refused readings are kept', async () => {
  await run.end();
  ends.length = 0;
  let failures = 2;
  run = open((ledger) => ({
    ...ledger,
    count(...all) {
      if (failures-- > 0) throw new Error('disk full');
      ledger.count(...all);
    },
  }));
  publish(0, 10);
  script.respond = (met, response, server) =>
    (met.lines.some((line) => line.includes(' a=7 ')) ? says(422, { message: 'unable to parse' }) : stored)(
      met,
      response,
      server,
    );
  await run.consumer.step(true);
  expect(run.consumer.trouble()).toContain('disk full');
  publish(10, 12);
  const { length } = script.writes;
  for (let n = 0; n < 2; n++) {
    clock.ms += 2_000;
    await run.consumer.step(true);
  }
  expect(run.consumer.trouble()).toBeNull();
  expect(script.writes).toHaveLength(length);
  expect(run.ledger.read()!.readings).toMatchObject({ stored: 9, quarantined: 1 });
  await drain(run.consumer);
  expect(run.ledger.read()!.readings).toMatchObject({ received: 12, stored: 11, quarantined: 1 });
});

test('a crash between the database and the state file - the batch is written again, and counts once', async () => {
  publish(0, 15);
  await run.end();
  ends.length = 0;
  const crashing = open((ledger) => ({
    ...ledger,
    count() {
      throw new Error('the process is gone');
    },
  }));
  await crashing.consumer.step(true);
  expect(script.points.size).toBe(15);
  await crashing.end();
  ends.length = 0;
  run = open();
  await drain(run.consumer);
  expect(script.points.size).toBe(15);
  expect(script.writes.flatMap(({ lines }) => lines)).toHaveLength(30);
  expect(run.ledger.read()!.readings).toMatchObject({ received: 15, stored: 15, duplicate: 0 });
});

test('a connection that the database ends - what it confirmed in the last minutes is written again, and counts once', async () => {
  publish(0, 15);
  await drain(run.consumer);
  const lines = () => script.writes.flatMap((write) => write.lines).length;
  expect([script.points.size, lines()]).toEqual([15, 15]);
  // It ends, and has lost what it had in memory.
  await script.stop();
  script.points.clear();
  await script.start();
  await expect.poll(() => run.consumer.step(false)).toBe(true);
  await drain(run.consumer);
  expect([script.points.size, lines()]).toEqual([15, 30]);
  expect(run.ledger.read()!.readings).toMatchObject({ received: 15, stored: 15, duplicate: 0 });
  // Two minutes later they are on its disk.
  expect(run.consumer.needs()).toBeLessThan(17);
  clock.ms += 120_000;
  publish(15, 16);
  await drain(run.consumer);
  expect(run.consumer.needs()).toBe(17);
  await script.stop();
  script.points.clear();
  await script.start();
  await expect.poll(() => run.consumer.step(false)).toBe(true);
  expect(script.points.size).toBe(1);
});

test('a start - what the database confirmed before is written again where it may have been lost meanwhile', async () => {
  publish(0, 15);
  await drain(run.consumer);
  await run.end();
  ends.length = 0;
  script.points.clear();
  run = open();
  await drain(run.consumer);
  expect(script.points.size).toBe(15);
  expect(run.ledger.read()!.readings).toMatchObject({ received: 15, stored: 15 });
});

test('refused messages count too: a flood of them does not accumulate while the database is unreachable', async () => {
  publish(0, 1);
  for (let n = 0; n < 400; n++) {
    write(store, { kind: 'messages', atMs: START + n, messages: [native('d2', '{broken', START + n)] });
  }
  script.respond = says(503, {});
  for (let n = 0; n < 5; n++) await untilAsked(run.consumer);
  script.respond = stored;
  await untilAsked(run.consumer);
  // What had gathered is settled; the journal is read 64 blocks at a time.
  expect(run.consumer.cursor()).toBeLessThanOrEqual(3 + BATCH + 64);
  await drain(run.consumer);
  expect(run.consumer.cursor()).toBe(403);
  expect(run.ledger.read('d2')!.messages).toMatchObject({ received: 400, quarantined: 400 });
});

test('influx - a part of an import is written at once, since somebody waits for it; a message waits for its batch', async () => {
  await drain(run.consumer);
  publish(0, 1);
  expect(await run.consumer.step(false)).toBe(false);
  const text = Buffer.from(`device,ts,metric,value\nd2,${START},a,7\n`);
  const how = { format: 'csv', device: null, precision: null, firstLine: 1, rules: false } as const;
  const actor = { kind: 'key', id: 'k', role: 'admin', department: null } as const;
  const action = { id: 'i', actor, address: null, key: null, command: { do: 'readings.import' } };
  store.appendControl('import', bodyOfPart(importParts(text, how)[0]!, action), START, null);
  const before = script.writes.length;
  expect(await run.consumer.step(false)).toBe(true);
  expect(script.writes.length).toBeGreaterThan(before);
});

/** How fast the state of a folder is made anew from its log, beside only reading that log. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuUsage } from 'node:process';
import pino from 'pino';
import { loadCity } from '../../app/city-in-force.ts';
import { COUNTED, Replica } from '../../app/replica.ts';
import { systemClock } from '../../domain/index.ts';
import { BatchWriter, createRoute, JournalReader, JournalStore } from '../../journal/index.ts';
import { parseLimitMicros } from './parse-limit.ts';

const CITY = new URL('../../city', import.meta.url).pathname;
const DEVICES = 1_000;
/** Messages of one group commit under a full load. */
const BLOCK = 500;
const BLOCK_MS = 10;

/** The result of one run. */
export interface RebuildFigures {
  readonly messages: number;
  readonly messagesPerSecond: number;
  /** CPU of all threads, seconds for a million messages. */
  readonly cpuSecondsPerMillion: number;
  /** Rules and effects alone, without the ledger. */
  readonly decidedPerSecond: number;
  /** Only reading the blocks, with their checksums. */
  readonly readPerSecond: number;
  /** Headers and JSON.parse alone, µs a message: the rest is ours. */
  readonly parseMicros: number;
}

/** Writes a log of so many messages of 1,000 devices under the sample city, and reads it. */
export async function benchRebuild(messages: number): Promise<RebuildFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  try {
    const journal = join(dir, 'journal.sqlite');
    await writeLog(journal, messages);
    const read = await timed(() => readAll(journal));
    const decided = await timed(() => make(join(dir, 'decided'), journal, (replica) => replica.decide()));
    const rebuilt = await timed(() => make(join(dir, 'rebuilt'), journal, (replica) => replica.follow(COUNTED)));
    return {
      messages,
      messagesPerSecond: messages / rebuilt.seconds,
      cpuSecondsPerMillion: (rebuilt.cpuSeconds * 1e6) / messages,
      decidedPerSecond: messages / decided.seconds,
      readPerSecond: messages / read.seconds,
      parseMicros: parseLimitMicros(),
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function timed(work: () => unknown) {
  const [from, before] = [performance.now(), cpuUsage()];
  await work();
  const { user, system } = cpuUsage(before);
  return { seconds: (performance.now() - from) / 1_000, cpuSeconds: (user + system) / 1e6 };
}

async function make(dir: string, journal: string, read: (replica: Replica) => unknown): Promise<void> {
  mkdirSync(dir);
  const replica = new Replica({ dir, journal }, { clock: systemClock, log: pino({ level: 'silent' }) });
  await read(replica.start());
  replica.close();
}

function readAll(path: string): void {
  const journal = new JournalReader(path).open();
  for (let seq = 0, blocks = journal.after(0, 32); blocks.length > 0; blocks = journal.after(seq, 32)) {
    seq = blocks.at(-1)!.seq;
  }
  journal.close();
}

/** Three readings a message, each device in turn, levels that cross no threshold. */
async function writeLog(path: string, messages: number): Promise<void> {
  const { control } = await loadCity(CITY);
  const store = new JournalStore(path).open();
  const startMs = Date.UTC(2026, 5, 15);
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const ids = Array.from({ length: DEVICES }, (_, i) => `bench-${i}`);
  const registered = ids.map((id) => ({ id, profile: 'air-quality', district: 'old-town' }));
  store.appendControl('city', json(control), startMs, control.version);
  store.appendControl('devices', json({ version: 1, registered, revoked: [] }), startMs, '1');
  const routes = ids.map((id) => createRoute(id, `devices/${id}/readings`));
  const writer = new BatchWriter();
  let recycled: ArrayBuffer | null = null;
  for (let sent = 0; sent < messages; ) {
    const atMs = startMs + Math.floor(sent / BLOCK) * BLOCK_MS;
    const count = Math.min(BLOCK, messages - sent);
    for (let i = 0; i < count; i++, sent++) {
      const level = 5 + (sent % 7);
      const text = `{"ts":${atMs + (sent % 10)},"metrics":{"pm25":${level},"pm10":${2 * level},"no2":${level + 1}}}`;
      writer.add(routes[sent % DEVICES]!, Buffer.from(text), atMs);
    }
    const { bytes, length } = writer.take(recycled);
    store.appendMessages(new Uint8Array(bytes, 0, length), count, atMs);
    recycled = bytes;
    if (Math.floor(sent / BLOCK) % 100 === 0) store.appendControl('tick', json({}), atMs, null);
  }
  store.close();
}

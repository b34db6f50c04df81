import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { type Block, monotonicClock, SharedClock } from '../../domain/index.ts';
import {
  BatchWriter,
  createJournalAppender,
  createRoute,
  JournalReader,
  JournalServer,
  StreamLog,
  StreamWriter,
  Timekeeper,
  thisMachine,
  walkRecords,
} from '../../journal/index.ts';
import { type NatsServer, natsServers, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

let servers: NatsServer[] = [];
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  for (const server of servers) await server.end();
});

const LIMITS = { maxBytes: 1 << 30, retentionMs: 3_600_000, tickMs: 1_000 };
const logger = pino({ level: 'silent' });

/** The journal of one node, in this process. */
async function node(name: string, dir = mkdtempSync(join(tmpdir(), 'lamppost-node-'))) {
  const path = join(dir, 'journal.sqlite');
  const clock = new SharedClock();
  const timekeeper = new Timekeeper(
    clock,
    { waitMs: 0 },
    thisMachine(() => monotonicClock.now()),
  );
  const faults: Error[] = [];
  let writer: StreamWriter | null = null;
  const server = new JournalServer(
    {
      path,
      clock,
      timekeeper,
      keepsTime: () => false,
      signal: { counter: new Int32Array(new SharedArrayBuffer(4)) },
      createWriter: (store, onBlocks) => {
        writer = new StreamWriter({
          settings: nodeOf(servers, name),
          ...{ store, clock, timekeeper, onBlocks, logger },
          onFault: (error) => faults.push(error),
        });
        return writer;
      },
    },
    LIMITS,
  ).open();
  await server.follow().catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  const { port1, port2 } = new MessageChannel();
  server.serve(port2);
  const appender = createJournalAppender(port1, clock);
  appender.start();
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    appender.stop();
    await server.stop();
  };
  ends.push(stop);
  const blocks = (): Block[] => {
    const reader = new JournalReader(path).open();
    const found = reader.after(0, 1_000_000);
    reader.close();
    return found;
  };
  const send = (text: string) =>
    new Promise<Error | null>((resolve) =>
      appender.append(appender.route('device', 'topic'), Buffer.from(text), resolve),
    );
  const isAway = () => writer?.away() != null;
  return { dir, clock, server, send, blocks, stop, faults, isAway };
}

type Node = Awaited<ReturnType<typeof node>>;

/** The ticks that a node has after its first so many blocks. */
const ticksAfter = ({ blocks }: Node, before: number) =>
  blocks().filter(({ seq, kind }) => seq > before && kind === 'tick').length;

/** Two nodes that tick. */
async function ticking(): Promise<Record<'a' | 'b', Node>> {
  const [a, b] = [await node('a'), await node('b')];
  for (const { server } of [a, b]) server.start();
  await until(() => ticksAfter(a, 0) > 1 && ticksAfter(b, 0) > 1, 'ticks');
  return { a, b };
}

/** What is appended meanwhile is lost by the only server, as in a loss of power. */
async function lostAfter(append: () => Promise<void>): Promise<void> {
  const [server] = servers;
  await server!.end('SIGTERM');
  server!.remember();
  await server!.start();
  await append();
  await server!.end('SIGKILL');
  server!.goBack();
  await server!.start();
}

function textsOf(blocks: readonly Block[]): string[] {
  const texts: string[] = [];
  for (const { kind, body } of blocks) {
    if (kind !== 'messages') continue;
    const bytes = Buffer.from(body);
    walkRecords(
      bytes,
      () => null,
      (_route, from, to) => void texts.push(bytes.toString('utf8', from, to)),
    );
  }
  return texts;
}

describe('a log that is a stream of three servers', () => {
  test('three nodes append at once, and all have the same blocks; each has what it was acknowledged', async () => {
    servers = await startedNats(3);
    const nodes = [await node('a'), await node('b'), await node('c')];
    const texts = nodes.flatMap((_, n) => Array.from({ length: 200 }, (_, i) => `${n}-${i}`));
    const replies = await Promise.all(texts.map((text) => nodes[Number(text[0])]!.send(text)));
    expect(replies.filter((reply) => reply !== null)).toEqual([]);
    const seq = await nodes[0]!.server.control('devices', { version: 7 }, '7');
    await until(() => nodes.every(({ server }) => server.newest() >= seq), 'all nodes');
    const [first, ...others] = nodes.map((one) => one.blocks());
    for (const other of others) expect(other).toEqual(first);
    expect(textsOf(first!).toSorted()).toEqual(texts.toSorted());
    // Order of each publisher.
    expect(textsOf(first!).filter((text) => text.startsWith('1-'))).toEqual(texts.slice(200, 400));
    expect(nodes.map(({ server }) => server.heads().registry)).toEqual([7, 7, 7]);
  });

  test('a record of one name is one, whoever appends it', async () => {
    servers = await startedNats(1);
    const nodes = [await node('a'), await node('b')];
    const seqs = await Promise.all(nodes.map(({ server }) => server.control('tick', {}, null, 'tick-1')));
    expect(seqs[0]).toBe(seqs[1]);
    expect(nodes[0]!.blocks().filter(({ kind }) => kind === 'tick')).toHaveLength(1);
  });

  test('a group commit that is tried again, since its acknowledgement was lost, is there once', async () => {
    servers = await startedNats(1);
    const one = await node('a');
    const { port1, port2 } = new MessageChannel();
    one.server.serve(port2);
    const writer = new BatchWriter();
    writer.add(createRoute('device', 'topic'), Buffer.from('once'), one.clock.now());
    const { bytes, length, count } = writer.take(null);
    for (let attempt = 0; attempt < 2; attempt++) {
      const reply = once(port1, 'message');
      port1.postMessage({ type: 'messages', bytes: bytes.slice(0), length, count, offsetMs: 0, commit: 7 });
      expect((await reply)[0]).toMatchObject({ error: null });
    }
    port1.close();
    expect(textsOf(one.blocks())).toEqual(['once']);
  });

  test('a server that leads is killed under load: nothing acknowledged is lost, nothing is there twice', async () => {
    servers = await startedNats(3);
    const nodes = [await node('a'), await node('b')];
    const acknowledged: string[] = [];
    let sent = 0;
    let stopping = false;
    const load = async (n: number) => {
      while (!stopping) {
        // Each is another one: what is refused is not sent again.
        const text = `${n}-${sent++}`;
        if ((await nodes[n]!.send(text)) === null) acknowledged.push(text);
      }
    };
    const running = [load(0), load(0), load(1), load(1)];
    for (const server of servers) {
      const start = acknowledged.length;
      await until(() => acknowledged.length > start + 200, 'some messages');
      await server.end('SIGKILL');
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 100, 'messages without it');
      await server.start();
    }
    stopping = true;
    await Promise.all(running);
    const seq = await nodes[0]!.server.control('tick', {}, null);
    await until(() => nodes.every(({ server }) => server.newest() >= seq), 'both nodes');
    const [first, second] = nodes.map((one) => one.blocks());
    expect(second).toEqual(first);
    const texts = textsOf(first!);
    const there = new Set(texts);
    expect(acknowledged.filter((text) => !there.has(text))).toEqual([]);
    expect(texts).toHaveLength(there.size);
    expect(nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });

  test('a node that was away reads what it missed; one that begins anew has all of it, in the time of the log', async () => {
    servers = await startedNats(1);
    const first = await node('a');
    await first.send('one');
    await first.stop();
    const second = await node('b');
    await second.send('two');
    expect(textsOf(second.blocks())).toEqual(['one', 'two']);
    const again = await node('a', first.dir);
    expect(textsOf(again.blocks())).toEqual(['one', 'two']);
    expect(Math.abs(again.clock.steady.now() - second.clock.steady.now())).toBeLessThan(5_000);
  });

  test('a group commit that is larger than a message of NATS is several blocks', async () => {
    servers = await natsServers(1, 'max_payload: 65536\n');
    await servers[0]!.start();
    const one = await node('a');
    const texts = Array.from({ length: 300 }, (_, n) => `${n}`.padEnd(1_000, '.'));
    const replies = await Promise.all(texts.map((text) => one.send(text)));
    expect(replies.filter((reply) => reply !== null)).toEqual([]);
    expect(textsOf(one.blocks())).toEqual(texts);
    await expect(one.server.import(new Uint8Array(70_000).map(() => Math.random() * 256))).rejects.toThrow(
      /max_payload/,
    );
  });

  test('a stream in a domain of JetStream is found under its name, and in no other', async () => {
    servers = await natsServers(1, '', [], 'city');
    await servers[0]!.start();
    const log = await StreamLog.open({ ...nodeOf(servers, 'a'), domain: 'city' });
    expect(await log.publish(Buffer.from('one'), 'first')).toEqual({ seq: 1, isFirst: true });
    expect(await log.record(1)).toEqual(new Uint8Array(Buffer.from('one')));
    await log.close();
    await expect(StreamLog.open({ ...nodeOf(servers, 'a'), domain: 'other' })).rejects.toMatchObject({
      code: 'log-away',
    });
  });

  test('another server leads once a node asks for it, in a domain of JetStream too, and the log goes on', async () => {
    for (const domain of [null, 'city']) {
      servers = await natsServers(3, '', [], domain);
      await Promise.all(servers.map((server) => server.start()));
      const settings = { ...nodeOf(servers, 'one'), domain };
      const log = await StreamLog.open(settings);
      ends.push(() => log.close());
      await log.publish(new Uint8Array([1]), 'a');
      const before = await log.leader();
      expect(before).toMatch(/^n\d$/);
      await log.electAnother();
      const after = await until(async () => {
        const leader = await log.leader().catch(() => null);
        return leader !== before && leader;
      }, 'another leader');
      expect(after).toMatch(/^n\d$/);
      expect(await until(() => log.publish(new Uint8Array([2]), 'b').catch(() => null), 'a record')).toMatchObject({
        seq: 2,
      });
      await log.close();
      for (const server of servers) await server.end();
    }
  });

  test('servers that are away refuse, and what was refused can be sent again when they are back', async () => {
    servers = await startedNats(1);
    const one = await node('a');
    await servers[0]!.end('SIGKILL');
    await expect(one.server.control('devices', { version: 1 }, '1')).rejects.toMatchObject({
      code: 'log-away',
      retryable: true,
    });
    await servers[0]!.start();
    await expect.poll(() => one.send('again')).toBeNull();
    expect(textsOf(one.blocks())).toContain('again');
  });

  test('what servers acknowledged and lost is put back by a node that has it, before anything is appended', async () => {
    servers = await startedNats(1);
    const [a, b] = [await node('a'), await node('b')];
    expect(await a.send('one')).toBeNull();
    await lostAfter(async () => {
      expect([await a.send('two'), await b.send('three')]).toEqual([null, null]);
      await until(() => textsOf(a.blocks()).length === 3 && textsOf(b.blocks()).length === 3, 'all at both');
    });
    await expect.poll(() => b.send('four')).toBeNull();
    const fresh = await node('c');
    for (const { blocks } of [a, b, fresh]) {
      await until(() => textsOf(blocks()).length === 4, 'all messages');
      expect(textsOf(blocks())).toEqual(['one', 'two', 'three', 'four']);
    }
    expect([...a.faults, ...b.faults]).toEqual([]);
  });

  test('a node whose records were lost stops where others appended something else in their place', async () => {
    servers = await startedNats(1);
    const a = await node('a');
    expect(await a.send('one')).toBeNull();
    await lostAfter(async () => {
      expect(await a.send('only here')).toBeNull();
      await a.stop();
    });
    const b = await node('b');
    expect(await b.send('another')).toBeNull();
    expect(await b.send('more')).toBeNull();
    await expect(node('a', a.dir)).rejects.toMatchObject({ code: 'damaged' });
  });

  test('where no node ran, the log says so before anything else, once; a node that joins others says nothing', async () => {
    servers = await startedNats(3);
    const { a, b } = await ticking();
    await a.stop();
    await b.stop();
    const log = await StreamLog.open(nodeOf(servers, 'reader'));
    const { last: before } = await log.ends();
    await log.close();
    const again = await Promise.all([node('a', a.dir), node('b', b.dir)]);
    for (const { server } of again) server.start();
    await until(() => ticksAfter(again[0], before) > 1, 'ticks');
    const joined = await node('c');
    joined.server.start();
    const reached = ticksAfter(again[0], before);
    await until(() => ticksAfter(joined, before) > reached, 'a node that joined');
    const kinds = joined.blocks().map(({ kind }) => kind);
    expect(kinds[before]).toBe('start');
    expect(kinds.filter((kind) => kind === 'start')).toHaveLength(1);
  });

  test('where no node could append, the log says so before anything else, once', async () => {
    servers = await startedNats(3);
    const { a, b } = await ticking();
    for (const server of servers) await server.end();
    await until(() => a.isAway() && b.isAway(), 'nodes that notice');
    const before = a.blocks().length;
    for (const server of servers) await server.launch();
    for (const server of servers) await server.ready();
    await until(() => ticksAfter(a, before) > 2 && ticksAfter(b, before) > 2, 'ticks');
    expect(a.blocks()[before]!.kind).toBe('start');
    expect(a.blocks().filter(({ kind }) => kind === 'start')).toHaveLength(1);
  });

  test('a node with records that the stream lacks does not start', async () => {
    servers = await startedNats(1);
    const one = await node('a');
    await one.send('one');
    await one.send('two');
    await one.stop();
    await servers[0]!.end();
    servers = await startedNats(1);
    await expect(node('a', one.dir)).rejects.toThrow(/records up to 2, and the stream ended with 0.*cluster recover/);
  });

  test('a node that runs while the stream loses records acknowledges none into numbers that it has: it puts them back, or stops', async () => {
    servers = await startedNats(1);
    const one = await node('a');
    for (const text of ['one', 'two', 'three']) expect(await one.send(text)).toBeNull();
    await servers[0]!.end();
    servers[0]!.loseData();
    await servers[0]!.start();
    // Another node makes the stream anew.
    const other = await node('b');
    // Where it looked at the stream before, it has put its records back.
    const isBack = async () => ((await one.send('four')) === null ? 'back' : one.faults.length > 0 && 'stopped');
    const how = await until(isBack, 'a node that stops or puts its records back', 50);
    if (how === 'stopped') expect(one.faults[0]!.message).toMatch(/this node has records up to 3.*cluster recover/);
    else await until(() => textsOf(other.blocks()).includes('four'), 'its records at the other node');
    const all = ['one', 'two', 'three', ...(how === 'back' ? ['four'] : [])];
    expect(textsOf(one.blocks())).toEqual(all);
    if (how === 'back') expect(textsOf(other.blocks())).toEqual(all);
    expect(other.faults).toEqual([]);
  });
});

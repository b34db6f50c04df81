import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Sessions } from '../../../../broker/index.ts';
import { Changes } from '../../../../broker/sessions/changes.ts';
import { SessionsFile } from '../../../../broker/sessions/file.ts';
import { Holders } from '../../../../broker/sessions/holders.ts';
import { SessionTable } from '../../../../broker/sessions/table.ts';
import type { SessionChange } from '../../../../domain/index.ts';
import { MemoryLog, TestTime } from '../../../kit/broker/nodes.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';

const log = pino({ level: 'silent' });
const LIMITS = { days: 7, messages: 100, bytes: 1e6, perUser: 10 };
const SECRET = '07'.repeat(32);

/** What node `x` knows, and what it does as it applies changes of nodes. */
function scene(path = join(mkdtempSync(join(tmpdir(), 'lamppost-holders-')), 'sessions.sqlite')) {
  const file = new SessionsFile(path, log, () => {});
  const holders = new Holders(file, 'x');
  const table = new SessionTable(file, LIMITS, 0, { isHere: (id) => holders.isHere(id), moved: () => {} });
  table.load({ store: 'one', head: 0 });
  const done: string[] = [];
  const changes = new Changes(table, holders, {
    onLost: ({ id }, reason) => done.push(`${id} lost: ${reason}`),
    onLess: ({ id }) => done.push(`${id} has less`),
    onArrived: ({ id }) => done.push(`${id} arrived`),
    onHeld: (id, isHere) => done.push(`${id} is ${isHere ? 'here' : 'elsewhere'}`),
    onStatus: (id, isOnline) => done.push(`${id} ${isOnline ? 'online' : 'offline'}`),
  });
  onTestFinished(() => file.close());
  const say = (node: string, ...all: SessionChange[]) => {
    for (const change of all) changes.apply(change, { node, atMs: 1_000 });
    return done.splice(0);
  };
  return { path, file, holders, table, say };
}

const on = (id: string, more: Partial<Extract<SessionChange, { do: 'on' }>> = {}): SessionChange => ({
  ...{ do: 'on', id, device: false, fresh: false, expiry: null },
  ...more,
});
const off = (id: string, expiry: number | null = null): SessionChange => ({ do: 'off', id, expiry });
const begin = (id: string, place = 0): SessionChange => ({
  ...{ do: 'begin', id, user: 'u', secret: SECRET, place, connected: true, expiry: null },
});
const subscribe = (id: string, topic: string, since = 0): SessionChange => ({
  ...{ do: 'subscribe', id, subscriptions: [{ topic, qos: 1 }], since },
});
const filters = (table: SessionTable, id: string) => [...(table.get(id)?.subscriptions.keys() ?? [])];

test('changes - what a node says of a session counts until its client has gone to another node', () => {
  const { table, say } = scene();
  expect(say('x', on('u/a'), begin('u/a'), subscribe('u/a', 't/1'))).toEqual(['u/a is here']);
  expect(say('y', on('u/a'))).toEqual(['u/a is elsewhere']);
  const late: SessionChange[] = [subscribe('u/a', 't/2'), { do: 'unsubscribe', id: 'u/a', filters: ['t/1'] }];
  expect(say('x', ...late, { do: 'place', id: 'u/a', place: 9 }, off('u/a'))).toEqual([]);
  expect(filters(table, 'u/a')).toEqual(['t/1']);
  expect(table.get('u/a')).toMatchObject({ isHere: false, connected: true, place: 0 });
  say('y', { do: 'place', id: 'u/a', place: 5 });
  expect(say('x', on('u/a'))).toEqual(['u/a arrived', 'u/a is here']);
  expect(table.get('u/a')).toMatchObject({ isHere: true, place: 5, recorded: 5 });
});

test('changes - the end of a session is not that of the next one of its name, nor of one that is used again', () => {
  const { table, say } = scene();
  say('y', on('u/a'), begin('u/a'), off('u/a'));
  const { seenMs } = table.get('u/a')!;
  const end = { do: 'end', id: 'u/a', secret: SECRET } as const;
  expect(say('x', { ...end, secret: '08'.repeat(32) })).toEqual([]);
  expect(say('x', { ...end, seen: seenMs - 1, reason: 'expired' })).toEqual([]);
  say('y', on('u/a'));
  expect(say('x', { ...end, seen: seenMs, reason: 'expired' })).toEqual([]);
  expect(table.size).toBe(1);
  say('y', off('u/a'));
  expect(say('x', { ...end, seen: seenMs, reason: 'expired' }), 'who ends it says what was lost').toEqual([
    'u/a lost: expired',
  ]);
  expect(table.size).toBe(0);
});

test('changes - a session ends with a fresh login, and with a connection after which it is not kept', () => {
  const { table, holders, say } = scene();
  say('y', on('u/a'), begin('u/a'));
  say('x', on('u/a', { fresh: true }));
  expect(table.size).toBe(0);
  say('x', begin('u/a'), off('u/a', 0));
  expect(table.size).toBe(0);
  expect(holders.get('u/a'), 'nobody needs to know').toBeUndefined();
});

test('holders - a record that comes again changes nothing, nor does a late one of the run before', () => {
  const { holders, say } = scene();
  expect(holders.take({ node: 'y', run: 'one', n: 0 }, 0)).toEqual({ ended: [] });
  expect(holders.take({ node: 'y', run: 'one', n: 1 }, 0)).toEqual({ ended: [] });
  say('y', on('bin-1', { device: true }));
  expect(holders.take({ node: 'y', run: 'one', n: 1 }, 0)).toBeNull();
  expect(holders.take({ node: 'y', run: 'two', n: 0 }, 0), 'what was connected is not').toEqual({ ended: ['bin-1'] });
  expect(holders.take({ node: 'y', run: 'one', n: 2 }, 0)).toBeNull();
});

test('holders - a node is gone after ten seconds of the others; a time without any record is none', () => {
  const { holders, say } = scene();
  let n = 0;
  holders.take({ node: 'y', run: 'one', n: 0 }, 0);
  say('y', on('bin-1', { device: true }));
  const alive = (atMs: number) => holders.take({ node: 'x', run: 'one', n: n++ }, atMs);
  expect(alive(1_000)).toEqual({ ended: [] });
  expect(alive(3_600_000), 'nobody could append').toEqual({ ended: [] });
  expect(alive(3_603_000)).toEqual({ ended: [] });
  expect(holders.endsHere('bin-1'), 'y is there').toBe(false);
  expect(alive(3_606_000)).toEqual({ ended: ['bin-1'] });
  expect(holders.endsHere('bin-1'), 'y is gone').toBe(true);
  holders.take({ node: 'y', run: 'one', n: 1 }, 3_606_000);
  expect(holders.endsHere('bin-1')).toBe(false);
});

test('holders - after a restart all is as it was at the record up to which the file is', async () => {
  const { path, file, holders, say } = scene();
  holders.take({ node: 'y', run: 'one', n: 0 }, 500);
  say('y', on('bin-1', { device: true }));
  holders.followed(7, true);
  await file.synced();
  const again = scene(path);
  expect(again.holders).toMatchObject({ seq: 7, adopted: true, isOfAnother: false });
  expect([...again.holders.online()]).toEqual(['bin-1']);
  expect(again.holders.take({ node: 'y', run: 'one', n: 0 }, 500)).toBeNull();
});

test('sessions - while the log is away a login waits ten seconds for its session, and is refused then', async () => {
  const time = new TestTime();
  const view = new MemoryLog(() => time.nowMs).node('x');
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-away-'));
  let isCutOff = false;
  const shared = {
    ...{ records: view, timers: time, onStatus: () => {}, onTakenOver: () => {} },
    onCutOff() {
      isCutOff = true;
    },
  };
  const given = {
    ...{ clock: time, log, newId: () => 'run', ownerOf: () => null, mayRead: () => true, onArrived: () => {} },
    ...{ onDownlink: () => {}, waitingDownlinks: () => [] },
    ...{ waiting: () => [], resting: () => null, outbox: new MemoryOutbox(), shared },
  };
  const sessions = new Sessions(given, join(dir, 'sessions.sqlite'), LIMITS);
  view.isAway = true;
  sessions.clients!.start();
  sessions.clients!.login('u/a', {}, { device: false, fresh: false, expiry: null });
  const asked = sessions.persistence.subscriptionsByClient({ id: 'u/a' });
  asked.catch(() => {});
  for (let tenths = 0; tenths < 130; tenths++) {
    time.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expect(asked).rejects.toMatchObject({ code: 'log-away', retryable: true });
  expect(isCutOff, 'its clients are better off with another node').toBe(true);
  const closed = sessions.close();
  for (let more = 0; more < 30; more++) {
    time.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
});

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { type DoorLimits, FrontDoor, type Visitor } from '../../../broker/front-door.ts';

/** What the door needs of a socket. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

function scene(limits: Partial<DoorLimits> = {}) {
  const ended: string[] = [];
  const clock = { ms: 0, now: () => clock.ms };
  let timer: { atMs: number; run: () => void } | null = null;
  const timers = {
    after(ms: number, run: () => void) {
      timer = { atMs: clock.ms + ms, run };
      return () => {
        timer = null;
      };
    },
  };
  const refused = (source: string, why: string) => ended.push(`${source} ${why}`);
  const all = { maxConnections: 400, maxPerAddress: 50, loginTimeoutMs: 10_000, ...limits };
  const door = new FrontDoor({ clock, timers, refused }, all);
  const arrive = (source: string) => door.arrive(new FakeSocket() as unknown as Socket, source);
  return {
    door,
    ended,
    arrive,
    many: (source: string, count: number) => Array.from({ length: count }, () => arrive(source)),
    /** Logs somebody in who has just come; returns whether that was possible. */
    login(source: string, user: string): Visitor | null {
      const visitor = arrive(source);
      if (visitor === null || !door.begins(visitor)) return null;
      door.knows(visitor, user);
      return visitor;
    },
    passes(ms: number) {
      const until = clock.ms + ms;
      while (timer !== null && timer.atMs <= until) {
        const { atMs, run } = timer;
        timer = null;
        clock.ms = atMs;
        run();
      }
      clock.ms = until;
    },
  };
}

const isOpen = (visitor: Visitor | null) => visitor !== null && !visitor.socket.destroyed;

test('front door - silent connections of one address keep nobody out: 72 devices of 72 log in', () => {
  const { many, login, door } = scene({ maxPerAddress: 2_000 });
  for (let i = 0; i < 72; i++) {
    many('203.0.113.66', 100);
    expect(isOpen(login(`10.0.0.${i}`, `bin-${i}`))).toBe(true);
  }
  expect(door.counts.waiting).toBe(99);
  expect(door.size).toBe(171);
});

test('front door - silent connections from everywhere keep nobody out either: who waited longest gives way', () => {
  const { arrive, login, ended, door } = scene();
  for (let i = 0; i < 1_000; i++) arrive(`10.0.${i >> 8}.${i & 255}`);
  expect(door.size).toBe(100);
  expect(ended.slice(0, 2)).toEqual(['10.0.0.0 gave-way', '10.0.0.1 gave-way']);
  expect(isOpen(login('203.0.113.7', 'bin-1'))).toBe(true);
});

test('front door - the address with the most gives way, not the one that came first', () => {
  const { arrive, many, ended } = scene();
  const first = arrive('203.0.113.1');
  many('203.0.113.66', 49);
  many('203.0.113.67', 50);
  for (let i = 0; i < 20; i++) arrive(`10.0.0.${i}`);
  expect(isOpen(first)).toBe(true);
  expect(new Set(ended)).toEqual(new Set(['203.0.113.67 gave-way', '203.0.113.66 gave-way']));
});

test('front door - an address has its number without a login, and one more replaces the one that waited longest', () => {
  const { many, arrive, door } = scene();
  const [first, second] = many('203.0.113.66', 50);
  expect(isOpen(first!)).toBe(true);
  arrive('203.0.113.66');
  expect([isOpen(first!), isOpen(second!), door.size]).toEqual([false, true, 50]);
});

test('front door - a crowd of one address keeps none that waited two seconds; a few may take their time', () => {
  const { many, arrive, passes } = scene({ maxPerAddress: 90 });
  const few = many('203.0.113.1', 10);
  const crowd = many('203.0.113.66', 64);
  passes(1_999);
  arrive('203.0.113.66');
  expect(crowd.every(isOpen)).toBe(true);
  passes(1);
  for (const source of ['203.0.113.66', '203.0.113.66', '203.0.113.1']) arrive(source);
  expect([crowd.filter(isOpen).length, few.filter(isOpen).length]).toEqual([62, 10]);
});

test('front door - ten seconds without a login are the end, for silent ones and for those that drip', () => {
  const { arrive, door, passes, ended, login } = scene();
  const silent = arrive('203.0.113.1');
  passes(5_000);
  const dripping = arrive('203.0.113.2');
  expect(door.begins(dripping!)).toBe(true);
  const known = login('203.0.113.3', 'bin-1');
  passes(4_999);
  expect([silent, dripping].every(isOpen)).toBe(true);
  passes(1);
  expect([silent, dripping].map(isOpen)).toEqual([false, true]);
  passes(5_000);
  expect([isOpen(dripping), isOpen(known)]).toEqual([false, true]);
  expect(ended).toEqual(['203.0.113.1 login-timeout', '203.0.113.2 login-timeout']);
});

test('front door - where all who are connected have logged in, the next is refused; places of others are not taken', () => {
  const { login, arrive, ended } = scene({ maxConnections: 3 });
  const known = [1, 2, 3].map((i) => login('203.0.113.7', `bin-${i}`));
  expect(known.every(isOpen)).toBe(true);
  expect(arrive('203.0.113.8')).toBeNull();
  expect(ended).toEqual(['203.0.113.8 too-many-connections']);
  known[0]!.socket.destroy();
  expect(isOpen(login('203.0.113.8', 'bin-4'))).toBe(true);
});

test('front door - connections that say something and do not log in are counted, a tenth of the burst a second', () => {
  const { arrive, door, ended, passes } = scene();
  const begin = (source: string) => {
    const visitor = arrive(source)!;
    const may = door.begins(visitor);
    visitor.socket.destroy();
    return may;
  };
  const begun = Array.from({ length: 52 }, () => begin('203.0.113.66'));
  expect(begun.filter(Boolean)).toHaveLength(50);
  expect(ended.at(-1)).toBe('203.0.113.66 too-many-connects');
  expect(begin('203.0.113.7')).toBe(true);
  passes(1_000);
  expect(Array.from({ length: 6 }, () => begin('203.0.113.66'))).toEqual([true, true, true, true, true, false]);
});

test('front door - a city behind one address logs in as fast as it can', () => {
  const { login, door } = scene({ maxConnections: 20_000 });
  const all = Array.from({ length: 10_000 }, (_, i) => login('203.0.113.7', `bin-${i}`));
  expect(all.every(isOpen)).toBe(true);
  expect(door.counts).toEqual({ waiting: 0, refusedConnections: 0, gaveWay: 0, loginTimeouts: 0 });
});

test('front door - a user that logs in all the time is charged to its address', () => {
  const { login } = scene();
  let logins = 0;
  for (let visitor = login('203.0.113.7', 'bin-1'); visitor !== null; visitor = login('203.0.113.7', 'bin-1')) {
    visitor.socket.destroy();
    logins++;
  }
  expect(logins).toBe(250);
});

test('front door - a connection of a proxy counts for the address that the proxy names', () => {
  const { arrive, many, door } = scene();
  many('203.0.113.66', 50);
  const visitor = arrive('10.0.0.5')!;
  door.speaksFor(visitor, '203.0.113.66');
  expect([visitor.source, door.size, door.counts.gaveWay]).toEqual(['203.0.113.66', 50, 1]);
});

test('front door - once it stops it lets nobody in, and ends those without a login', () => {
  const { arrive, login, door, ended } = scene();
  const [waiting, known] = [arrive('203.0.113.1'), login('203.0.113.2', 'bin-1')];
  door.stop();
  expect(arrive('203.0.113.3')).toBeNull();
  door.destroy();
  expect([waiting, known].map(isOpen)).toEqual([false, true]);
  expect(ended).toEqual(['203.0.113.3 stopping']);
});

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'aedes';
import fc from 'fast-check';
import { parser } from 'mqtt-packet';
import pino from 'pino';
import { expect, test } from 'vitest';
import { Sessions } from '../../../../broker/index.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';

const LIMITS = { days: 7, messages: 10_000, bytes: 1e9, perUser: 10 };
const KEPT = ['u/a', 'u/b'] as const;
const CLIENTS = [...KEPT, 'u/c', 'u/d'] as const;
const FILTER = '$share/g/events/#';
const OWNER = { user: 'u', secret: Buffer.alloc(32, 7) };
const log = pino({ level: 'silent' });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** One end of a connection of a member. */
class Member {
  readonly client: Client;
  destroyed = false;
  readonly writableNeedDrain = false;
  /** By message id, the event that it has not acknowledged. */
  readonly open = new Map<number, number>();
  readonly #parser = parser();

  constructor(id: string, onEvent: (event: number) => void) {
    const clean = !KEPT.some((kept) => kept === id);
    this.client = { id, conn: this, clean, _nextId: 65_534 } as unknown as Client;
    this.#parser.on('packet', (packet) => {
      if (packet.cmd !== 'publish') return;
      expect(this.open.has(packet.messageId!), 'a message id in use').toBe(false);
      onEvent(Number(packet.payload));
      this.open.set(packet.messageId!, Number(packet.payload));
    });
  }

  on(): void {}

  write(bytes: Buffer): void {
    if (!this.destroyed) this.#parser.parse(bytes);
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect' as const), id: fc.constantFrom(...CLIENTS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), id: fc.constantFrom(...CLIENTS) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('acknowledge' as const), id: fc.constantFrom(...CLIENTS), most: fc.nat(5) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('save' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A server with one group, its members, and what they have acknowledged. */
class World {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-groups-'));
  outbox = new MemoryOutbox();
  sessions = this.#open();
  readonly members = new Map<string, Member>();
  readonly acknowledged = new Set<number>();
  /** Those that must not come again, and those of them that are on disk. */
  settled = new Set<number>();
  #durable = new Set<number>();
  nowMs = 1_000;
  last = 0;
  readonly #gone: Promise<void>[] = [];

  #open(): Sessions {
    let ids = 0;
    const none = () => [];
    return new Sessions(
      {
        ...{
          clock: { now: () => this.nowMs },
          log,
          newId: () => `${++ids}`,
          ownerOf: () => OWNER,
          mayRead: () => true,
        },
        ...{ onArrived: () => {}, onDownlink: () => {}, waitingDownlinks: none, waiting: none },
        ...{ resting: () => null, outbox: this.outbox },
      },
      join(this.dir, 'sessions.sqlite'),
      LIMITS,
    );
  }

  async do(one: Step): Promise<void> {
    if (one.do === 'publish') for (let i = 0; i < one.count; i++) this.publish();
    else if (one.do === 'connect') await this.connect(one.id);
    else if (one.do === 'leave') this.leave(one.id);
    else if (one.do === 'acknowledge') this.acknowledge(one.id, one.most);
    else if (one.do === 'save') this.save();
    else await this.crash();
    for (let i = 0; i < 4; i++) await turn();
  }

  publish(): void {
    this.outbox.append({ topic: 'events/clock', payload: `${++this.last}`, qos: 1, retain: false });
    for (const event of this.sessions.events(1)) this.sessions.queue(event);
  }

  async connect(id: string): Promise<void> {
    this.leave(id);
    const member = new Member(id, (event) => this.#got(event));
    this.members.set(id, member);
    const { client } = member;
    if (!client.clean) {
      this.sessions.connected(client);
      this.sessions.ready(client);
      await this.sessions.persistence.addSubscriptions(client, [{ topic: FILTER, qos: 1 }]);
    }
    this.sessions.groups.note(client, { [FILTER]: { qos: 1 } });
  }

  /** Nobody has a message that another connected member has, or that was acknowledged. */
  #got(event: number): void {
    expect(this.settled.has(event), `${event} was acknowledged`).toBe(false);
    const others = [...this.members.values()].filter(({ open }) => [...open.values()].includes(event));
    expect(others.length, `${event} is with another member`).toBe(0);
  }

  leave(id: string): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    this.members.delete(id);
    member.destroyed = true;
    this.sessions.disconnected(member.client);
  }

  acknowledge(id: string, most: number): void {
    const { open = new Map<number, number>() } = this.members.get(id) ?? {};
    for (const [messageId, event] of [...open].slice(0, most)) {
      open.delete(messageId);
      this.acknowledged.add(event);
      this.settled.add(event);
      void this.sessions.persistence.outgoingClearMessageId({ id }, { messageId });
    }
  }

  /** Places are written, as every ten minutes and soon after each change. */
  save(): void {
    this.nowMs += 600_000;
    this.sessions.maintain();
    this.#durable = new Set(this.settled);
  }

  /** Ends as by kill -9, and starts again over what is in the file by now. */
  async crash(): Promise<void> {
    for (const member of this.members.values()) member.destroyed = true;
    this.members.clear();
    this.settled = new Set(this.#durable);
    const before = { sessions: this.sessions, dir: this.dir };
    this.dir = mkdtempSync(join(tmpdir(), 'lamppost-groups-'));
    cpSync(before.dir, this.dir, { recursive: true });
    this.sessions = this.#open();
    this.#gone.push(before.sessions.close().then(() => rmSync(before.dir, { recursive: true, force: true })));
  }

  async stop(): Promise<void> {
    await Promise.all([this.sessions.close(), ...this.#gone]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

test('groups - whatever members and server do, no event is lost, with two members, or sent once it is acknowledged', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const world = new World();
      try {
        await world.connect('u/a');
        for (const one of steps) await world.do(one);
        await world.connect('u/b');
        for (let i = 0; i < 300 && (i < 10 || world.sessions.counts().queued > 0); i++) {
          for (const id of CLIENTS) world.acknowledge(id, 100);
          await turn();
        }
        expect(world.acknowledged.size).toBe(world.last);
        expect(world.sessions.counts().queued).toBe(0);
      } finally {
        await world.stop();
      }
    }),
    { numRuns: 100 },
  );
});

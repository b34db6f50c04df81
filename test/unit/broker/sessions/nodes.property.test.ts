import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Client } from 'aedes';
import fc from 'fast-check';
import { parser } from 'mqtt-packet';
import pino from 'pino';
import { expect, test } from 'vitest';
import { Sessions } from '../../../../broker/index.ts';
import { MemoryLog, type NodeOfLog, TestTime } from '../../../kit/broker/nodes.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';
import { until } from '../../../kit/wait.ts';

const LIMITS = { days: 7, messages: 10_000, bytes: 1e9, perUser: 10 };
const NODES = ['x', 'y'] as const;
const CLIENTS = ['u/a', 'u/b', 'u/c'] as const;
const OWNER = { user: 'u', secret: Buffer.alloc(32, 7) };
const log = pino({ level: 'silent' });
const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-nodes-'));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** One end of a connection: what comes is the client's, while it has no other connection. */
class Connection {
  readonly client: Client;
  destroyed = false;
  readonly writableNeedDrain = false;
  /** Payload and id of each message that came. */
  readonly got: { readonly n: number; readonly messageId: number }[] = [];
  readonly #parser = parser();

  constructor(id: string) {
    this.client = { id, conn: this, clean: false } as unknown as Client;
    this.#parser.on('packet', (packet) => {
      if (packet.cmd === 'publish') this.got.push({ n: Number(packet.payload), messageId: packet.messageId! });
    });
  }

  on(): void {}

  write(bytes: Buffer): void {
    if (!this.destroyed) this.#parser.parse(bytes);
  }
}

/** A node: its sessions, its own copy of the outbox, its connections. */
class TestNode {
  readonly name: string;
  view: NodeOfLog;
  readonly #log: MemoryLog;
  readonly #gone: Promise<void>[] = [];
  readonly #time: TestTime;
  readonly connections = new Set<Connection>();
  dir = newDir();
  outbox = new MemoryOutbox();
  sessions: Sessions;

  constructor(name: string, world: MemoryLog, time: TestTime) {
    this.name = name;
    this.#time = time;
    this.#log = world;
    this.view = world.node(name);
    this.sessions = this.#open();
  }

  #open(): Sessions {
    const shared = {
      records: this.view,
      timers: this.#time,
      onStatus: () => {},
      onTakenOver: (connection: object) => this.close(connection as Connection),
      onCutOff: () => {
        for (const connection of this.connections) this.close(connection);
      },
    };
    let ids = 0;
    const deps = {
      clock: this.#time,
      log,
      newId: () => `${this.name}-${this.#time.nowMs}-${++ids}-${this.dir}`,
      ownerOf: () => OWNER,
      mayRead: () => true,
      onArrived: () => {},
      onDownlink: () => {},
      waitingDownlinks: () => [],
      waiting: () => [],
      resting: () => null,
      outbox: this.outbox,
      shared,
    };
    const sessions = new Sessions(deps, join(this.dir, 'sessions.sqlite'), LIMITS);
    sessions.clients!.start();
    return sessions;
  }

  /** What its engine has decided meanwhile: the same events, in their order. */
  decide(events: readonly string[], most: number): void {
    for (const topic of events.slice(this.outbox.now().head).slice(0, most)) {
      const n = this.outbox.now().head + 1;
      const messages = [{ topic, payload: String(n), qos: 1, retain: false } as const];
      this.outbox.append(...messages);
      for (const event of this.sessions.events(1)) this.sessions.queue(event);
    }
  }

  async connect(connection: Connection, fresh: boolean): Promise<boolean> {
    const { sessions } = this;
    const { client } = connection;
    this.connections.add(connection);
    sessions.clients!.login(client.id, connection, { device: false, fresh, expiry: null });
    try {
      const before = await sessions.persistence.subscriptionsByClient(client);
      if (connection.destroyed || this.sessions !== sessions) return false;
      for (const other of this.connections)
        if (other !== connection && other.client.id === client.id) this.close(other);
      sessions.connected(client);
      sessions.ready(client);
      if (before.length > 0) return true;
      await sessions.persistence.addSubscriptions(client, [{ topic: client.id, qos: 1 }]);
      return !connection.destroyed && this.sessions === sessions;
    } catch {
      // The log was away for too long.
      this.close(connection);
      return false;
    }
  }

  close(connection: Connection): void {
    if (!this.connections.delete(connection)) return;
    connection.destroyed = true;
    this.sessions.disconnected(connection.client);
    this.sessions.clients!.closed(connection, null);
  }

  /** Ends as by kill -9, and starts again over what is in the files by now. */
  crash(): void {
    for (const connection of this.connections) connection.destroyed = true;
    this.connections.clear();
    const before = { sessions: this.sessions, dir: this.dir };
    this.dir = newDir();
    cpSync(before.dir, this.dir, { recursive: true });
    // Whatever the run before still does goes nowhere.
    Object.assign(this.view, { isAway: true });
    this.view = Object.assign(this.#log.node(this.name), { sees: this.view.sees });
    this.outbox = this.outbox.copy();
    this.sessions = this.#open();
    this.#gone.push(before.sessions.close().then(() => rmSync(before.dir, { recursive: true, force: true })));
  }

  /** Resolves once it and its runs before are closed. */
  async stop(): Promise<void> {
    await Promise.all([this.sessions.close(), ...this.#gone]);
  }

  /** The rows that all nodes have alike. */
  rows(): unknown {
    const db = new DatabaseSync(join(this.dir, 'sessions.sqlite'), { readOnly: true });
    const all = (sql: string) =>
      db
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    const rows = {
      sessions: all('select id, user, hex(secret) as secret, seen, place, sent, expiry from sessions order by id'),
      subscriptions: all(`
        select id, filter, body, since from subscriptions join sessions on key = session order by id, filter`),
      holders: all('select * from holders order by id'),
      nodes: all('select * from nodes order by node'),
      followed: all('select seq, at_ms, alive_ms from followed'),
    };
    db.close();
    return rows;
  }
}

const nodeOf = fc.constantFrom(...NODES);
const clientOf = fc.constantFrom(...CLIENTS);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), id: clientOf }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('decide' as const), node: nodeOf, most: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('connect' as const), id: clientOf, node: nodeOf, fresh: fc.nat(19) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), id: clientOf, most: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), id: clientOf }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), node: nodeOf, lags: fc.nat(2) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 100, 1_100, 4_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away' as const), node: nodeOf, is: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unheard' as const), node: nodeOf, is: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), node: nodeOf }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a client knows: its connection, and what it may rely on. */
interface Known {
  connection: Connection | null;
  node: TestNode | null;
  /** How much of its connection it has taken. */
  taken: number;
  /** From which event on every one must come; null: it has no SUBACK. */
  from: number | null;
  /** The events in the order of their first arrival, since then. */
  arrived: number[];
  /** Logins that are not settled, and whether the newest began anew. */
  logins: number;
  isThrowing: boolean;
}

class World {
  readonly time = new TestTime();
  readonly log = new MemoryLog(() => this.time.nowMs);
  readonly events: string[] = [];
  readonly nodes = new Map<string, TestNode>();
  readonly clients = new Map<string, Known>();
  readonly #unsettled = new Set<Promise<void>>();

  constructor() {
    for (const name of NODES) this.nodes.set(name, new TestNode(name, this.log, this.time));
    const none = { connection: null, node: null, taken: 0, from: null, logins: 0, isThrowing: false };
    for (const id of CLIENTS) this.clients.set(id, { ...none, arrived: [] });
  }

  async do(one: Step): Promise<void> {
    const node = 'node' in one ? this.nodes.get(one.node)! : null;
    if (one.do === 'publish') this.events.push(one.id);
    else if (one.do === 'decide') node!.decide(this.events, one.most);
    else if (one.do === 'connect') this.tryToConnect(one.id, node!, one.fresh === 0);
    else if (one.do === 'acknowledge') this.acknowledge(one.id, one.most);
    else if (one.do === 'leave') this.leave(one.id);
    else if (one.do === 'wait') this.time.advance(one.ms);
    else if (one.do === 'away') node!.view.isAway = one.is;
    else if (one.do === 'unheard') node!.view.isUnheard = one.is;
    else if (one.do === 'crash') node!.crash();
    else {
      node!.view.sees = Math.max(0, this.log.head - one.lags);
      node!.sessions.clients!.recorded();
    }
    await this.turns();
  }

  /** What was begun goes on: files are written, pages read, packets sent. */
  async turns(): Promise<void> {
    for (let i = 0; i < 6; i++) await turn();
    for (const id of CLIENTS) this.receive(id);
  }

  /** Who throws its session away does not log in twice at a time: of two logins either may be the later one. */
  tryToConnect(id: string, node: TestNode, fresh: boolean): void {
    const { logins, isThrowing } = this.clients.get(id)!;
    if (logins === 0 || !(fresh || isThrowing)) this.connect(id, node, fresh);
  }

  connect(id: string, node: TestNode, fresh: boolean): void {
    const known = this.clients.get(id)!;
    known.logins++;
    known.isThrowing = fresh;
    const connection = new Connection(id);
    Object.assign(known, { connection, node, taken: 0 });
    if (fresh) Object.assign(known, { from: null, arrived: [] });
    const settled = node.connect(connection, fresh).then((isSubscribed) => {
      known.logins--;
      if (isSubscribed && known.connection === connection) known.from ??= this.events.length;
      this.#unsettled.delete(settled);
    });
    this.#unsettled.add(settled);
  }

  /** What a client does not take of an old connection is lost with that. */
  receive(id: string): void {
    const known = this.clients.get(id)!;
    for (const { n } of known.connection?.got.slice(known.taken) ?? []) {
      known.taken++;
      if (!known.arrived.includes(n)) known.arrived.push(n);
    }
  }

  acknowledge(id: string, most: number): void {
    const { connection, node } = this.clients.get(id)!;
    if (connection === null || connection.destroyed || !node!.connections.has(connection)) return;
    for (const { messageId } of connection.got.splice(0, most)) {
      this.clients.get(id)!.taken--;
      void node!.sessions.persistence.outgoingClearMessageId(connection.client, { messageId });
    }
  }

  leave(id: string): void {
    const known = this.clients.get(id)!;
    if (known.connection !== null) known.node!.close(known.connection);
    Object.assign(known, { connection: null, node: null, taken: 0 });
  }

  /** Every client has a session, at one node or the other. */
  async begin(): Promise<void> {
    for (const [i, id] of CLIENTS.entries()) this.connect(id, this.nodes.get(NODES[i % 2]!)!, false);
    await this.untilQuiet();
  }

  /** All nodes are well, and every client comes back and takes all that is for it. */
  async settle(): Promise<void> {
    for (const node of this.nodes.values()) {
      node.view.isAway = false;
      node.view.isUnheard = false;
      node.view.sees = Number.POSITIVE_INFINITY;
      node.decide(this.events, this.events.length);
    }
    for (const id of CLIENTS) this.leave(id);
    await this.untilQuiet();
    for (const [i, id] of CLIENTS.entries()) this.connect(id, this.nodes.get(NODES[i % 2]!)!, false);
    await this.untilQuiet();
    for (const id of CLIENTS) this.leave(id);
    await this.untilQuiet();
  }

  /** Time goes on, and clients acknowledge, until nothing is on its way. */
  async untilQuiet(): Promise<void> {
    let quiet = 0;
    let rounds = 0;
    while (quiet < 3 || this.#unsettled.size > 0) {
      const before = JSON.stringify([...this.clients.values()].map(({ arrived, taken }) => [arrived.length, taken]));
      this.time.advance(1_100);
      for (const { sessions } of this.nodes.values()) sessions.clients!.recorded();
      await this.turns();
      for (const id of CLIENTS) this.acknowledge(id, 100);
      await this.turns();
      const after = JSON.stringify([...this.clients.values()].map(({ arrived, taken }) => [arrived.length, taken]));
      quiet = before === after ? quiet + 1 : 0;
      if (++rounds > 500) throw new Error('it does not come to rest');
    }
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.values()) {
      const closed = node.stop();
      for (let done = false; !done; ) {
        this.time.advance(2_100);
        done = await Promise.race([closed.then(() => true), turn().then(() => false)]);
      }
    }
  }
}

test('nodes - whatever clients and nodes do, every event comes at least once and in order, and all nodes know the same', async () => {
  const covered = { moves: 0, crashes: 0, events: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      const world = new World();
      await world.begin();
      for (const one of steps) {
        if (one.do === 'connect' && world.clients.get(one.id)!.node?.name !== one.node) covered.moves++;
        if (one.do === 'crash') covered.crashes++;
        await world.do(one);
      }
      await world.settle();
      for (const [id, { from, arrived }] of world.clients) {
        if (from === null) continue;
        const due = world.events.flatMap((topic, i) => (topic === id && i >= from ? [i + 1] : []));
        covered.events += due.length;
        const got = arrived.filter((n) => n > from);
        expect(got, `${id} from ${from}`).toEqual(due);
      }
      const [x, y] = [...world.nodes.values()];
      await until(() => JSON.stringify(x!.rows()) === JSON.stringify(y!.rows()), 'the same rows').catch(() => {
        expect(x!.rows()).toEqual(y!.rows());
      });
      await world.stop();
    }),
    { numRuns: 60 },
  );
  for (const [what, times] of Object.entries(covered)) expect(times, what).toBeGreaterThan(30);
});

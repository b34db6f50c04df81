import { mkdtempSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { generate, type Packet, parser } from 'mqtt-packet';
import pino from 'pino';
import {
  type Bridge,
  type Broker,
  type BrokerOptions,
  createBroker,
  type DeviceCommands,
  type SessionLimits,
  type SessionRecords,
} from '../../../broker/index.ts';
import {
  type Appended,
  type Clock,
  type Key,
  type LamppostError,
  type LoginsFailing,
  type MessageRoute,
  type MessageSink,
  type Publication,
  type SessionDrop,
  SHARED,
  systemTimers,
} from '../../../domain/index.ts';
import { COUNTED_HERE } from '../../../limits/index.ts';
import { type Credential, hashSecret, type Identity } from '../../../registry/index.ts';
import { until } from '../wait.ts';
import { MemoryOutbox } from './outbox.ts';

/** A journal in memory that can keep its publishers waiting. */
export class MemorySink implements MessageSink {
  readonly taken: { identity: string; topic: string; payload: string }[] = [];
  /** While true, appends wait for `settle`. */
  held = false;
  #waiting: { bytes: number; done: Appended }[] = [];
  #pending = 0;

  route(identity: string, topic: string): MessageRoute {
    return { identity, topic };
  }

  append({ identity, topic }: MessageRoute, payload: Uint8Array, done: Appended): void {
    this.taken.push({ identity, topic, payload: Buffer.from(payload).toString() });
    this.#waiting.push({ bytes: payload.length, done });
    this.#pending += payload.length;
    if (!this.held) setImmediate(() => this.held || this.settle());
  }

  /** Calls back the waiting appends in order; all, or the first `most`. */
  settle(error: LamppostError | null = null, most = Number.POSITIVE_INFINITY): void {
    for (const { bytes, done } of this.#waiting.splice(0, most)) {
      this.#pending -= bytes;
      done(error);
    }
  }

  pendingBytes(): number {
    return this.#pending;
  }
}

/** The secret of every identity in these tests. */
export const SECRET = 'the-secret-of-all-who-are-known';

export const deviceOf = (id: string, secret = SECRET): Credential => ({
  identity: { kind: 'device', id, profile: 'waste-bin' },
  hash: hashSecret(secret),
});
export function keyOf(id: string, role: Key['role'], department: string | null = null): Credential {
  const identity: Identity = { kind: 'key', id, key: { id, name: id, role, department } };
  return { identity, hash: hashSecret(SECRET) };
}

/** A broker over a journal in memory, with devices bin-1 to bin-3 and the keys admin, city, waste and roads. */
export interface Scene {
  readonly broker: Broker;
  readonly sink: MemorySink;
  readonly port: number;
  readonly tlsPort: number | null;
  readonly bridge: Bridge;
  overloaded: boolean;
  /** Whether the broker wants live readings. */
  readonly live: boolean;
  /** Time of the broker's clock, epoch ms. */
  nowMs: number;
  /** Number of reads of the clock. */
  readonly asked: number;
  /** The published drops. */
  readonly drops: SessionDrop[];
  /** The published failures of logins. */
  readonly failing: LoginsFailing[];
  /** Ids of commands that arrived. */
  readonly delivered: string[];
  /** Directory of its sessions, and its outbox: another broker can continue from them. */
  readonly dir: string;
  readonly outbox: MemoryOutbox;
  /** Publishes an event that is this message. */
  publish(message: Publication): void;
  stop(): Promise<void>;
}

const UNLIMITED = { device: { messagesPerSecond: 0, bytesPerSecond: 0 }, profiles: {} };

const LIMITS = {
  accounts: UNLIMITED,
  departments: { shared: SHARED, profiles: new Map() },
  maxPacketBeforeConnect: 16 * 1024,
  maxPacket: 64 * 1024,
  maxInFlight: 64 * 1024,
  maxConnections: 100,
  maxPerAddress: 100,
  maxUnread: 256 * 1024,
};

interface Setting extends Partial<BrokerOptions> {
  readonly dir?: string;
  readonly outbox?: MemoryOutbox;
  readonly limits?: Partial<SessionLimits>;
  /** Time of its clock at the start, epoch ms. */
  readonly nowMs?: number;
  /** The clock; absent: it stands at `Scene.nowMs`. */
  readonly clock?: Clock;
  /** The log that it shares with other nodes. */
  readonly records?: SessionRecords;
  /** The commands that the topic of a device has for a new subscription. */
  readonly waiting?: (topic: string) => readonly Publication[];
  /** How long a command is still valid, s. */
  readonly secondsLeft?: DeviceCommands['secondsLeft'];
  /** What waits for network servers, and whose it is. */
  readonly downlinks?: Pick<DeviceCommands, 'downlinks' | 'downlink'>;
  /** Secrets that differ from SECRET, by user name. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** User names without credentials. */
  readonly without?: readonly string[];
}

const SESSION_LIMITS: SessionLimits = { days: 7, messages: 10_000, bytes: 16 * 1024 * 1024, perUser: 100 };

export async function startBroker(setting: Setting = {}): Promise<Scene> {
  const {
    dir = newDir(),
    outbox = new MemoryOutbox(),
    limits,
    secrets = {},
    without = [],
    waiting = () => [],
    downlinks = { downlinks: () => [], downlink: () => null },
  } = setting;
  const { nowMs = Date.parse('2026-05-01T00:00:00Z') } = setting;
  const sink = new MemorySink();
  const drops: SessionDrop[] = [];
  const failing: LoginsFailing[] = [];
  const delivered: string[] = [];
  const scene = { overloaded: false, live: false, nowMs, asked: 0 };
  const deps = {
    sink,
    clock: {
      now() {
        scene.asked++;
        return setting.clock?.now() ?? scene.nowMs;
      },
    },
    log: pino({ level: 'silent' }),
    timers: systemTimers,
    outbox,
    live(isWanted: boolean) {
      scene.live = isWanted;
    },
    load: () => (scene.overloaded ? 2 : 0),
    publishDrops: async (dropped: readonly SessionDrop[]) => void drops.push(...dropped),
    publishFailing: (one: LoginsFailing) => void failing.push(one),
    commands: {
      isOver: () => false,
      secondsLeft: setting.secondsLeft ?? (() => null),
      waiting,
      delivered: (ids: readonly string[]) => void delivered.push(...ids),
      ...downlinks,
    },
    records: setting.records ?? null,
    counters: COUNTED_HERE,
  };
  const sessions = { path: join(dir, 'sessions.sqlite'), limits: { ...SESSION_LIMITS, ...limits }, upkeepMs: 5 };
  const broker = createBroker(deps, {
    host: '127.0.0.1',
    port: 0,
    tls: null,
    proxies: '',
    ...LIMITS,
    sessions,
    ...setting,
  });
  const devices = ['bin-1', 'bin-2', 'bin-3'].map((id) => deviceOf(id));
  const keys = [keyOf('admin', 'admin'), keyOf('city', 'viewer')];
  const departments = [keyOf('waste', 'operator', 'waste'), keyOf('roads', 'viewer', 'roads')];
  const set = [...devices, ...keys, ...departments].filter(({ identity }) => !without.includes(identity.id));
  for (const [id, secret] of Object.entries(secrets)) {
    set.push({ ...set.find(({ identity }) => identity.id === id)!, hash: hashSecret(secret) });
  }
  broker.credentials({ set, remove: [] });
  await broker.open();
  const { port, tlsPort, bridge } = await broker.start();
  const stop = async () => {
    sink.held = false;
    sink.settle();
    await broker.stop();
  };
  const publish = (message: Publication) => {
    outbox.append(message);
    broker.appended();
  };
  const made = { broker, sink, port: port!, tlsPort, bridge, drops, failing, delivered, dir, outbox, publish, stop };
  return Object.assign(scene, made);
}

const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-broker-'));

/** Logs a client of mqtt.js in; a device's client id is its id. */
export function login(port: number, username: string, more: IClientOptions = {}): Promise<MqttClient> {
  const identity = { username, clientId: username, password: SECRET, reconnectPeriod: 0 };
  return mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { ...identity, ...more });
}

/** A client that sends and records packets, and sends nothing by itself. */
export class RawClient {
  readonly socket: Socket;
  readonly version: 4 | 5;
  readonly packets: Packet[] = [];
  readonly closed: Promise<void>;
  isClosed = false;
  /** Called with each received packet. */
  onPacket: (packet: Packet) => void = () => {};

  constructor(port: number, socket = connect(port, '127.0.0.1'), version: 4 | 5 = 4) {
    this.socket = socket;
    this.version = version;
    const incoming = parser({ protocolVersion: version });
    incoming.on('packet', (packet) => {
      this.packets.push(packet);
      this.onPacket(packet);
    });
    socket.on('data', (bytes) => incoming.parse(bytes));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        resolve();
      });
    });
  }

  send(...packets: Packet[]): void {
    this.socket.write(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: this.version }))));
  }

  /** Returns the received packets of a kind. */
  got<T extends Packet['cmd']>(cmd: T): Extract<Packet, { cmd: T }>[] {
    return this.packets.filter((packet) => packet.cmd === cmd) as Extract<Packet, { cmd: T }>[];
  }

  async connect(username: string, more: object = {}): Promise<number> {
    const identity = { clientId: username, username, password: Buffer.from(SECRET) };
    this.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.version,
      keepalive: 0,
      clean: true,
      ...identity,
      ...more,
    });
    await until(() => this.got('connack').length > 0 || this.isClosed, 'CONNACK');
    const { returnCode, reasonCode } = this.got('connack').at(-1)!;
    return returnCode ?? reasonCode!;
  }

  /** Sends PINGREQ and resolves at PINGRESP: packets that the broker sent before it have arrived. */
  async ping(): Promise<void> {
    const before = this.got('pingresp').length;
    this.send({ cmd: 'pingreq' });
    await until(() => this.got('pingresp').length > before, 'PINGRESP');
  }
}

export async function rawLogin(port: number, username: string, more: object = {}): Promise<RawClient> {
  const client = new RawClient(port);
  const code = await client.connect(username, more);
  if (code !== 0) throw new Error(`CONNACK ${code}`);
  return client;
}

/** Logs a client of MQTT 5 in. */
export async function fiveLogin(port: number, username: string, more: object = {}): Promise<RawClient> {
  const client = new RawClient(port, connect(port, '127.0.0.1'), 5);
  const code = await client.connect(username, more);
  if (code !== 0) throw new Error(`CONNACK ${code}`);
  return client;
}

export function publishPacket(
  topic: string,
  payload: string | Buffer,
  qos: 0 | 1 | 2,
  messageId = 1,
  more: object = {},
) {
  return { cmd: 'publish', topic, payload, qos, messageId, dup: false, retain: false, ...more } as Packet;
}

import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Decided } from '../../actions/index.ts';
import type { AccountLimits } from '../../broker/index.ts';
import { type CityControl, DAY_MS } from '../../domain/index.ts';
import type { Subscriptions, Webhooks } from '../../notify/index.ts';
import type { Credential, Registry } from '../../registry/index.ts';
import { createCheckpointer } from '../../store/index.ts';
import type { Config } from '../config.ts';
import { type Steps, timed } from '../steps.ts';
import type { BrokerThread, BrokerThreadData } from './broker.ts';
import type { EngineThread, EngineThreadData } from './engine.ts';
import type { JournalThread, JournalThreadData } from './journal.ts';
import type { NotifyThread, NotifyThreadData } from './notify.ts';
import { type Remote, spawn, type Thread, within } from './rpc.ts';
import { createSharedCounters } from './shared-counters.ts';

/** The running threads: journal, engine, broker, notifications. */
export interface Threads {
  readonly journal: Remote<JournalThread>;
  readonly engine: Remote<EngineThread>;
  readonly broker: Remote<BrokerThread>;
  readonly notify: Pick<Remote<NotifyThread>, 'counts' | 'expire' | 'city'>;
  readonly webhooks: Remote<Webhooks>;
  readonly subscriptions: Remote<Subscriptions>;
  /** Where MQTT listens; `tlsPort` is null without TLS. */
  readonly mqtt: Awaited<ReturnType<Remote<BrokerThread>['start']>>;
  /** Appends what changed in the registry since the last call to the journal. */
  journalDevices(): Promise<void>;
  /** Calls the listener when events were added; returns how to stop listening. */
  onAppended(listener: () => void): () => void;
  /** Calls the listener with what the engine decides about actions, once it is on disk. */
  onDecided(listener: (decided: Decided) => void): void;
}

interface Start {
  readonly config: Config;
  readonly city: CityControl;
  /** What clients may send. */
  readonly limits: AccountLimits;
  readonly registry: Registry;
  readonly admin: Credential;
  readonly steps: Steps;
  readonly log: Logger;
  readonly onCrash: (error: Error) => void;
}

const TICK_MS = 1_000;
const CHECKPOINT_MS = 5_000;
const UPKEEP_MS = 5_000;
const MAX_IN_FLIGHT = 256 * 1024;

/** What the threads are made with. */
interface Parts extends Pick<Start, 'config' | 'limits' | 'onCrash'> {
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  /** From the broker (port1) to the journal (port2). */
  readonly toJournal: MessageChannel;
  /** From the engine (port1) to the broker (port2). */
  readonly toBroker: MessageChannel;
}

/**
 * Starts the threads along the way of a reading, the journal first, and the MQTT listeners last. A stop undoes it from
 * the end: no more messages are taken, every consumer settles what was taken, then the files are closed.
 */
export async function startThreads({ steps, log, ...start }: Start): Promise<Threads> {
  const { config, city, registry } = start;
  const parts: Parts = {
    ...start,
    counter: new Int32Array(new SharedArrayBuffer(4)),
    counters: createSharedCounters(),
    toJournal: new MessageChannel(),
    toBroker: new MessageChannel(),
  };
  const thread = <T>(name: string, make: () => Thread<T>) => steps.do(`${name} thread`, make, (made) => made.stop());

  const journal = await thread('journal', () => spawnJournal(parts));
  const heads = await timed(log, 'journal opens', () => journal.call.heads());
  const journalled = await journal.call.newest();
  // What changed while the process was down enters the journal before anything else does.
  if (heads.city !== city.version) await journal.call.control('city', city, city.version);
  const journalDevices = appendDevices(journal.call, registry, heads.registry);
  await journalDevices();

  const engine = await thread('engine', () => spawnEngine(parts, journalled));
  const appended = new Set<() => void>();
  const decided = new Set<(decided: Decided) => void>();
  engine.worker.on('message', (message: { event?: string; seq?: number; decided?: Decided }) => {
    if (message.event === 'decided') for (const listener of decided) listener(message.decided!);
    if (message.event === 'appended') for (const listener of appended) listener();
    if (message.event === 'release') void journal.call.release(message.seq!);
  });
  // Returns once the engine has opened its files; the notify thread reads one of them.
  await timed(log, 'engine opens', () => engine.call.status());
  const notify = await thread('notify', () => spawnNotify(parts, city));
  appended.add(() => notify.worker.postMessage({ event: 'appended' }));
  await timed(log, 'notify opens', () => notify.call.counts());
  const broker = await thread('broker', () => spawnBroker(parts, [...registry.credentials(), start.admin]));

  // Returns once the broker has opened its sessions.
  await timed(log, 'broker opens', () => broker.call.counts());
  await notify.call.run();
  await journal.call.run();
  // Last: from here on there is something to drain.
  await steps.do(
    'consumers',
    () => engine.call.run(),
    () => engine.call.drain(),
  );
  const checkpointer = createCheckpointer({ path: sessionsPath(config), everyMs: CHECKPOINT_MS }, log);
  await steps.do(
    'session checkpoints',
    () => checkpointer.start(),
    () => checkpointer.stop(),
  );
  const mqtt = await steps.do(
    'MQTT listeners',
    () => broker.call.start(),
    () => broker.stop(),
  );

  return {
    journal: journal.call,
    engine: engine.call,
    broker: broker.call,
    notify: notify.call,
    webhooks: within<Webhooks>(notify.call, 'webhooks'),
    subscriptions: within<Subscriptions>(notify.call, 'subscriptions'),
    mqtt,
    journalDevices,
    onAppended(listener) {
      appended.add(listener);
      return () => appended.delete(listener);
    },
    onDecided: (listener) => void decided.add(listener),
  };
}

function spawnJournal({ config, counter, counters, toJournal, onCrash }: Parts): Thread<JournalThread> {
  const data: JournalThreadData = {
    path: join(config.data, 'journal.sqlite'),
    counter,
    counters,
    limits: { ...config.journal, tickMs: TICK_MS },
    broker: toJournal.port2,
  };
  return spawn('./journal.ts', { data, transfer: [data.broker], onCrash });
}

function spawnEngine(parts: Parts, journalled: number): Thread<EngineThread> {
  const { config, counter, counters, toBroker, onCrash } = parts;
  const { data: dir, logLevel, influx, quarantine } = config;
  const { engineYoungMiB, duckdbMiB } = config.memory;
  const shared = { counter, counters, broker: toBroker.port1 };
  const auditMs = config.keep.auditDays * DAY_MS;
  const data: EngineThreadData = { dir, logLevel, influx, quarantine, auditMs, duckdbMiB, journalled, ...shared };
  return spawn('./engine.ts', { data, transfer: [data.broker], youngMiB: engineYoungMiB, onCrash });
}

function spawnNotify({ config, onCrash }: Parts, city: CityControl): Thread<NotifyThread> {
  const { data: dir, logLevel, smtp, publicUrl, webhooks } = config;
  const data: NotifyThreadData = { dir, logLevel, allowPrivate: webhooks.allowPrivate, smtp, publicUrl, city };
  return spawn('./notify.ts', { data, onCrash });
}

function spawnBroker(parts: Parts, credentials: readonly Credential[]): Thread<BrokerThread> {
  const { config, limits, counters, toJournal, toBroker, onCrash } = parts;
  const data: BrokerThreadData = {
    options: { ...brokerOptions(config), accounts: limits },
    logLevel: config.logLevel,
    credentials,
    journal: toJournal.port1,
    engine: toBroker.port2,
    counters,
  };
  const transfer = [data.journal, data.engine];
  return spawn('./broker.ts', { data, transfer, youngMiB: config.memory.brokerYoungMiB, onCrash });
}

function appendDevices(journal: Remote<JournalThread>, registry: Registry, journalled: number): () => Promise<void> {
  let version = journalled;
  return async () => {
    const changes = registry.changesSince(version);
    if (changes === null) return;
    await journal.control('devices', changes, String(changes.version));
    version = Math.max(version, changes.version);
  };
}

const sessionsPath = (config: Config) => join(config.data, 'sessions.sqlite');

function brokerOptions(config: Config): Omit<BrokerThreadData['options'], 'accounts'> {
  const { mqtt } = config;
  return {
    host: mqtt.host,
    port: mqtt.port,
    tls: mqtt.tls,
    maxPacket: mqtt.maxPacket,
    maxPacketBeforeConnect: Math.min(mqtt.maxPacket, 16 * 1024),
    maxInFlight: MAX_IN_FLIGHT,
    maxConnections: mqtt.maxConnections,
    maxPerAddress: mqtt.maxPerAddress,
    proxies: mqtt.proxies,
    maxUnread: 1024 * 1024,
    sessions: { path: sessionsPath(config), limits: mqtt.sessions, upkeepMs: UPKEEP_MS },
  };
}

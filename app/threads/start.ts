import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Decided } from '../../actions/index.ts';
import type { AccountLimits, DeclaredNames, Departments } from '../../broker/index.ts';
import {
  type CityControl,
  DAY_MS,
  type Duties,
  type ProgressControl,
  type SharedClock,
  systemTimers,
} from '../../domain/index.ts';
import type { CountedFailures } from '../../limits/index.ts';
import type { Subscriptions, Webhooks } from '../../notify/index.ts';
import {
  ADMIN,
  type Credential,
  createRegistryReader,
  type FileOfBefore,
  RegistryFollower,
  type RegistryReader,
  readFileOfBefore,
} from '../../registry/index.ts';
import { createCheckpointer } from '../../store/index.ts';
import type { Config } from '../config.ts';
import { type Steps, timed } from '../steps.ts';
import type { BrokerThread, BrokerThreadData } from './broker.ts';
import { passDuties, type ToLog } from './duties.ts';
import type { EngineThread, EngineThreadData } from './engine.ts';
import type { JournalThread, JournalThreadData } from './journal.ts';
import { memoryOfThreads, type ThreadMemory } from './memory.ts';
import type { NotifyThread, NotifyThreadData } from './notify.ts';
import { offer, prepare, type Remote, type Thread, type WaitingThread, within } from './rpc.ts';
import { createSharedCounters } from './shared-counters.ts';

/** The running threads: journal, engine, broker, notifications. */
export interface Threads {
  readonly journal: Remote<JournalThread>;
  readonly engine: Remote<EngineThread>;
  readonly broker: Remote<BrokerThread>;
  readonly notify: Pick<Remote<NotifyThread>, 'counts' | 'expire' | 'city' | 'earlier' | 'mail' | 'post'>;
  readonly webhooks: Remote<Webhooks>;
  readonly subscriptions: Remote<Subscriptions>;
  /** Where MQTT listens; `tlsPort` is null without TLS. */
  readonly mqtt: Awaited<ReturnType<Remote<BrokerThread>['start']>>;
  /** Devices and keys, as the engine has decided them. */
  readonly registry: RegistryReader;
  /** Passes them on to `ingest` and the broker. */
  readonly follower: RegistryFollower;
  /** Resolves once what an earlier Lamppost kept of devices and keys is a part of the state. */
  tookOver(): Promise<void>;
  /** Returns what each thread has of memory. */
  memory(): Promise<ThreadMemory[]>;
  /** Calls the listener when events were added; returns how to stop listening. */
  onAppended(listener: () => void): () => void;
  /** Calls the listener with what the engine decides about actions, once it is on disk. */
  onDecided(listener: (decided: Decided) => void): void;
  /** Calls the listener with what the broker refused, for the other nodes of a cluster. */
  onFailures(listener: (failures: CountedFailures) => void): void;
  /** Calls the listener with each city that a block of the log brings. */
  onCity(listener: (seq: number, control: CityControl) => void): void;
  /** The block that the city of the start is of, or a later one that brought no other. */
  readonly citySeq: number;
}

/** What the engine's thread says by itself. */
interface EngineEvent {
  readonly event?: string;
  readonly seq?: number;
  readonly decided?: Decided;
  readonly control?: CityControl;
  readonly progress?: ProgressControl;
}

/** The city of a start, and what the broker takes from it. */
interface First {
  readonly city: CityControl;
  /** The block that it is of; null: the log gets it where it has another one. */
  readonly cityOf: number | null;
  /** What clients may send. */
  readonly limits: AccountLimits;
  readonly departments: Departments;
  readonly declared: DeclaredNames;
}

/** The threads of a start: they load their modules, each waits for its data. */
export interface PreparedThreads {
  readonly journal: WaitingThread<JournalThread>;
  readonly engine: WaitingThread<EngineThread>;
  readonly notify: WaitingThread<NotifyThread>;
  readonly broker: WaitingThread<BrokerThread>;
  /** Ends those that have not begun. */
  end(): Promise<void>;
}

/**
 * Half of what a start computes is to load modules: the threads do it beside each other. Those whose young generations
 * differ are spawned one after another.
 */
export async function prepareThreads({ memory }: Config, onCrash: (error: Error) => void): Promise<PreparedThreads> {
  const [journal, notify] = await Promise.all([
    prepare<JournalThread>(new URL('./journal.ts', import.meta.url), { onCrash }),
    prepare<NotifyThread>(new URL('./notify.ts', import.meta.url), { onCrash }),
  ]);
  const engine = await prepare<EngineThread>(new URL('./engine.ts', import.meta.url), {
    youngMiB: memory.engineYoungMiB,
    onCrash,
  });
  const broker = await prepare<BrokerThread>(new URL('./broker.ts', import.meta.url), {
    youngMiB: memory.brokerYoungMiB,
    onCrash,
  });
  const end = async () => void (await Promise.all([journal, engine, notify, broker].map((thread) => thread.end())));
  return { journal, engine, notify, broker, end };
}

interface Start {
  readonly prepared: PreparedThreads;
  readonly config: Config;
  readonly clock: SharedClock;
  /** Returns the city to start with; called once the log is here up to its end. */
  readonly first: () => First;
  /** What secrets of webhooks are sealed with. */
  readonly secretsKey: string;
  /** The key of the settings; null where it is switched off. */
  readonly admin: Credential | null;
  /** Which duties are this node's; null: it is alone. */
  readonly duties: Duties | null;
  readonly steps: Steps;
  readonly log: Logger;
}

const TICK_MS = 1_000;
const CHECKPOINT_MS = 5_000;
const UPKEEP_MS = 5_000;
const POLL_MS = 50;
const MAX_IN_FLIGHT = 256 * 1024;

/** What the threads are made with. */
interface Parts extends Pick<Start, 'prepared' | 'config' | 'clock' | 'secretsKey' | 'duties'> {
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  /** From the broker (port1) to the journal (port2). */
  readonly toJournal: MessageChannel;
  /** The same, for what the broker noticed. */
  readonly notices: MessageChannel;
  /** From the engine (port1) to the broker (port2). */
  readonly toBroker: MessageChannel;
  /** From the notify thread (port1) to this one (port2): how far it got; null: this node is alone. */
  readonly progress: MessageChannel | null;
}

/**
 * Begins the threads along the way of a reading, the journal first, and the MQTT listeners last. A stop undoes it from
 * the end: no more messages are taken, every consumer settles what was taken, then the files are closed.
 */
export async function startThreads({ steps, log, ...start }: Start): Promise<Threads> {
  const { config, duties } = start;
  const parts: Parts = {
    ...start,
    counter: new Int32Array(new SharedArrayBuffer(4)),
    counters: createSharedCounters(),
    toJournal: new MessageChannel(),
    notices: new MessageChannel(),
    toBroker: new MessageChannel(),
    progress: start.duties === null ? null : new MessageChannel(),
  };
  const thread = <T>(name: string, make: () => Thread<T>) => steps.do(`${name} thread`, make, (made) => made.stop());

  const journal = await thread('journal', () => beginJournal(parts));
  const heads = await timed(log, 'journal opens', () => journal.call.heads());
  const journalled = await journal.call.newest();
  const first = start.first();
  const { city, cityOf } = first;
  // What changed while the process was down enters the journal before anything else does.
  const newest =
    cityOf === null && heads.city !== city.version
      ? await journal.call.control('city', city, city.version)
      : journalled;
  const citySeq = cityOf ?? newest;

  const engine = await thread('engine', () => beginEngine(parts, journalled));
  const appended = new Set<() => void>();
  const decided = new Set<(decided: Decided) => void>();
  const failed = new Set<(failures: CountedFailures) => void>();
  const cities = new Set<(seq: number, control: CityControl) => void>();
  /** Cities that came before anybody listened. */
  const early: [seq: number, control: CityControl][] = [];
  let registryChanged = () => {};
  let follower: RegistryFollower | null = null;
  const toLog: ToLog = { append: (progress) => journal.call.control('progress', progress, null) };
  const noted = (err: unknown) => log.warn({ err }, 'how far the history is enters the log later');
  /** Up to which block the engine and, in a cluster, the broker do not need the log. */
  const taken = { engine: 0, broker: config.cluster === null ? Number.POSITIVE_INFINITY : 0 };
  function release(now: Partial<typeof taken>): void {
    Object.assign(taken, now);
    void journal.call.release(Math.min(taken.engine, taken.broker));
  }
  engine.worker.on('message', (message: EngineEvent) => {
    if (message.event === 'decided') for (const listener of decided) listener(message.decided!);
    if (message.event === 'registry') registryChanged();
    if (message.event === 'appended') for (const listener of appended) listener();
    if (message.event === 'release') release({ engine: message.seq! });
    if (message.event === 'progress') void toLog.append(message.progress!).catch((err: unknown) => noted(err));
    if (message.event === 'city') {
      if (cities.size === 0) early.push([message.seq!, message.control!]);
      for (const listener of cities) listener(message.seq!, message.control!);
    }
  });
  // Returns once the engine has opened its files; the notify thread reads one of them.
  await timed(log, 'engine opens', () => engine.call.status());
  const openRegistry = () => new DatabaseSync(join(config.data, 'state.sqlite'), { readOnly: true });
  const state = await steps.do('registry', openRegistry, (db) => {
    follower?.stop();
    db.close();
  });
  const registry = createRegistryReader(state);
  const before = readFileOfBefore(join(config.data, 'registry.sqlite'), heads.registry);
  if (before !== null && !registry.tookOver()) await takeOver(journal.call, before);
  follower = new RegistryFollower({
    registry,
    journal: (control) => journal.call.control('devices', control, String(control.version)),
    broker: (change) => broker.call.credentials(change),
    timers: systemTimers,
    // Until the old rows are taken over, the log counts versions in another way.
    journalled: before === null ? heads.registry : 0,
  });
  const following = follower;
  if (parts.progress !== null) offer(parts.progress.port2, toLog);
  const notify = await thread('notify', () => beginNotify(parts, city));
  appended.add(() => notify.worker.postMessage({ event: 'appended' }));
  await timed(log, 'notify opens', () => notify.call.counts());
  const credentials = [...credentialsAtStart(registry, before), ...(start.admin === null ? [] : [start.admin])];
  following.startedWith(registry.version());
  const broker = await thread('broker', () => beginBroker(parts, first, credentials));

  broker.worker.on('message', (message: { event?: string; seq?: number; failures?: CountedFailures }) => {
    if (message.event === 'followed') release({ broker: message.seq! });
    if (message.event === 'failures') for (const listener of failed) listener(message.failures!);
  });
  // Returns once the broker has opened its sessions.
  await timed(log, 'broker opens', () => broker.call.counts());
  registryChanged = () =>
    void following.follow().catch((err: unknown) => log.warn({ err }, 'changes of devices are passed on later'));
  await following.follow();
  await notify.call.run();
  await journal.call.run();
  // Last: from here on there is something to drain.
  await steps.do(
    'consumers',
    () => engine.call.run(),
    () => engine.call.drain(),
  );
  if (duties !== null) {
    const keepTime = (revision: number | null) => journal.call.keepTime(revision !== null);
    const holds = { clock: keepTime, notify: notify.call.hold, history: engine.call.hold };
    await steps.do(
      'duties',
      () => passDuties(duties, holds, log),
      (stop) => stop(),
    );
  }
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
    registry,
    follower: following,
    async tookOver() {
      while (before !== null && !registry.tookOver()) {
        // Throws where the engine has ended.
        await engine.call.status();
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      await following.follow();
      before?.putAside();
    },
    memory: () =>
      memoryOfThreads({
        journal: journal.worker,
        engine: engine.worker,
        broker: broker.worker,
        notify: notify.worker,
      }),
    onAppended(listener) {
      appended.add(listener);
      return () => appended.delete(listener);
    },
    onDecided: (listener) => void decided.add(listener),
    onFailures: (listener) => void failed.add(listener),
    onCity(listener) {
      cities.add(listener);
      for (const [seq, control] of early.splice(0)) listener(seq, control);
    },
    citySeq,
  };
}

function beginJournal({ prepared, config, ...parts }: Parts): Thread<JournalThread> {
  const { clock, counter, counters, toJournal, notices } = parts;
  const data: JournalThreadData = {
    path: join(config.data, 'journal.sqlite'),
    logLevel: config.logLevel,
    clock: clock.buffer,
    clockWaitMs: config.clockWaitMs,
    counter,
    counters,
    limits: { ...config.journal, untilBackup: config.backup.dir !== null, tickMs: TICK_MS },
    cluster: config.cluster,
    broker: toJournal.port2,
    notices: notices.port2,
  };
  return prepared.journal.begin(data, [data.broker, data.notices]);
}

function beginEngine(parts: Parts, journalled: number): Thread<EngineThread> {
  const { prepared, config, clock, counter, counters, toBroker } = parts;
  const { data: dir, logLevel, influx, quarantine } = config;
  const { duckdb } = config.memory;
  const deadlines = parts.duties?.deadlines ?? null;
  const shared = { clock: clock.buffer, counter, counters, broker: toBroker.port1, deadlines };
  const kept = { auditMs: config.keep.auditDays * DAY_MS, quarantineMs: config.keep.quarantineDays * DAY_MS };
  const data: EngineThreadData = { dir, logLevel, influx, quarantine, ...kept, duckdb, journalled, ...shared };
  return prepared.engine.begin(data, [data.broker]);
}

function beginNotify(
  { prepared, config, clock, secretsKey, duties, progress }: Parts,
  city: CityControl,
): Thread<NotifyThread> {
  const { data: dir, logLevel, smtp, publicUrl, webhooks } = config;
  const { allowPrivate } = webhooks;
  const of = { dir, logLevel, clock: clock.buffer, deadlines: duties?.deadlines ?? null };
  const port = progress?.port1 ?? null;
  const data: NotifyThreadData = { ...of, allowPrivate, secretsKey, smtp, publicUrl, city, progress: port };
  return prepared.notify.begin(data, port === null ? [] : [port]);
}

function beginBroker(
  { prepared, config, clock, counter, counters, toJournal, notices, toBroker }: Parts,
  { limits, departments, declared }: First,
  credentials: readonly Credential[],
): Thread<BrokerThread> {
  const data: BrokerThreadData = {
    options: { ...brokerOptions(config), accounts: limits, departments, declared },
    dir: config.data,
    logLevel: config.logLevel,
    clock: clock.buffer,
    credentials,
    journal: toJournal.port1,
    notices: notices.port1,
    engine: toBroker.port2,
    ...{ counter, counters, node: config.cluster?.node ?? null },
  };
  return prepared.broker.begin(data, [data.journal, data.notices, data.engine]);
}

/** Devices and keys of an earlier Lamppost become records of the log, as if somebody had registered them. */
async function takeOver(journal: Remote<JournalThread>, { parts }: FileOfBefore): Promise<void> {
  const actor = { kind: 'key', id: ADMIN, role: 'admin', department: null } as const;
  for (const part of parts) {
    const record = { id: randomUUID(), actor, address: null, key: null };
    await journal.control(
      'actions',
      { items: [{ ...record, command: { do: 'registry.take-over', ...part } }], anchor: null },
      null,
    );
  }
}

/** What is not decided yet may connect: it could before. */
function credentialsAtStart(registry: RegistryReader, before: FileOfBefore | null): Credential[] {
  return [...(before === null || registry.tookOver() ? [] : before.credentials), ...registry.credentials()];
}

const sessionsPath = (config: Config) => join(config.data, 'sessions.sqlite');

function brokerOptions(config: Config): Omit<BrokerThreadData['options'], 'accounts' | 'departments' | 'declared'> {
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

import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from 'pino';
import { createCheckpointer } from '../../broker/index.ts';
import type { CityControl } from '../../domain/index.ts';
import type { Subscriptions, Webhooks } from '../../notify/index.ts';
import type { Credential, Registry } from '../../registry/index.ts';
import type { Config } from '../config.ts';
import type { BrokerThread, BrokerThreadData } from './broker.ts';
import type { EngineThread, EngineThreadData } from './engine.ts';
import { createFlags } from './flags.ts';
import type { JournalThread, JournalThreadData } from './journal.ts';
import type { NotifyThread, NotifyThreadData } from './notify.ts';
import { type Remote, type RemoteSet, within } from './rpc.ts';
import { spawn } from './spawn.ts';

/** The running threads: journal, engine, broker, notifications. */
export interface Threads {
  readonly journal: Remote<JournalThread>;
  readonly engine: Remote<EngineThread>;
  readonly broker: Remote<BrokerThread>;
  readonly notify: Pick<Remote<NotifyThread>, 'counts' | 'expire' | 'city'>;
  readonly webhooks: RemoteSet<Webhooks>;
  readonly subscriptions: RemoteSet<Subscriptions>;
  /** Brings what changed in the registry since the last call into the journal. */
  journalDevices(): Promise<void>;
  /** Called when events were added; returns how to stop listening. */
  onAppended(listener: () => void): () => void;
  /** Takes no more messages, settles what was taken, ends the threads. */
  stop(): Promise<void>;
}

interface Start {
  readonly config: Config;
  readonly city: CityControl;
  readonly registry: Registry;
  readonly admin: Credential;
  readonly log: Logger;
  readonly onCrash: (error: Error) => void;
}

const TICK_MS = 1_000;
const CHECKPOINT_MS = 5_000;
const UPKEEP_MS = 5_000;
const MAX_IN_FLIGHT = 256 * 1024;

/** Starts the threads along the way of a reading, the journal first; nothing listens yet. */
export async function startThreads({ config, city, registry, admin, log, onCrash }: Start): Promise<Threads> {
  // A thread's collector marks its heap in that thread then, not in helpers on the broker's core (docs/performance.md).
  setFlagsFromString('--no-concurrent-marking');
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const flags = createFlags();
  const toJournal = new MessageChannel();
  const toBroker = new MessageChannel();

  const journal = spawn<JournalThread>('./journal.ts', {
    data: {
      path: join(config.data, 'journal.sqlite'),
      counter,
      flags,
      limits: { ...config.journal, tickMs: TICK_MS },
      broker: toJournal.port2,
    } satisfies JournalThreadData,
    transfer: [toJournal.port2],
    onCrash,
  });
  // What changed while the process was down enters the journal before anything else does.
  const journalled = await journal.call.newest();
  const heads = await journal.call.heads();
  if (heads.city !== city.version) await journal.call.control('city', city, city.version);
  const journalDevices = devicesInto(journal.call, registry, heads.registry);
  await journalDevices();

  const engine = spawn<EngineThread>('./engine.ts', {
    data: {
      dir: config.data,
      logLevel: config.logLevel,
      influx: config.influx,
      journalled,
      counter,
      flags,
      broker: toBroker.port1,
    } satisfies EngineThreadData,
    transfer: [toBroker.port1],
    youngMiB: 128,
    onCrash,
  });
  const appended = new Set<() => void>();
  await new Promise<void>((resolve) => {
    engine.worker.on('message', (message: { event?: string; seq?: number }) => {
      if (message.event === 'ready') resolve();
      if (message.event === 'appended') for (const listener of appended) listener();
      if (message.event === 'release') void journal.call.release(message.seq!);
    });
  });

  const broker = spawn<BrokerThread>('./broker.ts', {
    data: {
      options: brokerOptions(config),
      logLevel: config.logLevel,
      credentials: [...registry.credentials(), admin],
      journal: toJournal.port1,
      engine: toBroker.port2,
      flags,
    } satisfies BrokerThreadData,
    transfer: [toJournal.port1, toBroker.port2],
    youngMiB: 192,
    onCrash,
  });
  const notify = spawn<NotifyThread>('./notify.ts', {
    data: {
      dir: config.data,
      logLevel: config.logLevel,
      allowPrivate: config.webhooks.allowPrivate,
      smtp: config.smtp,
      publicUrl: config.publicUrl,
      city,
    } satisfies NotifyThreadData,
    onCrash,
  });
  appended.add(() => notify.worker.postMessage({ event: 'appended' }));
  await engine.call.run();
  await journal.call.run();
  await notify.call.run();
  const checkpointer = createCheckpointer({ path: sessionsPath(config), everyMs: CHECKPOINT_MS }, log);
  checkpointer.start();

  return {
    journal: journal.call,
    engine: engine.call,
    broker: broker.call,
    notify: notify.call,
    webhooks: within(notify.call, 'webhooks'),
    subscriptions: within(notify.call, 'subscriptions'),
    journalDevices,
    onAppended(listener) {
      appended.add(listener);
      return () => appended.delete(listener);
    },
    async stop() {
      checkpointer.stop();
      await broker.call.stop();
      await engine.call.stop();
      await notify.call.stop();
      await journal.call.stop();
      await Promise.all([broker.ended, engine.ended, notify.ended, journal.ended]);
    },
  };
}

function devicesInto(journal: Remote<JournalThread>, registry: Registry, journalled: number): () => Promise<void> {
  let version = journalled;
  return async () => {
    const changes = registry.changesSince(version);
    if (changes === null) return;
    await journal.control('devices', changes, String(changes.version));
    version = Math.max(version, changes.version);
  };
}

const sessionsPath = (config: Config) => join(config.data, 'sessions.sqlite');

function brokerOptions(config: Config): BrokerThreadData['options'] {
  const { mqtt } = config;
  return {
    host: mqtt.host,
    port: mqtt.port,
    tls: mqtt.tls,
    maxPacket: mqtt.maxPacket,
    maxPacketBeforeConnect: Math.min(mqtt.maxPacket, 16 * 1024),
    maxInFlight: MAX_IN_FLIGHT,
    maxConnections: mqtt.maxConnections,
    maxUnread: 1024 * 1024,
    sessions: { path: sessionsPath(config), limits: mqtt.sessions, upkeepMs: UPKEEP_MS },
  };
}

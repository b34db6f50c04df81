/** The wiring of a Lamppost: threads, files, API. The one place that knows every room. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from 'pino';
import { type ApiDeps, createApi } from './api/index.ts';
import { type Credential, hashSecret, newSecret, openRegistry, sameHash } from './broker/index.ts';
import type { Config } from './config.ts';
import {
  type City,
  type CityControl,
  type Device,
  type Key,
  LamppostError,
  type Rule,
  systemClock,
} from './domain/index.ts';
import { createOutboxReader } from './events/index.ts';
import {
  createLedgerReader,
  createQuarantineReader,
  formatProblems,
  JournalReader,
  parseCity,
  readCityFolder,
} from './ingest/index.ts';
import { createMetrics } from './metrics.ts';
import { createAlertReader, parseRules } from './rules/index.ts';
import type { BrokerThread } from './threads/broker.ts';
import type { EngineThread } from './threads/engine.ts';
import { createFlags } from './threads/flags.ts';
import type { JournalThread } from './threads/journal.ts';
import { spawn } from './threads/spawn.ts';
import { createTicketReader } from './tickets/index.ts';
import { bridgeWebSocket } from './websocket.ts';

/** A running Lamppost. */
export interface Lamppost {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly mqttsPort: number | null;
  /** The admin key, where it was generated: to be shown once. */
  readonly generatedKey: string | null;
  /** Drains: takes no more messages, settles what was taken, closes. */
  stop(): Promise<void>;
}

const TICK_MS = 1_000;
const MAX_IN_FLIGHT = 256 * 1024;
const ADMIN: Key = { id: 'admin', name: 'admin', role: 'admin', department: null };

/** Reads the city folder and checks all of it. Throws `city` with a line for every problem. */
export async function loadCity(folder: string): Promise<{ control: CityControl; city: City; rules: readonly Rule[] }> {
  const control = await readCityFolder(folder);
  const { city, problems } = parseCity(control);
  const found = city === null ? { rules: [], problems } : parseRules(control, city);
  if (city === null || found.problems.length > 0) {
    throw new LamppostError('city', `the city folder ${folder} has mistakes:\n${formatProblems(found.problems)}`);
  }
  return { control, city, rules: found.rules };
}

/** Starts everything. Throws LamppostError where a setting, the city or the disk does not allow it. */
export async function startLamppost(config: Config, log: Logger, onCrash: (error: Error) => void): Promise<Lamppost> {
  const { control, city, rules } = await loadCity(config.city);
  mkdirSync(config.data, { recursive: true });
  const file = (name: string) => join(config.data, name);
  const registry = openRegistry(file('registry.sqlite'), systemClock);
  const generatedKey = config.adminKey === null ? newSecret() : null;
  const adminHash = hashSecret(config.adminKey ?? generatedKey!);
  const adminCredential: Credential = { identity: { kind: 'key', id: ADMIN.id, key: ADMIN }, hash: adminHash };

  const counter = new Int32Array(new SharedArrayBuffer(4));
  const flags = createFlags();
  const toJournal = new MessageChannel();
  const toBroker = new MessageChannel();

  const journal = spawn<JournalThread>('./journal.ts', {
    data: {
      path: file('journal.sqlite'),
      counter,
      flags,
      limits: { ...config.journal, tickMs: TICK_MS },
      broker: toJournal.port2,
    },
    transfer: [toJournal.port2],
    onCrash,
  });
  const heads = await journal.call.heads();
  // What changed while the process was down enters the journal before anything else does.
  if (heads.city !== control.version) await journal.call.control('city', control, control.version);
  let journalled = heads.registry;
  const journalDevices = async () => {
    const changes = registry.changesSince(journalled);
    if (changes === null) return;
    await journal.call.control('devices', changes, String(changes.version));
    journalled = Math.max(journalled, changes.version);
  };
  await journalDevices();

  const engine = spawn<EngineThread>('./engine.ts', {
    data: { dir: config.data, logLevel: config.logLevel, counter, flags, broker: toBroker.port1 },
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
      options: {
        host: config.mqtt.host,
        port: config.mqtt.port,
        tls: config.mqtt.tls,
        maxPacket: config.mqtt.maxPacket,
        maxPacketBeforeConnect: Math.min(config.mqtt.maxPacket, 16 * 1024),
        maxInFlight: MAX_IN_FLIGHT,
        maxConnections: config.mqtt.maxConnections,
        maxUnread: 1024 * 1024,
      },
      logLevel: config.logLevel,
      credentials: [...registry.credentials(), adminCredential],
      journal: toJournal.port1,
      engine: toBroker.port2,
      flags,
    },
    transfer: [toJournal.port1, toBroker.port2],
    youngMiB: 192,
    onCrash,
  });
  await engine.call.run();
  await journal.call.run();
  const mqtt = await broker.call.start();

  const state = new DatabaseSync(file('state.sqlite'), { readOnly: true });
  const journalReader = new JournalReader(file('journal.sqlite'));
  const ledger = createLedgerReader(state, journalReader);
  const tickets = createTicketReader(state);
  const outbox = createOutboxReader(state);

  /** Journal first, then the broker: a device that can connect is one that the engine knows. */
  const deviceChanged = async (set: readonly string[], remove: readonly string[]) => {
    await journalDevices();
    const credentials = set.flatMap((id) => registry.credentialOf(id) ?? []);
    await broker.call.credentials({ set: credentials, remove });
  };

  function checkDevices(devices: readonly Device[]): void {
    for (const { id, profile, district } of devices) {
      if (!city.profiles.has(profile)) {
        const known = [...city.profiles.keys()].join(', ');
        throw new LamppostError('invalid', `device ${id}: unknown profile "${profile}"; the city has ${known}`);
      }
      if (!city.districts.has(district)) {
        const known = [...city.districts.keys()].join(', ');
        throw new LamppostError('invalid', `device ${id}: unknown district "${district}"; the city has ${known}`);
      }
    }
  }

  const deps: ApiDeps = {
    log,
    city: () => city,
    rules: () => rules,
    ledger: async (device) => ledger.read(device),
    devices: {
      async register(devices) {
        checkDevices(devices);
        const registered = registry.register(devices);
        const ids = devices.map(({ id }) => id);
        await deviceChanged(ids, []);
        return registered;
      },
      list: (query) => registry.list(query),
      get: (id) => registry.get(id),
      async revoke(id) {
        const revoked = registry.revoke(id);
        if (revoked) await deviceChanged([], [id]);
        return revoked;
      },
      async rotate(id) {
        const secret = registry.rotate(id);
        if (secret !== null) await deviceChanged([id], []);
        return secret;
      },
    },
    keys: {
      authenticate: (bearer) => (sameHash(hashSecret(bearer), adminHash) ? ADMIN : registry.keyOf(bearer)),
      async add(key) {
        const added = registry.addKey(key);
        await broker.call.credentials({ set: [registry.credentialOf(added.id)!], remove: [] });
        return added;
      },
      list: () => registry.keys(),
      async revoke(id) {
        const revoked = registry.revokeKey(id);
        if (revoked) await broker.call.credentials({ set: [], remove: [id] });
        return revoked;
      },
    },
    history: { query: (query) => engine.call.query(query), latest: (filter) => engine.call.latest(filter) },
    quarantine: createQuarantineReader(state),
    alerts: createAlertReader(state),
    tickets,
    events: {
      page: (query) => outbox.page({ ...query, after: Number(query.after ?? 0) }),
      head: () => outbox.head(),
      oldest: () => outbox.oldest(),
      onAppended(listener) {
        appended.add(listener);
        return () => appended.delete(listener);
      },
    },
    async readiness() {
      const { trouble } = await engine.call.status();
      return { ready: trouble === null, reasons: trouble === null ? [] : [`history: ${trouble}`] };
    },
    metrics: createMetrics({
      ledger: () => ledger.read()!,
      broker: () => broker.call.counts(),
      engine: () => engine.call.status(),
      journalBytes: () => journal.call.bytes(),
      openTickets: () => tickets.openCount(),
      devices: () => registry.count(),
    }),
    acceptWebSocket: (stream) => bridgeWebSocket(stream, mqtt.port, config.mqtt.host),
  };
  const api = createApi(deps, config.http);
  await api.start();

  let stopped: Promise<void> | null = null;
  async function stop(): Promise<void> {
    await broker.call.stop();
    await engine.call.stop();
    await journal.call.stop();
    await api.stop();
    await Promise.all([broker.ended, engine.ended, journal.ended]);
    state.close();
    journalReader.close();
    registry.close();
  }
  return {
    httpPort: api.port(),
    mqttPort: mqtt.port,
    mqttsPort: mqtt.tlsPort,
    generatedKey,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

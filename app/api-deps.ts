import type { DatabaseSync } from 'node:sqlite';
import { type Duplex, pipeline } from 'node:stream';
import type { Logger } from 'pino';
import { type ActionLog, type Caller, createAuditReader } from '../actions/index.ts';
import { type ApiDeps, createQueries, createRefusals } from '../api/index.ts';
import { type Bridge, openBridge } from '../broker/index.ts';
import type { City, Clock, Key } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import type { createLedgerReader, createQuarantineReader, createReplays } from '../ingest/index.ts';
import { createDeviceService, createKeyService, type Registry } from '../registry/index.ts';
import { type Backtest, createAlertReader, createTrial, type RuleRepository } from '../rules/index.ts';
import type { Backups } from '../store/index.ts';
import {
  createOversight,
  createPublicTickets,
  createSilenceStore,
  createSilences,
  createTicketReader,
  createWaitingReader,
} from '../tickets/index.ts';
import type { CityInForce } from './city-in-force.ts';
import type { Config } from './config.ts';
import { createMetrics } from './metrics.ts';
import { readinessOf } from './readiness.ts';
import { remoteHistory } from './threads/batches.ts';
import type { Threads } from './threads/start.ts';

/** What the services are made of. */
export interface ApiParts {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly threads: Threads;
  readonly city: CityInForce;
  readonly admin: { readonly key: Key; readonly hash: Buffer };
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly ledger: ReturnType<typeof createLedgerReader>;
  readonly quarantine: ReturnType<typeof createQuarantineReader>;
  readonly replays: ReturnType<typeof createReplays>;
  readonly rules: RuleRepository;
  readonly backtest: Backtest;
  readonly backups: Backups;
  readonly actions: Pick<ActionLog, 'submit' | 'note'>;
  readonly citizens: ApiDeps['citizens'];
  readonly bridge: Bridge;
}

/** Returns the services behind the API. */
export function createApiDeps(parts: ApiParts): ApiDeps {
  const { config, log, clock, threads, city, ledger, quarantine } = parts;
  const { engine, broker } = threads;
  const refusals = createRefusals();
  const ofState = createStateDeps({
    ...parts,
    engine,
    city: () => city.current().city,
    onAppended: threads.onAppended,
  });
  return {
    log,
    clock,
    refusals,
    city: () => city.current().city,
    rules: ruleFunctions(parts),
    backtest: parts.backtest,
    backups: parts.backups,
    reloadCity: () => city.reload(),
    ...ofState,
    devices: {
      ...createDeviceService({
        registry: parts.registry,
        city: () => city.current().city,
        journal: threads.journalDevices,
        broker: broker.credentials,
      }),
      connection: broker.record,
    },
    keys: createKeyService({ registry: parts.registry, broker: broker.credentials, admin: parts.admin }),
    history: remoteHistory(engine),
    queries: createQueries(config.http.queries, clock),
    ingest: (device, secret, leaf, payload) =>
      broker.ingest({ device, secret, topic: `devices/${device}/${leaf}`, payload }),
    maxMessage: config.mqtt.maxPacket,
    citizens: parts.citizens,
    webhooks: threads.webhooks,
    subscriptions: threads.subscriptions,
    readiness: async () => readinessOf(await engine.status()),
    metrics: createMetrics({
      ledger: () => ledger.read()!,
      quarantine: () => quarantine.usage(),
      broker: () => broker.counts(),
      throttled: () => broker.throttled(MOST_THROTTLED),
      engine: () => engine.status(),
      journalBytes: () => threads.journal.bytes(),
      openTickets: () => ofState.tickets.openCount(),
      devices: () => parts.registry.count(),
      notifications: () => threads.notify.counts(),
      newestBackupMs: () => parts.backups.newestMs(),
      httpRefused: () => refusals.counts(),
    }),
    acceptWebSocket: (stream, address) => bridgeWebSocket(stream, openBridge(parts.bridge, address)),
  };
}

/** The parts of what the API reads from the state file, and changes in it. */
interface StateParts
  extends Pick<ApiParts, 'clock' | 'registry' | 'state' | 'ledger' | 'quarantine' | 'replays' | 'actions'> {
  readonly engine: Pick<Threads['engine'], 'discard'>;
  readonly city: () => City;
  readonly rules: Pick<RuleRepository, 'list'>;
  readonly onAppended: ApiDeps['events']['onAppended'];
}

/** Returns the services of what is in the state file: quarantine, alerts, tickets, silences, events. */
export function createStateDeps(parts: StateParts) {
  const { clock, state, ledger, quarantine, replays, engine, actions } = parts;
  const tickets = createTicketReader(state);
  const outbox = createOutboxReader(state);
  const silences = createSilences({
    store: createSilenceStore(state),
    write: {
      add: (silence, caller: Caller) => actions.submit({ do: 'silence.add', ...silence }, caller),
      end: (silence, caller: Caller) => actions.submit({ do: 'silence.end', silence }, caller),
    },
    clock,
    city: parts.city,
    ruleIds: () => parts.rules.list().map(({ id }) => id),
    device: (id) => parts.registry.get(id),
  });
  return {
    ledger: async (device) => ledger.read(device),
    quarantine: {
      list: (query) => quarantine.list(query),
      get: (id) => quarantine.get(id),
      usage: (device) => quarantine.usage(device),
      replay: (request) => replays.start(request),
      replayJob: (id) => replays.get(id),
      discard: (ids, by, note) => engine.discard(ids, by, note),
    },
    alerts: createAlertReader(state),
    held: { ...createWaitingReader(state), silencedBy: silences.matching },
    tickets: {
      ...tickets,
      act: (request, caller) => actions.submit({ do: 'ticket.act', ...request }, caller),
      open: (request, caller) => actions.submit({ do: 'ticket.open', ...request }, caller),
      split: (split, caller) => actions.submit({ do: 'ticket.split', ...split }, caller),
    },
    silences,
    audit: { ...createAuditReader(state), note: (...noted) => actions.note(...noted) },
    oversight: createOversight(state, clock),
    publicTickets: createPublicTickets(state),
    events: {
      page: (query) => outbox.page({ ...query, after: Number(query.after ?? 0) }),
      head: () => outbox.head(),
      oldest: () => outbox.oldest(),
      store: () => outbox.store(),
      onAppended: parts.onAppended,
    },
  } satisfies Partial<ApiDeps>;
}

/** Devices whose waiting is a metric of their own. */
const MOST_THROTTLED = 100;

/** Neighbours that a trial reads at most. */
const TRIAL_DEVICES = 1_000;

function ruleFunctions({ rules, threads: { engine }, registry, city }: ApiParts): ApiDeps['rules'] {
  return {
    ...rules,
    try: createTrial({
      city: () => city.current().city,
      history: remoteHistory(engine),
      devicesIn(district) {
        const page = { limit: TRIAL_DEVICES, after: null };
        return registry.list(district === null ? page : { ...page, district }).items;
      },
    }),
    explain: (rule, group) => engine.explain(rule, group),
    explainDevice: (device) => engine.explainDevice(device),
  };
}

/**
 * Carries the bytes of an MQTT-over-WebSocket connection from the API's thread to the broker's bridge. Limits, login
 * and back-pressure are those of every other connection from the same address.
 */
function bridgeWebSocket(stream: Duplex, socket: Duplex): void {
  // When one end closes, the other is closed; nobody is left to report an error to.
  pipeline(stream, socket, stream, () => {
    stream.destroy();
    socket.destroy();
  });
}

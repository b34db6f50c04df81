import type { DatabaseSync } from 'node:sqlite';
import { type Duplex, pipeline } from 'node:stream';
import type { Logger } from 'pino';
import { type ActionLog, type Caller, createAuditReader, createResultReader } from '../actions/index.ts';
import { type ApiDeps, createQueries, createRefusals } from '../api/index.ts';
import { type Bridge, openBridge } from '../broker/index.ts';
import { createCommandReader } from '../commands/index.ts';
import {
  type City,
  CLOCK_DOUBTS,
  type Clock,
  DUTIES,
  type Duty,
  type Key,
  type LogClock,
  monotonicClock,
  requesterId,
  SECOND_MS,
} from '../domain/index.ts';
import { createOutboxReader, followFirings } from '../events/index.ts';
import {
  createClockReader,
  type createLedgerReader,
  type createQuarantineReader,
  type createReplays,
  createTextReader,
} from '../ingest/index.ts';
import type { Counters } from '../limits/index.ts';
import type { Sealer } from '../notify/index.ts';
import { createDeviceService, createKeyService, Draws, type KeyUses, type RegistryReader } from '../registry/index.ts';
import { type Backtest, createAlertReader, createSuggest, createTrial, type RuleRepository } from '../rules/index.ts';
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
import type { Membership } from './membership.ts';
import { createMetrics, type MetricSources, type Metrics } from './metrics.ts';
import { readinessOf } from './readiness.ts';
import { createReceiverDeps } from './receiver-deps.ts';
import type { SetAside } from './set-aside.ts';
import { remoteHistory } from './threads/batches.ts';
import type { Threads } from './threads/start.ts';

/** What the services are made of. */
export interface ApiParts {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: LogClock;
  readonly threads: Threads;
  readonly city: CityInForce;
  readonly admin: { readonly key: Key; readonly hash: Buffer } | null;
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly ledger: ReturnType<typeof createLedgerReader>;
  readonly quarantine: ReturnType<typeof createQuarantineReader>;
  readonly replays: ReturnType<typeof createReplays>;
  readonly rules: RuleRepository<Caller>;
  readonly backtest: Backtest;
  readonly tryFormat: ApiDeps['tryFormat'];
  readonly backups: Backups;
  readonly imports: ApiDeps['imports'];
  readonly keyUses: Pick<KeyUses, 'used'>;
  readonly actions: Pick<ActionLog, 'submit' | 'note' | 'onWaited'>;
  readonly sealer: Sealer;
  readonly counters: Counters;
  readonly citizens: ApiDeps['citizens'];
  readonly people: ApiDeps['people'];
  readonly oidc: ApiDeps['oidc'];
  readonly bridge: Bridge;
  /** The steady time up to which the rules have decided: that of the oldest record that they have not, or now. */
  readonly decidedToMs: () => Promise<number>;
  readonly bridges: ApiDeps['bridges'];
  /** This node's part in a cluster; null: it is alone. */
  readonly member: Membership | null;
  /** Damaged files that this start moved aside. */
  readonly aside: readonly SetAside[];
}

/** Returns the services behind the API. */
export function createApiDeps(parts: ApiParts): ApiDeps {
  const { config, log, clock, threads, city } = parts;
  const { engine, broker } = threads;
  const refusals = createRefusals();
  const { registry, follower } = threads;
  const draws = new Draws(clock);
  const registryParts = {
    registry,
    draw: (caller: Caller) => draws.of(caller),
    submit: parts.actions.submit.bind(parts.actions),
    follow: () => follower.follow(),
  };
  const ofState = createStateDeps({
    ...{ ...parts, registry },
    city: () => city.current().city,
    onAppended: threads.onAppended,
    isShared: parts.member !== null,
  });
  /** Since when no record has come to this node, monotonic; asked for by the others' reports and by balancers. */
  let cutOffAt: number | null = null;
  const metrics = metricsOf(parts, { refused: refusals.counts, openTickets: ofState.tickets.openCount });
  return {
    log,
    clock,
    refusals,
    counters: parts.counters,
    responded: metrics.responded,
    metrics: metrics.text,
    city: () => city.current().city,
    rules: ruleFunctions(parts),
    backtest: parts.backtest,
    tryFormat: parts.tryFormat,
    backups: parts.backups,
    reloadCity: (caller) => city.reload(caller),
    ...ofState,
    devices: {
      ...createDeviceService({ ...registryParts, city: () => city.current().city }),
      connection: broker.record,
      clock: createClockReader(parts.state),
    },
    keys: createKeyService({
      ...{ ...registryParts, admin: parts.admin },
      used: parts.keyUses.used,
      onEnded: (listener) => follower.onEnded(listener),
    }),
    history: remoteHistory(engine),
    imports: parts.imports,
    bridges: parts.bridges,
    cluster: () => (parts.member === null ? null : { node: parts.member.node, nodes: parts.member.list() }),
    queries: createQueries(config.http.queries, clock, metrics.queried),
    ingest: (sender, secret, topic, payload) => broker.ingest({ device: sender, secret, topic, payload }),
    maxMessage: config.mqtt.maxPacket,
    citizens: parts.citizens,
    people: parts.people,
    oidc: parts.oidc,
    ...createReceiverDeps({
      ...{ actions: parts.actions, webhooks: threads.webhooks, subscriptions: threads.subscriptions },
      ...{ sealer: parts.sealer, allowPrivate: config.webhooks.allowPrivate, canMail: config.smtp !== null },
    }),
    ageMs: () => (cutOffAt === null ? null : monotonicClock.now() - cutOffAt),
    async readiness() {
      const [status, { doubt, believedInMs }, away] = await Promise.all([
        engine.status(),
        threads.journal.clock(),
        threads.journal.away(),
      ]);
      cutOffAt = away === null ? null : monotonicClock.now() - away.sinceMs;
      const found = readinessOf(status, parts.member === null ? null : { away, sharesHistory: config.influx !== null });
      const notes = [
        ...found.notes,
        ...parts.aside.map(({ file, why, lost }) => `${file} was damaged (${why}) and made anew. Lost: ${lost}`),
      ];
      // Devices and people are served: the log's own time goes on.
      const ofClock = doubt === null ? [] : [`clock: ${CLOCK_DOUBTS[doubt]}; ${untilBelieved(believedInMs)}`];
      const unbound = registry.keys().filter(({ role, uplinks }) => role === 'network-server' && uplinks === undefined);
      if (unbound.length > 0) notes.push(`${unbound.length} keys of network servers publish for every device: ${BIND}`);
      return { ...found, notes, reasons: [...found.reasons, ...ofClock] };
    },
    acceptWebSocket: (stream, address) => bridgeWebSocket(stream, openBridge(parts.bridge, address)),
  };
}

/** Returns the metrics of the process; alerts that fire from now on are counted as soon as their events can be read. */
function metricsOf(
  { log, clock, threads, state, actions, ledger, quarantine, backups, bridges, member, aside, decidedToMs }: ApiParts,
  { refused, openTickets }: { readonly refused: MetricSources['httpRefused']; readonly openTickets: () => number },
): Metrics {
  const { engine, broker, journal, registry } = threads;
  const metrics = createMetrics({
    ledger: () => ledger.read()!,
    quarantine: () => quarantine.usage(),
    broker: () => broker.counts(),
    throttled: () => broker.throttled(MOST_THROTTLED),
    engine: () => engine.status(),
    engineLagMs: async () => Math.max(0, clock.steady.now() - (await decidedToMs())),
    clock: () => journal.clock(),
    memory: () => threads.memory(),
    historyProcess: () => engine.historyProcess(),
    journalBytes: () => journal.bytes(),
    openTickets,
    devices: () => registry.count(),
    notifications: () => threads.notify.counts(),
    newestBackupMs: () => backups.newestMs(),
    httpRefused: refused,
    bridges: () => bridges.list(),
    async cluster() {
      if (member === null) return null;
      const duties = (Object.keys(DUTIES) as Duty[]).filter((duty) => member.duties.holds(duty) !== null);
      return { duties, awayMs: (await journal.away())?.sinceMs ?? 0 };
    },
    setAside: aside.map(({ file }) => file),
  });
  actions.onWaited(metrics.waited);
  const firings = followFirings(state);
  threads.onAppended(() => {
    // The last events of a stop: nobody asks for them any more.
    if (!state.isOpen) return;
    try {
      for (const at of firings()) metrics.fired(Math.max(0, clock.now() - at) / SECOND_MS);
    } catch (error) {
      log.warn({ err: error }, 'alerts that fired are not in the metrics');
    }
  });
  return metrics;
}

const BIND = 'PATCH /api/v1/keys/{id} with uplinks binds one (docs/security.md)';

function untilBelieved(ms: number | null): string {
  return ms === null ? 'set it' : `set it, or it is believed in ${Math.ceil(ms / SECOND_MS)} s`;
}

/** The parts of what the API reads from the state file, and changes in it. */
interface StateParts extends Pick<ApiParts, 'state' | 'ledger' | 'quarantine' | 'replays' | 'actions'> {
  readonly registry: Pick<RegistryReader, 'get' | 'list'>;
  readonly clock: Clock;
  readonly city: () => City;
  readonly rules: Pick<RuleRepository<Caller>, 'list'>;
  readonly onAppended: ApiDeps['events']['onAppended'];
  /** Whether this is a node of a cluster. */
  readonly isShared: boolean;
}

/** Returns the services of what is in the state file: quarantine, alerts, tickets, silences, events. */
export function createStateDeps(parts: StateParts) {
  const { clock, state, ledger, quarantine, replays, actions } = parts;
  const results = createResultReader(state);
  const isRepeated = ({ actor, key }: Caller) => key !== null && results.get(requesterId(actor), key) !== null;
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
    devicesAfter: (after) => parts.registry.list({ limit: 200, after }).items.map(({ id }) => id),
  });
  return {
    textOf: createTextReader(state),
    ledger: async (device) => ledger.read(device, device !== undefined && parts.registry.get(device) !== null),
    quarantine: {
      list: (query) => quarantine.list(query),
      get: (id) => quarantine.get(id),
      holdersOf: (ids) => quarantine.holdersOf(ids),
      groups: (query) => quarantine.groups(query),
      usage: (device) => quarantine.usage(device),
      async replay(chosen, caller) {
        // One that is repeated gets the replay that it began.
        if (!isRepeated(caller)) replays.refuseAnother();
        const { place } = await actions.submit({ do: 'quarantine.replay', chosen }, caller);
        return replays.start(`replay-${place}`, chosen);
      },
      replayJob: (id) => replays.get(id),
      cancelReplay: (id) => replays.cancel(id),
      async discard(ids, note, caller) {
        const { place } = await actions.submit({ do: 'quarantine.discard', ids, note }, caller);
        return quarantine.countDiscarded(place);
      },
    },
    alerts: createAlertReader(state),
    held: { ...createWaitingReader(state), silencedBy: silences.matching },
    tickets: {
      ...tickets,
      act: (request, caller) => actions.submit({ do: 'ticket.act', ...request }, caller),
      open: (request, caller) => actions.submit({ do: 'ticket.open', ...request }, caller),
      split: (split, caller) => actions.submit({ do: 'ticket.split', ...split }, caller),
    },
    commands: {
      ...createCommandReader(state),
      send: (request, caller) => actions.submit({ do: 'command.send', ...request }, caller),
      run: (request, caller) => actions.submit({ do: 'command.run', ...request }, caller),
      cancel: (request, caller) => actions.submit({ do: 'command.cancel', ...request }, caller),
      desire: (request, caller) => actions.submit({ do: 'desired.set', ...request }, caller),
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
      firedSince: (time) => outbox.firedSince(time),
      onAppended: parts.onAppended,
      isShared: parts.isShared,
    },
  } satisfies Partial<ApiDeps>;
}

/** Devices whose waiting is a metric of their own. */
const MOST_THROTTLED = 100;

/** Neighbours that a trial reads at most. */
const TRIAL_DEVICES = 1_000;

function ruleFunctions({ rules, threads: { engine, registry }, city }: ApiParts): ApiDeps['rules'] {
  const parts: Parameters<typeof createTrial>[0] = {
    city: () => city.current().city,
    history: remoteHistory(engine),
    devicesIn(district) {
      const page = { limit: TRIAL_DEVICES, after: null };
      return registry.list(district === null ? page : { ...page, district }).items;
    },
  };
  return {
    ...rules,
    try: createTrial(parts),
    suggest: createSuggest({
      ...parts,
      devicesOf: (profile, limit) => registry.list({ limit, after: null, profile }).items,
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

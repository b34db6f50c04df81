import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Responded } from '../api/index.ts';
import type { BridgeStatus } from '../bridges/index.ts';
import type { BrokerCounts } from '../broker/index.ts';
import { DUTIES, type Duty, type HistogramCounts, type Ledger, type QuarantineUsage } from '../domain/index.ts';
import type { ProcessStatus } from '../history/index.ts';
import type { ThreadMemory } from './threads/memory.ts';

/** The sources of the metrics; each is called at every scrape. */
export interface MetricSources {
  ledger(): Ledger;
  quarantine(): QuarantineUsage;
  /** `acknowledged`: how long messages waited for their commit, ms. */
  broker(): Promise<BrokerCounts & { readonly pendingBytes: number; readonly acknowledged: HistogramCounts }>;
  /** The user names that were throttled longest, and for how long, ms. */
  throttled(): Promise<readonly { readonly id: string; readonly ms: number }[]>;
  engine(): Promise<{ head: number; rules: number; history: number }>;
  /** The age of the oldest record that the rules have not processed yet, ms; 0 where there is none. */
  engineLagMs(): Promise<number>;
  clock(): Promise<{ offsetMs: number; steps: number; doubt: string | null }>;
  /** The process of the embedded history; null where there is none. */
  historyProcess(): Promise<ProcessStatus | null>;
  journalBytes(): Promise<number>;
  openTickets(): number;
  devices(): number;
  notifications(): Promise<{ waiting: number; enabled: number; disabled: number }>;
  /** When the newest backup began, epoch ms; 0 where there is none, null where that is not known yet. */
  newestBackupMs(): number | null;
  memory(): Promise<readonly ThreadMemory[]>;
  /** Requests, connections and streams that HTTP refused since the start, by reason. */
  httpRefused(): Readonly<Record<string, number>>;
  /** Connections to other brokers. */
  bridges(): readonly BridgeStatus[];
  /** The duties of this node of a cluster, and for how long no record has come from the log; null on one machine. */
  cluster(): Promise<{ readonly duties: readonly Duty[]; readonly awayMs: number } | null>;
  /** Damaged files that the start moved aside. */
  readonly setAside: readonly string[];
}

/** The metrics of a process. */
export interface Metrics {
  /** Returns all of them as text for Prometheus. */
  text(): Promise<string>;
  /** Counts a response of HTTP. */
  responded(response: Responded): void;
  /** Counts a query of the history. */
  queried(seconds: number): void;
  /** Counts an alert that fired, by the time from its record in the log until its event could be read. */
  fired(seconds: number): void;
  /** Counts an action of a person, by how long it waited for its result. */
  waited(seconds: number): void;
}

/**
 * Creates the metrics by the conventions of Prometheus: base units, `_total` for what only grows, and samples of one
 * name that may be summed. Device ids are labels only of the few that were throttled longest.
 */
export function createMetrics(sources: MetricSources): Metrics {
  const register = new Registry();
  // The default of 10 ms wakes an idle process a hundred times a second.
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 200 });
  // Numbers of now, under names of totals.
  for (const kind of ['handles', 'requests', 'resources']) register.removeSingleMetric(`nodejs_active_${kind}_total`);
  const makers = makersIn(register);
  const { gauge } = makers;
  const times = timesIn(register);
  const setMessages = messagesIn(makers);
  const setBroker = brokerIn(makers);
  const setBridges = bridgesIn(makers);
  const setProcess = processIn(makers);
  const setClock = clockIn(makers);
  let setCluster: ReturnType<typeof clusterIn> | null = null;
  const lag = gauge('consumer_lag_blocks', 'Journal blocks that a consumer has not processed yet', 'consumer');
  const late = gauge('engine_lag_seconds', 'Age of the oldest record that the rules have not processed yet');
  const journal = gauge('journal_bytes', 'Bytes of messages in the journal');
  const tickets = gauge('open_tickets', 'Tickets that are open');
  const waiting = gauge('deliveries_waiting', 'Deliveries to receivers of events that are not settled yet');
  const receivers = gauge('receivers', 'Receivers of events', 'state');
  const devices = gauge('devices', 'Registered devices');
  const refusals = 'Requests, connections and streams that HTTP refused since its start';
  const refused = makers.total('http_refused', refusals, 'reason');
  const backup = gauge(
    'newest_backup_timestamp_seconds',
    'When the newest complete backup in the folder of backups began; 0: none; no sample: the folder is being read',
  );
  const aside = gauge('file_set_aside', 'Damaged files that this start moved aside and made anew', 'file');
  aside(Object.fromEntries(sources.setAside.map((file) => [file, 1])));

  return {
    ...times,
    async text() {
      const [memory, history, broker, throttled, engine, lagMs, clock, bytes, notifications, cluster] =
        await Promise.all([
          sources.memory(),
          sources.historyProcess(),
          sources.broker(),
          sources.throttled(),
          sources.engine(),
          sources.engineLagMs(),
          sources.clock(),
          sources.journalBytes(),
          sources.notifications(),
          sources.cluster(),
        ]);
      // None on one machine: nobody there has to hold a duty.
      if (cluster !== null) {
        setCluster ??= clusterIn(makers);
        setCluster(cluster);
      }
      setMessages(sources.ledger(), sources.quarantine());
      setBroker(broker, throttled);
      setBridges(sources.bridges());
      setProcess(memory, history);
      setClock(clock);
      lag({
        rules: Math.max(0, engine.head - engine.rules),
        history: Math.max(0, engine.head - engine.history),
      });
      late(lagMs / 1_000);
      journal(bytes);
      tickets(sources.openTickets());
      waiting(notifications.waiting);
      receivers({ enabled: notifications.enabled, disabled: notifications.disabled });
      devices(sources.devices());
      refused(sources.httpRefused());
      const newestBackupMs = sources.newestBackupMs();
      backup(newestBackupMs === null ? null : newestBackupMs / 1_000);
      return (await register.metrics()) + acknowledgedText(broker.acknowledged);
    },
  };
}

/** Sets all samples of a metric: its only one, or those by the values of its label; null: there is no sample. */
type Setter = (values: number | null | Readonly<Record<string, number>>) => void;

type Maker = (name: string, help: string, label?: string) => Setter;

function makersIn(register: Registry) {
  const options = (name: string, help: string, label?: string) => ({
    name: `lamppost_${name}`,
    help,
    labelNames: label === undefined ? [] : [label],
    registers: [register],
  });
  const setter =
    (
      metric: { reset(): void; remove(): void },
      set: (labels: Record<string, string>, value: number) => void,
      label = '',
    ): Setter =>
    (values) => {
      metric.reset();
      if (values === null) metric.remove();
      else if (typeof values === 'number') set({}, values);
      else for (const [name, value] of Object.entries(values)) set({ [label]: name }, value);
    };
  const gauge: Maker = (name, help, label) => {
    const metric = new Gauge(options(name, help, label));
    return setter(metric, (labels, value) => metric.set(labels, value), label);
  };
  /** What only grows, and of which the source knows the sum. */
  const total: Maker = (name, help, label) => {
    const metric = new Counter(options(`${name}_total`, help, label));
    return setter(metric, (labels, value) => metric.inc(labels, value), label);
  };
  return { gauge, total };
}

type Makers = ReturnType<typeof makersIn>;

const ACKNOWLEDGED = 'lamppost_acknowledgement_duration_seconds';

/** The text of a histogram that another thread counts, ms: prom-client's own can only observe. */
function acknowledgedText({ upTo, count, sum }: HistogramCounts): string {
  const bucket = (le: number | string, value: number) => `${ACKNOWLEDGED}_bucket{le="${le}"} ${value}\n`;
  return [
    `\n# HELP ${ACKNOWLEDGED} From the receipt of a message until it is on disk and is acknowledged\n`,
    `# TYPE ${ACKNOWLEDGED} histogram\n`,
    ...upTo.map(([bound, within]) => bucket(bound / 1_000, within)),
    bucket('+Inf', count),
    `${ACKNOWLEDGED}_sum ${sum / 1_000}\n`,
    `${ACKNOWLEDGED}_count ${count}\n`,
  ].join('');
}

/** Bounds of the buckets, seconds. */
const HTTP_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30];
const QUERY_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30];
const ACTION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const ALERT_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600];

function timesIn(register: Registry): Omit<Metrics, 'text'> {
  const histogram = <T extends string>(name: string, help: string, buckets: number[], labelNames: T[]) =>
    new Histogram({ name: `lamppost_${name}_seconds`, help, buckets, labelNames, registers: [register] });
  const http = histogram(
    'http_request_duration',
    'From a request until its response has left, by route and class of the status; event streams are not in it',
    HTTP_BUCKETS,
    ['route', 'method', 'status'],
  );
  const query = histogram(
    'query_duration',
    'What a query of the history took, or a trial or suggestion over it',
    QUERY_BUCKETS,
    [],
  );
  const alert = histogram(
    'alert_latency',
    'From the moment in the log at which an alert fired until its event could be read',
    ALERT_BUCKETS,
    [],
  );
  const action = histogram(
    'action_wait',
    'From an action of a person until it was on disk and decided; after 30 s its caller must ask again',
    ACTION_BUCKETS,
    [],
  );
  return {
    responded: ({ route, method, status, seconds }) =>
      http.observe({ route, method, status: `${Math.floor(status / 100)}xx` }, seconds),
    queried: (seconds) => query.observe(seconds),
    fired: (seconds) => alert.observe(seconds),
    waited: (seconds) => action.observe(seconds),
  };
}

function messagesIn({ gauge, total }: Makers) {
  const received = total('messages_received', 'Messages that were acknowledged (the ledger)');
  const decoded = total('messages_decoded', 'Messages that were decoded (the ledger)');
  const held = gauge('messages_quarantined', 'Messages that are refused; a replay takes them out (the ledger)');
  const pending = gauge('messages_pending', "Messages in the journal, behind the history's cursor (the ledger)");
  const stored = total('readings_stored', 'Readings that were accepted into the history (the ledger)');
  const replaced = total('readings_replaced', 'Of those stored: in the place of an earlier value (the ledger)');
  const duplicate = total('readings_duplicate', 'Readings that were there already (the ledger)');
  const refused = gauge('readings_quarantined', 'Readings that are refused; a replay takes them out (the ledger)');
  const bytes = gauge('quarantine_bytes', 'Bytes of refused messages that are kept');
  const dropped = 'dropped of the quarantine to make room';
  const droppedMessages = total('quarantine_dropped_messages', `Refused messages ${dropped}`);
  const droppedReadings = total('quarantine_dropped_readings', `Refused readings ${dropped}`);
  return ({ messages, readings }: Ledger, quarantine: QuarantineUsage) => {
    received(messages.received);
    decoded(messages.decoded);
    held(messages.quarantined);
    pending(messages.pending);
    stored(readings.stored);
    replaced(readings.replaced);
    duplicate(readings.duplicate);
    refused(readings.quarantined);
    bytes(quarantine.bytes);
    droppedMessages(quarantine.dropped.messages);
    droppedReadings(quarantine.dropped.readings);
  };
}

function brokerIn({ gauge, total }: Makers) {
  const connections = gauge('broker_connections', 'Connections of MQTT');
  const before = gauge('broker_connections_before_login', 'Connections of MQTT without a login yet');
  const held = gauge('broker_connections_held', 'Connections of MQTT that are not read at the moment');
  const turnedAway = total('broker_connections_refused', 'Connections that were not accepted');
  const ended = total('broker_connections_ended', 'Connections that the broker ended', 'reason');
  const logins = total('broker_logins_refused', 'Logins that were refused');
  const publishes = total('broker_publishes', 'Messages that clients sent, by what became of them', 'outcome');
  const pending = gauge('broker_pending_bytes', 'Bytes of messages that wait for their commit');
  const sessions = gauge('broker_sessions', 'Kept sessions');
  const connected = gauge('broker_sessions_connected', 'Kept sessions whose client is connected');
  const queued = gauge('broker_queued_messages', 'Messages in the queues of sessions');
  const dropped = total('broker_queue_dropped_messages', 'Messages that queues of sessions had no room for');
  const retained = gauge('broker_retained_messages', 'Retained messages');
  const waited = total('throttled_seconds', 'How long a client was not read since the start', 'client');
  return (
    counts: Awaited<ReturnType<MetricSources['broker']>>,
    throttled: Awaited<ReturnType<MetricSources['throttled']>>,
  ) => {
    connections(counts.connections);
    before(counts.waiting);
    held(counts.held);
    turnedAway(counts.refusedConnections);
    ended({
      'gave-way': counts.gaveWay,
      'login-timeout': counts.loginTimeouts,
      'not-mqtt': counts.cutForeign,
      oversize: counts.cutOversize,
      slow: counts.cutSlow,
    });
    logins(counts.refusedLogins);
    publishes({ admitted: counts.admitted, refused: counts.refused, dropped: counts.dropped });
    pending(counts.pendingBytes);
    sessions(counts.sessions);
    connected(counts.sessionsConnected);
    queued(counts.queued);
    dropped(counts.queueDropped);
    retained(counts.retained);
    waited(Object.fromEntries(throttled.map(({ id, ms }) => [id, ms / 1_000])));
  };
}

function bridgesIn({ gauge, total }: Makers) {
  const up = gauge('bridge_up', 'Whether a bridge is connected to its broker', 'bridge');
  const received = total('bridge_messages_received', 'Messages that a bridge took since the start', 'bridge');
  const acknowledged = total('bridge_messages_acknowledged', 'Those that are on disk', 'bridge');
  const refused = total('bridge_messages_refused', 'Those of topics that its key may not publish to', 'bridge');
  const commands = total('bridge_commands', 'Commands to devices that the other broker acknowledged', 'bridge');
  const pending = gauge('bridge_messages_pending', 'Those that wait for their commit', 'bridge');
  const lag = gauge('bridge_lag_seconds', 'How long its oldest message has waited for its commit', 'bridge');
  return (all: readonly BridgeStatus[]) => {
    const each = (value: (bridge: BridgeStatus) => number) =>
      Object.fromEntries(all.map((bridge) => [bridge.id, value(bridge)]));
    up(each(({ state }) => (state === 'connected' ? 1 : 0)));
    received(each((bridge) => bridge.received));
    acknowledged(each((bridge) => bridge.acknowledged));
    refused(each((bridge) => bridge.refused));
    commands(each((bridge) => bridge.commands));
    pending(each((bridge) => bridge.pending));
    lag(each(({ lagSeconds }) => lagSeconds));
  };
}

function clusterIn({ gauge }: Makers) {
  const holds = gauge('cluster_duty', 'Whether this node does for all what the duty says', 'duty');
  const away = gauge('cluster_log_away_seconds', 'For how long this node could not follow the log; 0: it follows');
  return ({ duties, awayMs }: NonNullable<Awaited<ReturnType<MetricSources['cluster']>>>) => {
    holds(Object.fromEntries(Object.keys(DUTIES).map((duty) => [duty, duties.includes(duty as Duty) ? 1 : 0])));
    away(awayMs / 1_000);
  };
}

function processIn(makers: Makers) {
  const { gauge } = makers;
  const heap = gauge('thread_heap_bytes', 'What V8 has of the system for the objects of a thread', 'thread');
  const used = gauge('thread_heap_used_bytes', 'Of this: objects, also those that are not collected yet', 'thread');
  const external = gauge('thread_external_bytes', 'Buffers outside of the heap that a thread keeps', 'thread');
  // None where the history is a database of its own: a process that is down would be an alert.
  let setHistory: ReturnType<typeof historyIn> | null = null;
  return (threads: readonly ThreadMemory[], history: ProcessStatus | null) => {
    heap(Object.fromEntries(threads.map((one) => [one.thread, one.heap])));
    used(Object.fromEntries(threads.map((one) => [one.thread, one.used])));
    external(Object.fromEntries(threads.map((one) => [one.thread, one.external])));
    if (history === null) return;
    setHistory ??= historyIn(makers);
    setHistory(history);
  };
}

function historyIn({ gauge, total }: Makers) {
  const up = gauge('history_process_up', 'Whether the process of the embedded history runs');
  const restarts = total('history_process_restarts', 'How often it was started again since the start');
  const resident = gauge('history_process_resident_bytes', 'Its resident memory');
  return (history: ProcessStatus) => {
    up(history.pid === null ? 0 : 1);
    restarts(history.restarts);
    resident(history.residentBytes);
  };
}

function clockIn({ gauge, total }: Makers) {
  const offset = gauge('clock_offset_seconds', 'Civil minus steady time: the sum of all steps of the wall clock');
  const steps = total('clock_steps', 'How often the wall clock was set since the start');
  const doubted = gauge('clock_doubted', '1 while the wall clock is not believed');
  return (clock: Awaited<ReturnType<MetricSources['clock']>>) => {
    offset(clock.offsetMs / 1_000);
    steps(clock.steps);
    doubted(clock.doubt === null ? 0 : 1);
  };
}

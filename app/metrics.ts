import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Ledger, QuarantineUsage } from '../domain/index.ts';
import type { ProcessStatus } from '../history/index.ts';
import type { ThreadMemory } from './threads/memory.ts';

/** The sources of the metrics; each is called at every scrape. */
export interface MetricSources {
  ledger(): Ledger;
  quarantine(): QuarantineUsage;
  broker(): Promise<Record<string, number>>;
  /** The user names that were throttled longest, and for how long, ms. */
  throttled(): Promise<readonly { readonly id: string; readonly ms: number }[]>;
  engine(): Promise<{ head: number; rules: number; history: number }>;
  clock(): Promise<{ offsetMs: number; steps: number; doubt: string | null }>;
  /** The process of the embedded history; null where there is none. */
  historyProcess(): Promise<ProcessStatus | null>;
  journalBytes(): Promise<number>;
  openTickets(): number;
  devices(): number;
  notifications(): Promise<{ waiting: number; enabled: number; disabled: number }>;
  /** When the newest backup began, epoch ms; 0 where there was none. */
  newestBackupMs(): number;
  memory(): Promise<readonly ThreadMemory[]>;
  /** Requests, connections and streams that HTTP refused since the start, by reason. */
  httpRefused(): Readonly<Record<string, number>>;
  /** Damaged files that the start moved aside. */
  readonly setAside: readonly string[];
}

/**
 * Returns a function that collects the metrics as Prometheus text: base units; device ids are labels only of the few that
 * were throttled longest.
 */
export function createMetrics(sources: MetricSources): () => Promise<string> {
  const register = new Registry();
  // The default of 10 ms wakes an idle process a hundred times a second.
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 200 });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `lamppost_${name}`, help, labelNames, registers: [register] });
  const messages = gauge('messages', 'Messages by state (the ledger)', ['state']);
  const readings = gauge('readings', 'Readings by state (the ledger)', ['state']);
  const quarantineBytes = gauge('quarantine_bytes', 'Bytes of refused messages that are kept');
  const dropped = gauge('quarantine_dropped', 'What was dropped of the quarantine to make room', ['scope']);
  const brokerCounters = gauge('broker', 'Counters of the MQTT broker since its start', ['figure']);
  const throttled = gauge('throttled_seconds', 'How long a client was not read since the start', ['client']);
  const lag = gauge('consumer_lag_blocks', 'Journal blocks that a consumer has not processed yet', ['consumer']);
  const clockOffset = gauge('clock_offset_seconds', 'Civil minus steady time: the sum of all steps of the wall clock');
  const clockSteps = gauge('clock_steps', 'How often the wall clock was set since the start');
  const clockDoubted = gauge('clock_doubted', '1 while the wall clock is not believed');
  const journalBytes = gauge('journal_bytes', 'Bytes of messages in the journal');
  const openTickets = gauge('open_tickets', 'Tickets that are open');
  const deliveriesWaiting = gauge('deliveries_waiting', 'Deliveries to receivers of events that are not settled yet');
  const receivers = gauge('receivers', 'Receivers of events', ['state']);
  const devices = gauge('devices', 'Registered devices');
  const refused = gauge('http_refused', 'Requests, connections and streams that HTTP refused since its start', [
    'reason',
  ]);
  const backup = gauge(
    'newest_backup_timestamp_seconds',
    'When the newest complete backup since the start began; 0: none',
  );

  const memory = gauge('thread_memory_bytes', 'Memory of the threads: V8 heaps, and buffers outside of them', [
    'thread',
    'kind',
  ]);

  const historyUp = gauge('history_process_up', 'Whether the process of the embedded history runs');
  const historyRestarts = gauge('history_process_restarts', 'How often it was started again since the start');
  const historyBytes = gauge('history_process_resident_bytes', 'Its resident memory');
  const setHistory = ({ pid, restarts, residentBytes }: ProcessStatus) => {
    historyUp.set(pid === null ? 0 : 1);
    historyRestarts.set(restarts);
    historyBytes.set(residentBytes);
  };
  const aside = gauge('file_set_aside', 'Damaged files that this start moved aside and made anew', ['file']);
  for (const file of sources.setAside) aside.set({ file }, 1);

  return async () => {
    const [threads, process, broker, waited, engine, clock, bytes, { waiting, enabled, disabled }] = await Promise.all([
      sources.memory(),
      sources.historyProcess(),
      sources.broker(),
      sources.throttled(),
      sources.engine(),
      sources.clock(),
      sources.journalBytes(),
      sources.notifications(),
    ]);
    if (process !== null) setHistory(process);
    for (const { thread, ...kinds } of threads) {
      for (const [kind, bytes] of Object.entries(kinds)) memory.set({ thread, kind }, bytes);
    }
    const ledger = sources.ledger();
    for (const [state, count] of Object.entries(ledger.messages)) messages.set({ state }, count ?? 0);
    for (const [state, count] of Object.entries(ledger.readings)) readings.set({ state }, count);
    const quarantine = sources.quarantine();
    quarantineBytes.set(quarantine.bytes);
    dropped.set({ scope: 'message' }, quarantine.dropped.messages);
    dropped.set({ scope: 'reading' }, quarantine.dropped.readings);
    for (const [name, value] of Object.entries(broker)) brokerCounters.set({ figure: name }, value);
    throttled.reset();
    for (const { id, ms } of waited) throttled.set({ client: id }, ms / 1_000);
    lag.set({ consumer: 'rules' }, Math.max(0, engine.head - engine.rules));
    lag.set({ consumer: 'history' }, Math.max(0, engine.head - engine.history));
    clockOffset.set(clock.offsetMs / 1_000);
    clockSteps.set(clock.steps);
    clockDoubted.set(clock.doubt === null ? 0 : 1);
    journalBytes.set(bytes);
    openTickets.set(sources.openTickets());
    deliveriesWaiting.set(waiting);
    receivers.set({ state: 'enabled' }, enabled);
    receivers.set({ state: 'disabled' }, disabled);
    devices.set(sources.devices());
    for (const [reason, count] of Object.entries(sources.httpRefused())) refused.set({ reason }, count);
    backup.set(sources.newestBackupMs() / 1_000);
    return register.metrics();
  };
}

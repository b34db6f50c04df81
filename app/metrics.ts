import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Ledger, QuarantineUsage } from '../domain/index.ts';

/** The sources of the metrics; each is called at every scrape. */
export interface MetricSources {
  ledger(): Ledger;
  quarantine(): QuarantineUsage;
  broker(): Promise<Record<string, number>>;
  /** The user names that were throttled longest, and for how long, ms. */
  throttled(): Promise<readonly { readonly id: string; readonly ms: number }[]>;
  engine(): Promise<{ head: number; rules: number; history: number }>;
  journalBytes(): Promise<number>;
  openTickets(): number;
  devices(): number;
  notifications(): Promise<{ waiting: number; enabled: number; disabled: number }>;
  /** When the newest backup began, epoch ms; 0 where there was none. */
  newestBackupMs(): number;
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

  const aside = gauge('file_set_aside', 'Damaged files that this start moved aside and made anew', ['file']);
  for (const file of sources.setAside) aside.set({ file }, 1);

  return async () => {
    const [broker, waited, engine, bytes, { waiting, enabled, disabled }] = await Promise.all([
      sources.broker(),
      sources.throttled(),
      sources.engine(),
      sources.journalBytes(),
      sources.notifications(),
    ]);
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

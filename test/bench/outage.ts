/** `npm run bench -- --outage`: the InfluxDB is away while a million readings come in, and comes back. */
import { DatabaseProcess } from '../kit/databases.ts';
import { type AlertLatency, alertLatencyOf } from './alert-latency.ts';
import { generate } from './load.ts';
import { peakMiB } from './process.ts';
import { lamppost } from './subjects.ts';

/** The result of one outage. */
export interface Outage {
  /** Readings that waited in the journal when the database came back. */
  readonly backlog: number;
  /**
   * Seconds from the database's first response until the first batch was stored: the rest of the delay between two
   * attempts.
   */
  readonly waitedSeconds: number;
  /** Seconds from then until all were stored, with live readings coming in meanwhile. */
  readonly seconds: number;
  readonly readingsPerSecond: number;
  /** Peak of the server's memory at the end of the outage and after catching up, MiB. */
  readonly peakAwayMiB: number;
  readonly peakMiB: number;
  readonly latencyAway: AlertLatency;
  readonly latencyCatchingUp: AlertLatency;
  /** Seconds from the database's return until the last of its alerts had fired. */
  readonly alertsSeconds: number;
  /** Readings in the database at the end: as many as were accepted. */
  readonly found: number;
  readonly accepted: number;
}

const CALM = { connections: 100, window: 10, seconds: 5, rate: 1_667 };
/** Short enough to be over before the backlog is written. */
const BRIEF = { ...CALM, seconds: 2, warmupSeconds: 0.5 };
const FLOOD = { connections: 100, window: 100, seconds: 11, rate: 29_000 };
const HOUR_MS = 3_600_000;

/** Runs it. InfluxDB 1 must be installed. Throws where the database does not end with the accepted readings. */
export async function outage(): Promise<Outage> {
  const database = await DatabaseProcess.influx();
  await database.start();
  await fetch(`${database.url}/query?q=create+database+lamppost`, { method: 'POST' });
  const settings = { INFLUX_URL: database.url, INFLUX_API: 'v1', INFLUX_BUCKET: 'lamppost', LOG_LEVEL: 'fatal' };
  const subject = await lamppost(100, 'air-quality', settings);
  try {
    await database.end('SIGKILL');
    await generate(subject, FLOOD, from(6));
    const latencyAway = await alertLatencyOf(subject, CALM, 'away', from(4));
    const peakAwayMiB = peakMiB(subject.pid);
    const before = await subject.server.get<Ledger>('/api/v1/ledger');
    const backlog = before.messages.pending * 3;
    await database.start();
    const answeredMs = performance.now();
    const { received, pending } = before.messages;
    await untilWritten(subject.server, received - pending + 1);
    const startMs = performance.now();
    let alertsSeconds = 0;
    const catchingUp = alertLatencyOf(subject, BRIEF, 'back', from(2)).finally(() => {
      alertsSeconds = (performance.now() - startMs) / 1000;
    });
    await untilWritten(subject.server, received);
    const seconds = (performance.now() - startMs) / 1000;
    const latencyCatchingUp = await catchingUp;
    await subject.settle();
    const accepted = (await subject.server.get<Ledger>('/api/v1/ledger')).readings.received;
    const found = await count(database.url);
    if (found !== accepted) throw new Error(`${accepted} readings were accepted, and ${found} are in the database`);
    return {
      backlog,
      waitedSeconds: (startMs - answeredMs) / 1000,
      seconds,
      readingsPerSecond: Math.round(backlog / seconds),
      peakAwayMiB,
      peakMiB: peakMiB(subject.pid),
      latencyAway,
      latencyCatchingUp,
      alertsSeconds,
      found,
      accepted,
    };
  } finally {
    await subject.stop();
    await database.end('SIGKILL');
  }
}

interface Ledger {
  readonly messages: { readonly received: number; readonly pending: number };
  readonly readings: { readonly received: number };
}

/** Each run of the generator has its own hours, so that no reading is a duplicate. */
function from(hoursAgo: number): string[] {
  return ['--start-ts', String(Date.now() - hoursAgo * HOUR_MS)];
}

async function untilWritten(server: { get<T>(path: string): Promise<T> }, messages: number): Promise<void> {
  for (;;) {
    const ledger = await server.get<Ledger>('/api/v1/ledger');
    if (ledger.messages.received - ledger.messages.pending >= messages) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function count(url: string): Promise<number> {
  const response = await fetch(`${url}/query?db=lamppost&q=${encodeURIComponent('select count(*) from /.*/')}`);
  const { results } = (await response.json()) as { results: { series: { values: number[][] }[] }[] };
  return results[0]!.series.reduce((sum, { values }) => sum + values[0]!.slice(1).reduce((a, b) => a + b, 0), 0);
}

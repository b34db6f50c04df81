import { setTimeout as sleep } from 'node:timers/promises';
import { HOUR_MS } from '../../domain/index.ts';
import { LoadConnection, type LoadShared } from './connection.ts';
import { type LoadIdentity, PAYLOAD_BYTES } from './packets.ts';

const CONNECTING_AT_ONCE = 50;
const DRAIN_MS = 30_000;
const TICK_MS = 1;
const POLL_MS = 5;
const SUB_BITS = 6;
const SUB = 1 << SUB_BITS;

/** What to send, where, and how much: `seconds` or `messages`. */
export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Messages in flight per connection, 1..65,535. */
  readonly window: number;
  /** Length of the measured time, after the warm-up. */
  readonly seconds?: number;
  /** Send exactly this many messages and measure until the last acknowledgement (no warm-up). */
  readonly messages?: number;
  /** Messages per second over all connections; as fast as acknowledgements come where absent. */
  readonly rate?: number;
  /** Time after connecting that is not measured, s; 1 where absent. */
  readonly warmupSeconds?: number;
  /** One a connection; anonymous clients `load-0001`… where absent. */
  readonly identities?: readonly LoadIdentity[];
  /**
   * Timestamp of each device's first reading, epoch ms; two hours before now where absent. It advances 1 ms a message:
   * pass the report's `nextTsMs` to a second run with the same devices, or its first readings are duplicates.
   */
  readonly startTsMs?: number;
}

/** The measured values. `steady` covers the measured time only, without connecting, warm-up and draining. */
export interface LoadReport {
  readonly connections: number;
  readonly window: number;
  readonly qos: 1;
  readonly payloadBytes: number;
  readonly rate: number | null;
  readonly sent: number;
  readonly acknowledged: number;
  /** Sent, but not acknowledged within 30 s of the end. */
  readonly unacknowledged: number;
  readonly connectSeconds: number;
  readonly steady: {
    readonly seconds: number;
    readonly acknowledged: number;
    readonly perSecond: number;
    /** CPU of the generator's process, user and system. */
    readonly cpuSeconds: number;
    readonly cpuMicrosPerMessage: number;
  };
  /** From the write (with `rate`: from the moment at which the message was due) to the PUBACK, of messages acknowledged after the warm-up. */
  readonly ackMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** Connections that ended early, and why: one line a cause, with its count. */
  readonly closed: Readonly<Record<string, number>>;
  /** The first timestamp that no device has used, epoch ms. */
  readonly nextTsMs: number;
}

/** Latencies of the measured phase, and the time of the last acknowledgement. */
interface Meter {
  histogram: Histogram;
  lastAckMs: number;
}

interface Mark {
  readonly atMs: number;
  readonly acknowledged: number;
  readonly cpuMicros: number;
}

interface Run {
  readonly options: LoadOptions;
  readonly connections: readonly LoadConnection[];
  readonly shared: LoadShared;
  readonly meter: Meter;
  readonly closed: Record<string, number>;
}

/**
 * Opens all connections, then sends QoS 1 messages of about 100 bytes to `devices/{id}/readings` and measures their
 * acknowledgements. Rejects when a connection is refused at the start; one that ends later is counted in `closed`.
 */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  checkOptions(options);
  const run = createRun(options);
  try {
    const startMs = performance.now();
    await connectAll(run.connections);
    const connectSeconds = (performance.now() - startMs) / 1000;
    const stopSending = startSending(run);
    const [from, to] = await (options.messages === undefined ? measureSeconds(run) : measureMessages(run));
    stopSending();
    await drain(run.connections);
    return reportOf(run, connectSeconds, from, to);
  } finally {
    for (const connection of run.connections) connection.stop();
  }
}

function checkOptions(options: LoadOptions): void {
  const { connections, window, seconds, messages, rate, identities } = options;
  if (!(connections >= 1)) throw new RangeError('connections must be 1 or more');
  if (!(window >= 1 && window <= 65_535)) throw new RangeError('window must lie in 1..65535');
  if ((seconds === undefined) === (messages === undefined)) throw new RangeError('give either seconds or messages');
  if (!((seconds ?? messages ?? 0) > 0)) throw new RangeError('seconds or messages must be above 0');
  if (rate !== undefined && !(rate > 0)) throw new RangeError('rate must be above 0');
  if (identities && identities.length < connections) {
    throw new RangeError(`${connections} connections need as many credentials; there are ${identities.length}`);
  }
}

function createRun(options: LoadOptions): Run {
  const meter: Meter = { histogram: new Histogram(), lastAckMs: 0 };
  const closed: Record<string, number> = {};
  const shared: LoadShared = {
    left: 0,
    selfPaced: options.rate === undefined,
    onAck: (sentMs, nowMs) => {
      meter.histogram.record((nowMs - sentMs) * 1000);
      meter.lastAckMs = nowMs;
    },
    onClosed: (why) => {
      closed[why] = (closed[why] ?? 0) + 1;
    },
  };
  const startTsMs = Math.floor(options.startTsMs ?? Date.now() - 2 * HOUR_MS);
  const { host, port, window } = options;
  const connections = identitiesOf(options).map((identity) => {
    const topic = `devices/${identity.id}/readings`;
    return new LoadConnection({ host, port, identity, window, topic, startTsMs }, shared);
  });
  return { options, connections, shared, meter, closed };
}

function identitiesOf({ identities, connections }: LoadOptions): readonly LoadIdentity[] {
  if (identities) return identities.slice(0, connections);
  return Array.from({ length: connections }, (_, index) => ({ id: `load-${String(index + 1).padStart(4, '0')}` }));
}

async function connectAll(connections: readonly LoadConnection[]): Promise<void> {
  for (let at = 0; at < connections.length; at += CONNECTING_AT_ONCE) {
    await Promise.all(connections.slice(at, at + CONNECTING_AT_ONCE).map((connection) => connection.start()));
  }
}

/** Starts sending; returns the function that stops it. */
function startSending({ connections, shared, options }: Run): () => void {
  shared.left = options.messages ?? Number.MAX_SAFE_INTEGER;
  const stopPacing = options.rate === undefined ? fillWindows(connections) : pace(connections, shared, options.rate);
  return () => {
    shared.left = 0;
    stopPacing();
  };
}

function fillWindows(connections: readonly LoadConnection[]): () => void {
  for (const connection of connections) connection.send(Number.POSITIVE_INFINITY, performance.now());
  return () => {};
}

/**
 * Sends what is due by the clock, spread over the connections. A message is timed from the moment it was due, so that a
 * server (or generator) that falls behind shows in the latencies and does not reduce the load (coordinated omission).
 */
function pace(connections: readonly LoadConnection[], shared: LoadShared, rate: number): () => void {
  const startMs = performance.now();
  let issued = 0;
  let turn = 0;
  const tick = (): void => {
    let due = Math.min(shared.left, Math.floor(((performance.now() - startMs) / 1000) * rate) - issued);
    const share = Math.ceil(due / connections.length);
    for (let tried = 0; tried < connections.length && due > 0; tried++) {
      const dueMs = startMs + (issued / rate) * 1000;
      const count = connections[turn]!.send(Math.min(share, due), dueMs);
      turn = (turn + 1) % connections.length;
      issued += count;
      due -= count;
    }
  };
  const timer = setInterval(tick, TICK_MS);
  return () => clearInterval(timer);
}

async function measureSeconds({ options, connections, meter }: Run): Promise<[Mark, Mark]> {
  await sleep((options.warmupSeconds ?? 1) * 1000);
  meter.histogram = new Histogram();
  const from = mark(connections);
  await sleep((options.seconds ?? 0) * 1000);
  return [from, mark(connections)];
}

async function measureMessages({ connections, shared, meter }: Run): Promise<[Mark, Mark]> {
  const from = mark(connections);
  while (shared.left > 0 && connections.some((connection) => connection.open)) await sleep(POLL_MS);
  await drain(connections);
  return [from, { ...mark(connections), atMs: meter.lastAckMs }];
}

function mark(connections: readonly LoadConnection[]): Mark {
  const { user, system } = process.cpuUsage();
  return { atMs: performance.now(), acknowledged: total(connections, 'acknowledged'), cpuMicros: user + system };
}

function total(connections: readonly LoadConnection[], field: 'sent' | 'acknowledged'): number {
  return connections.reduce((sum, connection) => sum + connection[field], 0);
}

/** Waits for the acknowledgements of what is in flight on open connections, at most 30 s. */
async function drain(connections: readonly LoadConnection[]): Promise<void> {
  const endMs = performance.now() + DRAIN_MS;
  while (connections.some(({ open, inFlight }) => open && inFlight > 0) && performance.now() < endMs) {
    await sleep(POLL_MS);
  }
}

function reportOf(
  { options, connections, meter, closed }: Run,
  connectSeconds: number,
  from: Mark,
  to: Mark,
): LoadReport {
  const seconds = (to.atMs - from.atMs) / 1000;
  const count = to.acknowledged - from.acknowledged;
  const cpuMicros = to.cpuMicros - from.cpuMicros;
  const sent = total(connections, 'sent');
  const acknowledged = total(connections, 'acknowledged');
  const ms = (p: number): number => meter.histogram.percentile(p) / 1000;
  return {
    connections: options.connections,
    window: options.window,
    qos: 1,
    payloadBytes: PAYLOAD_BYTES,
    rate: options.rate ?? null,
    sent,
    acknowledged,
    unacknowledged: sent - acknowledged,
    connectSeconds,
    steady: {
      seconds,
      acknowledged: count,
      perSecond: count / seconds,
      cpuSeconds: cpuMicros / 1e6,
      cpuMicrosPerMessage: count === 0 ? 0 : cpuMicros / count,
    },
    ackMs: { p50: ms(0.5), p90: ms(0.9), p99: ms(0.99), max: meter.histogram.maxMicros / 1000 },
    closed,
    nextTsMs: Math.max(...connections.map((connection) => connection.ring.nextTsMs)),
  };
}

/**
 * Counts durations in buckets that grow with the value, as HdrHistogram does: exact below 128 µs, within 1/64 above, up to
 * 35 minutes, in one fixed array.
 */
export class Histogram {
  readonly #counts = new Float64Array(SUB * (33 - SUB_BITS));
  count = 0;
  maxMicros = 0;

  /** Adds a duration in µs; fractions are dropped, negative ones count as 0. */
  record(micros: number): void {
    const value = micros > 0 ? Math.min(micros, 0x7fffffff) | 0 : 0;
    this.#counts[bucketOf(value)]! += 1;
    this.count += 1;
    if (value > this.maxMicros) this.maxMicros = value;
  }

  /** Returns the smallest bucket bound that the share `p` (0..1) of the durations does not exceed, µs; 0 when empty. */
  percentile(p: number): number {
    const rank = Math.ceil(p * this.count);
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank && seen > 0) return Math.min(upperBound(bucket), this.maxMicros);
    }
    return 0;
  }
}

function bucketOf(value: number): number {
  const shift = Math.max(0, 31 - SUB_BITS - Math.clz32(value));
  return shift * SUB + (value >>> shift);
}

function upperBound(bucket: number): number {
  if (bucket < 2 * SUB) return bucket;
  const shift = Math.floor(bucket / SUB) - 1;
  return (bucket - shift * SUB + 1) * 2 ** shift - 1;
}

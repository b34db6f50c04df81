import mqtt, { type MqttClient } from 'mqtt';
import type { CloudEvent } from '../../domain/index.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { createSseReader } from '../kit/sse-reader.ts';
import { generate, type Shape } from './load.ts';
import { type LamppostSubject, lamppost } from './subjects.ts';

/** Times of all events at one channel, ms. */
export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/**
 * From the publish of the reading that crosses the threshold, up or down, to the event of its alert at a subscriber.
 */
export interface AlertLatency {
  readonly alerts: number;
  readonly mqtt: Spread;
  readonly sse: Spread;
}

// Fewer than the rule's limit: beyond it alerts are held.
const BINS = 90;
/** How often each bin becomes full, and empty again: 1,080 events, so that a hundredth of them is more than a few. */
const ROUNDS = 6;
const EVENTS = BINS * ROUNDS * 2;

/** Bins become full and empty in turn while the stations publish at a steady rate. */
export async function alertLatency(shape: Shape & { readonly rate: number }): Promise<AlertLatency> {
  const subject = await lamppost(shape.connections);
  try {
    return await alertLatencyOf(subject, shape, 'alarm');
  } finally {
    await subject.stop();
  }
}

/** The same for a running server; `name` is the prefix of its bins' ids, and `more` are arguments of the generator. */
export async function alertLatencyOf(
  subject: LamppostSubject,
  shape: Shape & { readonly rate: number },
  name: string,
  more: readonly string[] = [],
): Promise<AlertLatency> {
  const { server } = subject;
  const wanted = Array.from({ length: BINS }, (_, i) => ({
    id: `${name}-${i}`,
    profile: 'waste-bin',
    district: 'harbour',
  }));
  const bins = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
  const connect = (username: string, password: string, clientId = username) =>
    mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, username, password, clientId });
  const clients = await Promise.all(bins.map(({ id, secret }) => connect(id, secret)));
  const watch = createWatch();
  const subscriber = await connect('admin', ADMIN_KEY, 'bench-subscriber');
  subscriber.on('message', (_topic, payload) => watch.mqtt(JSON.parse(payload.toString()) as CloudEvent));
  await subscriber.subscribeAsync(`events/alerts/bin-full/+`, { qos: 1 });
  const reader = createSseReader({
    url: () => `http://127.0.0.1:${server.httpPort}`,
    key: ADMIN_KEY,
    query: '?rule=bin-full&type=city.lamppost.alert.firing,city.lamppost.alert.resolved',
    last: null,
    onEvent: ({ event }) => watch.sse(event),
  });
  while (reader.connections() === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  const load = generate(subject, shape, more);
  await alarms(clients, watch, (shape.seconds * 1000) / EVENTS);
  const found = await watch.complete;
  await load;
  await reader.end();
  await Promise.all([subscriber, ...clients].map((client) => client.endAsync()));
  return found;
}

/** Each client's bin is full and empty by turns, one bin after the other. */
async function alarms(clients: readonly MqttClient[], watch: Watch, everyMs: number): Promise<void> {
  const from = performance.now();
  for (let n = 0; n < EVENTS; n++) {
    const client = clients[n % BINS]!;
    const id = client.options.username!;
    const fill = Math.floor(n / BINS) % 2 === 0 ? 95 : 20;
    const payload = JSON.stringify({ ts: Date.now(), metrics: { fill, battery: 80 } });
    watch.sent(id);
    client.publish(`devices/${id}/readings`, payload, { qos: 1 });
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, from + (n + 1) * everyMs - performance.now())));
  }
}

type Watch = ReturnType<typeof createWatch>;

/** Events of one bin come in the order of its readings: the first belongs to the first. */
function createWatch() {
  const sentAt = new Map<string, number[]>();
  const channels = { mqtt: channelOf(sentAt), sse: channelOf(sentAt) };
  return {
    sent(bin: string): void {
      sentAt.set(bin, [...(sentAt.get(bin) ?? []), performance.now()]);
    },
    mqtt: channels.mqtt.take,
    sse: channels.sse.take,
    /** Resolves when both channels have every event. */
    complete: Promise.all([channels.mqtt.all, channels.sse.all]).then(
      ([byMqtt, bySse]): AlertLatency => ({ alerts: EVENTS, mqtt: byMqtt, sse: bySse }),
    ),
  };
}

function channelOf(sentAt: ReadonlyMap<string, readonly number[]>) {
  const latencies: number[] = [];
  const seen = new Map<string, number>();
  const ids = new Set<string>();
  const { promise, resolve } = Promise.withResolvers<Spread>();
  return {
    all: promise,
    take({ id, data }: CloudEvent): void {
      const { group } = data as { group: string };
      // At least once: what comes again is not counted again.
      if (!sentAt.has(group) || ids.has(id)) return;
      ids.add(id);
      const nth = seen.get(group) ?? 0;
      seen.set(group, nth + 1);
      latencies.push(performance.now() - sentAt.get(group)![nth]!);
      if (latencies.length === EVENTS) resolve(spreadOf(latencies));
    },
  };
}

function spreadOf(latencies: readonly number[]): Spread {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

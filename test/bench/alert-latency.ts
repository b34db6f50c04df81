import mqtt, { type MqttClient } from 'mqtt';
import { ADMIN_KEY } from '../kit/server.ts';
import { generate, type Shape } from './load.ts';
import { type LamppostSubject, lamppost } from './subjects.ts';

/** From the publish of the reading that crosses the threshold to its event at an MQTT subscriber, ms. */
export interface AlertLatency {
  readonly alerts: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

// Fewer than the rule's limit: beyond it alerts are held.
const ALARMS = 90;

/** Bins fill up one after the other while the stations publish at a steady rate. */
export async function alertLatency(shape: Shape & { readonly rate: number }): Promise<AlertLatency> {
  const subject = await lamppost(shape.connections);
  try {
    return await alertLatencyOf(subject, shape, 'alarm');
  } finally {
    await subject.stop();
  }
}

/** The same of a server that runs already; `name` begins the ids of its bins, and `more` are flags of the generator. */
export async function alertLatencyOf(
  subject: LamppostSubject,
  shape: Shape & { readonly rate: number },
  name: string,
  more: readonly string[] = [],
): Promise<AlertLatency> {
  const { server } = subject;
  const wanted = Array.from({ length: ALARMS }, (_, i) => ({
    id: `${name}-${i}`,
    profile: 'waste-bin',
    district: 'harbour',
  }));
  const bins = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
  const connect = (username: string, password: string, clientId = username) =>
    mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, username, password, clientId });
  const subscriber = await connect('admin', ADMIN_KEY, 'bench-subscriber');
  const clients = await Promise.all(bins.map(({ id, secret }) => connect(id, secret)));
  const load = generate(subject, shape, more);
  const latencies = await alarms(subscriber, bins, clients, shape.seconds * 1000);
  await load;
  await Promise.all([subscriber, ...clients].map((client) => client.endAsync()));
  return summary(latencies);
}

async function alarms(
  subscriber: MqttClient,
  bins: readonly { id: string }[],
  clients: readonly MqttClient[],
  spreadMs: number,
): Promise<number[]> {
  const sentAt = new Map<string, number>();
  const latencies: number[] = [];
  await subscriber.subscribeAsync('events/alerts/bin-full/+', { qos: 1 });
  const all = new Promise<void>((resolve) => {
    subscriber.on('message', (topic) => {
      latencies.push(performance.now() - sentAt.get(topic.split('/')[3]!)!);
      if (latencies.length === bins.length) resolve();
    });
  });
  const full = () => JSON.stringify({ ts: Date.now(), metrics: { fill: 95, battery: 80 } });
  for (const [i, { id }] of bins.entries()) {
    await new Promise((resolve) => setTimeout(resolve, spreadMs / bins.length));
    sentAt.set(id, performance.now());
    clients[i]!.publish(`devices/${id}/readings`, full(), { qos: 1 });
  }
  await all;
  return latencies;
}

function summary(latencies: number[]): AlertLatency {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
  return { alerts: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

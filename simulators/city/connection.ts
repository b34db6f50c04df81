import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { spoken } from './formats.ts';
import { between, createRandom } from './random.ts';
import type { Credentials } from './register.ts';

const SHORTEST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 8_000;
const LAST_ACKS_MS = 10_000;

/** Counters of the messages of one or many devices. */
export interface Traffic {
  sent: number;
  acknowledged: number;
  /** Sent, but not acknowledged before the connection was closed. */
  failed: number;
  /** Not sent, because the device had its full window in flight. */
  skipped: number;
}

/** The connections of one or many devices. */
export interface Connections {
  readonly connected: number;
  /** Number of connection errors, and the last one. */
  readonly errors: number;
  readonly lastError: string | null;
}

/** One device's MQTT connection. */
export interface DeviceConnection {
  readonly connected: boolean;
  start(): void;
  /** Waits at most 10 s for acknowledgements, then disconnects. Idempotent. */
  stop(): Promise<void>;
  /**
   * Publishes a sample, which is in the native format, in that of the device, with QoS 1. Resolves when the message was
   * acknowledged, failed or skipped (window full); never rejects.
   */
  publish(payload: string, dup: boolean): Promise<void>;
}

/** A message that a device publishes on one of its topics. */
interface Reply {
  readonly leaf: 'results' | 'reported';
  readonly body: unknown;
}

type Wanted =
  | { readonly id: string; readonly command: string; readonly parameters: Readonly<Record<string, unknown>> }
  | { readonly desired: Readonly<Record<string, unknown>> };

/**
 * Returns what a device does about a message on `commands` or `desired`: it obeys at once, and reports what it is after
 * that. A command that comes twice is obeyed once, and acknowledged each time.
 */
export function createObedience(): (wanted: Wanted) => Reply[] {
  const state: Record<string, unknown> = {};
  const done = new Set<string>();
  return (wanted) => {
    if ('desired' in wanted) {
      Object.assign(state, wanted.desired);
      return [{ leaf: 'reported', body: { ...state } }];
    }
    const { id, command, parameters } = wanted;
    const result: Reply = { leaf: 'results', body: { id, status: 'done' } };
    if (done.has(id)) return [result];
    done.add(id);
    Object.assign(state, Object.keys(parameters).length === 0 ? { last: command } : parameters);
    return [result, { leaf: 'reported', body: { ...state } }];
  };
}

type Server = NonNullable<mqtt.IClientOptions['servers']>[number];

/** An address as the client takes one of several; it has a port. */
function serverOf(url: string): Server {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port), protocol: protocol.slice(0, -1) as 'mqtt' };
}

/**
 * Makes the MQTT client of one device; client id and user name are the device's id. It reconnects after a random 1 to 8
 * s, so that a fleet does not reconnect at once, and has at most `window` messages in flight. It obeys commands, and
 * becomes what is desired of it.
 */
export function createConnection(
  deps: { readonly traffic: Traffic; readonly onError: (message: string) => void },
  options: {
    /** Where it connects; when a connection is lost, the next one is to the next address. */
    readonly urls: readonly string[];
    readonly device: Credentials;
    readonly window: number;
    /** One of `SIMULATED_FORMATS`, but `mixed`. */
    readonly format: string;
  },
): DeviceConnection {
  const { traffic, onError } = deps;
  const { urls, device, window, format } = options;
  let client: mqtt.MqttClient | undefined;
  const pending = new Set<Promise<unknown>>();
  const random = createRandom(`retry:${device.id}`);
  const retryMs = (): number => between(random, SHORTEST_RETRY_MS, LONGEST_RETRY_MS);
  let inFlight = 0;
  let ended = false;
  const obeyed = createObedience();
  return {
    get connected() {
      return client?.connected ?? false;
    },
    start: () => {
      client = mqtt.connect(urls[0]!, {
        ...(urls.length > 1 && { servers: urls.map(serverOf) }),
        clientId: device.id,
        username: device.id,
        password: device.secret,
        clean: true,
        reconnectPeriod: retryMs(),
        reconnectOnConnackError: true,
      });
      const own = client;
      const topics = ['commands', 'desired'].map((leaf) => `devices/${device.id}/${leaf}`);
      // A lost connection comes back, and subscribes again.
      client.on('connect', () => void own.subscribeAsync(topics, { qos: 1 }).catch(() => {}));
      client.on('message', (_topic, payload) => {
        const replies = payload.length === 0 ? [] : obeyed(JSON.parse(payload.toString()));
        for (const { leaf, body } of replies) {
          void own.publishAsync(`devices/${device.id}/${leaf}`, JSON.stringify(body), { qos: 1 }).catch(() => {});
        }
      });
      // Of a host with several addresses it is one error of many, and has a code only.
      client.on('error', (error) => onError(`${device.id}: ${error.message || (error as NodeJS.ErrnoException).code}`));
      client.on('close', () => {
        if (client) client.options.reconnectPeriod = retryMs();
      });
    },
    stop: async () => {
      if (!client || ended) return;
      ended = true;
      if (client.connected) await Promise.race([Promise.all(pending), sleep(LAST_ACKS_MS, undefined, { ref: false })]);
      traffic.failed += inFlight;
      await client.endAsync(inFlight > 0 || !client.connected);
    },
    publish: async (payload, dup) => {
      if (!client || ended || inFlight >= window) {
        traffic.skipped += 1;
        return;
      }
      inFlight += 1;
      traffic.sent += 1;
      const message = spoken(format, device.id, payload);
      const sending = client.publishAsync(message.topic, message.payload, { qos: 1, dup });
      const outcome = sending.then(
        () => 'acknowledged' as const,
        () => 'failed' as const,
      );
      pending.add(outcome);
      traffic[await outcome] += 1;
      inFlight -= 1;
      pending.delete(outcome);
    },
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { between, createRandom } from './random.ts';
import type { Credentials } from './register.ts';

const SHORTEST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 8_000;
const LAST_ACKS_MS = 2_000;

/** Counters of the messages of one or many devices. */
export interface Traffic {
  sent: number;
  acknowledged: number;
  /** Sent, but not acknowledged before the connection was closed. */
  failed: number;
  /** Not sent, because the device had its full window in flight. */
  skipped: number;
}

/** One device's MQTT connection. */
export interface DeviceConnection {
  readonly connected: boolean;
  start(): void;
  /** Waits at most 2 s for acknowledgements, then disconnects. Idempotent. */
  stop(): Promise<void>;
  /** Publishes with QoS 1. Resolves when the message was acknowledged, failed or skipped (window full); never rejects. */
  publish(payload: string, dup: boolean): Promise<void>;
}

/**
 * Makes the MQTT client of one device; client id and user name are the device's id. It reconnects after a random 1 to 8 s, so
 * that a fleet does not reconnect at once, and has at most `window` messages in flight.
 */
export function createConnection(
  deps: { readonly traffic: Traffic; readonly onError: (message: string) => void },
  options: { readonly url: string; readonly device: Credentials; readonly window: number },
): DeviceConnection {
  const { traffic, onError } = deps;
  const { url, device, window } = options;
  let client: mqtt.MqttClient | undefined;
  const pending = new Set<Promise<unknown>>();
  const random = createRandom(`retry:${device.id}`);
  const retryMs = (): number => between(random, SHORTEST_RETRY_MS, LONGEST_RETRY_MS);
  let inFlight = 0;
  let ended = false;
  return {
    get connected() {
      return client?.connected ?? false;
    },
    start: () => {
      client = mqtt.connect(url, {
        clientId: device.id,
        username: device.id,
        password: device.secret,
        clean: true,
        reconnectPeriod: retryMs(),
        reconnectOnConnackError: true,
      });
      client.on('error', (error) => onError(`${device.id}: ${error.message}`));
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
      const sending = client.publishAsync(`devices/${device.id}/readings`, payload, { qos: 1, dup });
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

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import type { Logger } from 'pino';
import type { Carrier } from '../broker/index.ts';
import {
  type CityBridge,
  type Clock,
  LamppostError,
  SECOND_MS,
  type SecretPlace,
  type Timers,
  WEEK_MS,
} from '../domain/index.ts';
import { Bridge, type BridgeStatus } from './bridge.ts';
import type { DownlinkQueue } from './downlinks.ts';

const require = createRequire(import.meta.url);
/** Loaded with the first bridge: most cities have none. */
const mqtt = () => require('mqtt') as typeof import('mqtt');

/** Where secrets of bridges are. */
export interface Secrets {
  /** Variables whose name begins with LAMPPOST_BRIDGE_. */
  readonly variables: Readonly<Record<string, string>>;
  /** The folder of their files; null: there is none. */
  readonly folder: string | null;
}

interface Parts {
  readonly carry: Carrier;
  readonly downlinks: DownlinkQueue;
  readonly secrets: Secrets;
  /** The largest message, bytes. */
  readonly maxMessage: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
}

/** The bridges of the city in force. */
export interface Bridges {
  /** Starts what is new, ends what is gone, and begins anew what changed; the others go on. */
  apply(bridges: ReadonlyMap<string, CityBridge>): void;
  /** There may be new commands for devices. */
  wake(): void;
  /** Returns the state of each, by id. */
  list(): BridgeStatus[];
  /** Ends all connections. Idempotent. */
  stop(): void;
}

/** How long a kept session of MQTT 5 outlives its connection, s. */
const SESSION_SECONDS = WEEK_MS / SECOND_MS;
/** What the other broker may send before it is acknowledged (MQTT 5). */
const RECEIVE_MAXIMUM = 1_000;
const CONNECT_TIMEOUT_MS = 20_000;

/** Returns the bridges; there are none until `apply`. */
export function createBridges(parts: Parts): Bridges {
  const running = new Map<string, { readonly written: string; readonly bridge: Bridge }>();
  let stopped = false;

  function end(id: string): void {
    running.get(id)!.bridge.stop();
    running.delete(id);
  }

  function begin(options: CityBridge, written: string): void {
    const connect = () => connectTo(options, parts.secrets, parts.maxMessage);
    const bridge = new Bridge({ ...parts, options, connect });
    running.set(options.id, { written, bridge });
    parts.log.info({ bridge: options.id, url: options.url }, 'a bridge begins');
    bridge.start();
  }

  return {
    apply(bridges) {
      // A reload may end after the stop.
      if (stopped) return;
      for (const [id, { written }] of running) if (written !== JSON.stringify(bridges.get(id))) end(id);
      for (const [id, options] of bridges) if (!running.has(id)) begin(options, JSON.stringify(options));
    },
    wake() {
      for (const { bridge } of running.values()) bridge.wake();
    },
    list: () => [...running.keys()].sort().map((id) => running.get(id)!.bridge.status()),
    stop() {
      stopped = true;
      for (const id of [...running.keys()]) end(id);
    },
  };
}

/** Opens a connection that does not come back by itself. Throws `config` where a secret is missing. */
function connectTo(options: CityBridge, secrets: Secrets, maxMessage: number): MqttClient {
  const { url, protocol, clientId, username, tls } = options;
  const secretOf = (place: SecretPlace | null) => (place === null ? undefined : readSecret(place, secrets));
  const password = secretOf(options.password);
  const [ca, cert, key] = [tls.ca, tls.cert, tls.key].map(secretOf);
  return mqtt().connect(url, {
    ...{ clientId, protocolVersion: protocol, keepalive: options.keepAliveS },
    // The other broker keeps what comes while there is no connection.
    clean: false,
    ...{ reconnectPeriod: 0, connectTimeout: CONNECT_TIMEOUT_MS, resubscribe: false },
    ...(username === null ? {} : { username }),
    ...(password === undefined ? {} : { password: password.replace(/\r?\n$/, '') }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(tls.serverName === null ? {} : { servername: tls.serverName }),
    ...(protocol === 5 ? { properties: propertiesOf(maxMessage) } : {}),
  });
}

function propertiesOf(maxMessage: number) {
  const maximumPacketSize = maxMessage + 65_536;
  return { sessionExpiryInterval: SESSION_SECONDS, receiveMaximum: RECEIVE_MAXIMUM, maximumPacketSize };
}

/** Returns a secret as it is now: files are replaced while the server runs. */
function readSecret(place: SecretPlace, { variables, folder }: Secrets): string {
  if ('env' in place) {
    const value = variables[place.env];
    if (value === undefined) throw new LamppostError('config', `the variable ${place.env} is not set`);
    return value;
  }
  if (folder === null) throw new LamppostError('config', 'LAMPPOST_BRIDGE_SECRETS names no folder of secrets');
  try {
    return readFileSync(join(folder, place.file), 'utf8');
  } catch (cause) {
    throw new LamppostError('config', `the secret ${place.file}: ${(cause as Error).message}`, { cause });
  }
}

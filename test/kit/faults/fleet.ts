import mqtt, { type MqttClient } from 'mqtt';
import type { Series } from '../../../domain/index.ts';
import type { ServerProcess } from '../server.ts';
import { pause } from '../wait.ts';

/** Readings of every device start here, 10 ms apart: so the time of a reading is the number of its message. */
const START = Date.now() - 2 * 3_600_000;
const APART_MS = 10;
const LANES = 2;
/** Every tenth bin fills up and is emptied, once in so many messages. */
const CYCLE = 100;
const BROKEN_EVERY = 150;

interface Device {
  readonly id: string;
  readonly client: MqttClient;
  /** Numbers of the messages that were acknowledged. */
  readonly acknowledged: Set<number>;
  next: number;
}

export interface FleetOptions {
  readonly devices: number;
  /** Messages of all devices. */
  readonly perSecond: number;
}

/** Waste bins, half of them with QoS 2, that publish steadily, each message until it is acknowledged. */
export class Fleet {
  readonly #devices: Device[] = [];
  readonly #lanes: Promise<void>[] = [];
  #stopped = false;
  #held = false;
  /** How many were acknowledged. */
  count = 0;
  /** Messages that were given up with their connection and sent again. */
  again = 0;

  async start(server: ServerProcess, { devices, perSecond }: FleetOptions): Promise<void> {
    const wanted = Array.from({ length: devices }, (_, i) => ({
      id: `bin-${i}`,
      profile: 'waste-bin',
      district: 'old-town',
    }));
    const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
    const everyMs = (1_000 * devices * LANES) / perSecond;
    for (const [i, { id, secret }] of registered.entries()) {
      const login = { clientId: id, username: id, password: secret, reconnectPeriod: 250, clean: false };
      const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, login);
      client.on('error', () => {});
      const device: Device = { id, client, acknowledged: new Set(), next: 0 };
      this.#devices.push(device);
      for (let lane = 0; lane < LANES; lane++) this.#lanes.push(this.#publish(device, i, everyMs));
    }
  }

  async #publish(device: Device, i: number, everyMs: number): Promise<void> {
    const { id, client, acknowledged } = device;
    await pause(Math.random() * everyMs);
    while (!this.#stopped) {
      if (this.#held) {
        await pause(50);
        continue;
      }
      const began = Date.now();
      const n = device.next++;
      const sent = () =>
        client.publishAsync(`devices/${id}/readings`, payloadOf(i, n), { qos: i % 2 === 0 ? 1 : 2 }).then(
          () => true,
          () => false,
        );
      // mqtt.js gives up a message whose connection breaks at the wrong moment: it was not acknowledged.
      while (!(await sent())) {
        this.again++;
        await pause(50);
      }
      acknowledged.add(n);
      this.count++;
      await pause(Math.max(0, began + everyMs - Date.now()));
    }
  }

  /** What was acknowledged until now, by device. */
  acknowledged(): Map<string, Set<number>> {
    return new Map(this.#devices.map(({ id, acknowledged }) => [id, new Set(acknowledged)]));
  }

  /** Runs `work` while no bin begins another message. */
  async quietly<T>(work: () => Promise<T>): Promise<T> {
    this.#held = true;
    try {
      return await work();
    } finally {
      this.#held = false;
    }
  }

  /** Waits for the messages in progress; the server has to run. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    await Promise.all(this.#devices.map(({ client }) => client.endAsync()));
  }
}

const isBroken = (n: number) => n % BROKEN_EVERY === BROKEN_EVERY - 1;

/** The level in message `n` of bin `i`; neighbours differ. */
const levelOf = (i: number, n: number) =>
  Math.round((n % 499) + (i % 10 === 0 && n % CYCLE >= CYCLE / 2 ? 9_300 : 2_000)) / 100;

function payloadOf(i: number, n: number): string {
  if (isBroken(n)) return `{"broken": ${n}`;
  return JSON.stringify({ ts: START + n * APART_MS, metrics: { fill: levelOf(i, n), battery: 80 } });
}

/** What is wrong with the readings of a device, against the numbers of what was acknowledged. */
export interface Difference {
  readonly lost: number[];
  readonly doubled: number[];
  /** Stored with another value than was sent. */
  readonly changed: number[];
}

/** Compares the history of a device, and the refused messages of `refused`, with what was acknowledged. */
export async function compare(
  server: ServerProcess,
  id: string,
  acknowledged: ReadonlySet<number>,
  refused: ReadonlySet<number>,
): Promise<Difference> {
  const i = Number(id.slice('bin-'.length));
  const time = `from=${START}&to=${START + 4 * 86_400_000}&maxPoints=1000000`;
  const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?device=${id}&metric=fill&${time}`);
  const points = (series[0]?.points ?? []).map(([ts, value]) => [(ts - START) / APART_MS, value] as const);
  const stored = new Set(points.map(([n]) => n));
  return {
    lost: [...acknowledged].filter((n) => !(isBroken(n) ? refused : stored).has(n)),
    doubled: points.map(([n]) => n).filter((n, at, all) => at > 0 && all[at - 1] === n),
    changed: points.filter(([n, value]) => value !== levelOf(i, n)).map(([n]) => n),
  };
}

/** The number of a refused message. */
export const brokenNumber = (text: string) => Number(text.slice('{"broken": '.length));

import mqtt, { type MqttClient } from 'mqtt';
import type { Quarantined, Series, Ticket } from '../../domain/index.ts';
import type { NumberedEvent } from '../../events/index.ts';
import type { ServerProcess } from './server.ts';
import { pause } from './wait.ts';

/** Readings of these bins start here, 10 ms apart. */
export const START = Date.now() - 3_600_000;
const UNDER_WAY = 10;
/** Between two messages of a lane: thousands a second, and no more to work off than a slow machine can. */
const PAUSE_MS = 20;
/**
 * Waste bins that publish continuously, each message until it is acknowledged. The level rises and falls, so that the
 * rule of full bins fires every 40 messages of a bin; every 25th message is broken.
 */
export class Bins {
  readonly #clients: MqttClient[] = [];
  readonly #acknowledged = new Map<string, Set<number>>();
  readonly #lanes: Promise<void>[] = [];
  #stopped = false;

  /** Registers and starts `count` bins. */
  async start(server: ServerProcess, count: number): Promise<void> {
    const devices = Array.from({ length: count }, (_, i) => ({
      id: `bin-${i}`,
      profile: 'waste-bin',
      district: 'old-town',
    }));
    const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);
    for (const [i, { id, secret }] of registered.entries())
      this.#publish(server, { id, secret, qos: i % 2 === 0 ? 1 : 2 });
  }

  #publish(server: ServerProcess, { id, secret, qos }: { id: string; secret: string; qos: 1 | 2 }): void {
    const login = { clientId: id, username: id, password: secret, reconnectPeriod: 100, clean: false };
    const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, login);
    client.on('error', () => {});
    this.#clients.push(client);
    const acknowledged = new Set<number>();
    this.#acknowledged.set(id, acknowledged);
    let next = 0;
    const lane = async () => {
      while (!this.#stopped) {
        const n = next++;
        // mqtt.js gives up a message whose connection breaks at the wrong moment: it was not acknowledged, so it is
        // sent again.
        while (!(await sent(client, `devices/${id}/readings`, payloadOf(n), qos))) await pause(PAUSE_MS);
        acknowledged.add(n);
        await pause(PAUSE_MS);
      }
    };
    for (let i = 0; i < UNDER_WAY; i++) this.#lanes.push(lane());
  }

  /** Numbers of the messages acknowledged so far, by bin. */
  acknowledged(): ReadonlyMap<string, ReadonlySet<number>> {
    return new Map([...this.#acknowledged].map(([id, numbers]) => [id, new Set(numbers)]));
  }

  count(): number {
    return [...this.#acknowledged.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Waits for the messages in progress; the server has to run. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    await Promise.all(this.#clients.map((client) => client.endAsync()));
  }
}

function payloadOf(n: number): string {
  if (n % 25 === 24) return `{"broken": ${n}`;
  return JSON.stringify({ ts: START + n * 10, metrics: { fill: n % 40 < 20 ? 20 : 95, battery: 80 } });
}

function sent(client: MqttClient, topic: string, payload: string, qos: 1 | 2): Promise<boolean> {
  return client.publishAsync(topic, payload, { qos }).then(
    () => true,
    () => false,
  );
}

export const allTickets = (server: ServerProcess) => server.all<Ticket>('/api/v1/tickets');

/** Every event, in order of its number. */
export const allEvents = (server: ServerProcess) => server.all<NumberedEvent>('/api/v1/events');

/**
 * Numbers of the messages of bins that the server has, in its history or its quarantine; throws where one is stored
 * twice.
 */
export async function numbersIn(server: ServerProcess, ids: Iterable<string>): Promise<Map<string, Set<number>>> {
  const refused = await server.all<Quarantined>('/api/v1/quarantine');
  const found = new Map<string, Set<number>>();
  for (const id of ids) {
    const time = `from=${START}&to=${START + 86_400_000}&maxPoints=1000000`;
    const { series } = await server.get<{ series: Series[] }>(`/api/v1/readings?device=${id}&metric=fill&${time}`);
    const stored = (series[0]?.points ?? []).map(([ts]) => (ts - START) / 10);
    if (new Set(stored).size !== stored.length) throw new Error(`${id}: a reading is stored twice`);
    const own = refused.filter(({ device }) => device === id);
    const texts = await Promise.all(own.map((one) => server.refusedText(one.id)));
    found.set(id, new Set([...stored, ...texts.map((text) => Number(text.slice(11)))]));
  }
  return found;
}

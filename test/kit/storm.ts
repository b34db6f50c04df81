import mqtt from 'mqtt';
import type { CloudEvent, Page, Ticket, TicketAlert } from '../../domain/index.ts';
import { full, RulesServer } from './rules/server.ts';
import { PATIENCE_MS, until } from './wait.ts';

export const STORM_DISTRICTS = ['old-town', 'harbour', 'riverside', 'university', 'garden'] as const;
const SERVICES = `waste:
  title: { en: Full waste bin, zh: 垃圾桶满溢 }
  department: waste
  deadline: 12h
  gather: { by: [district], wait: 5s }
`;
/** Devices that a request registers at once. */
const BATCH = 1_000;

/** Creates a server whose full bins become one ticket per district; the rule may fire for `limit` of them at a time. */
export function stormServer(limit: number): RulesServer {
  const rule = full('storm', 90, `limit: ${limit}\nticket: { service: waste }\n`);
  const server = new RulesServer({ storm: rule });
  server.write('services.yaml', SERVICES);
  server.write('assets.geojson', '{"type": "FeatureCollection", "features": []}');
  return server;
}

/** A bin of the storm. */
export interface Bin {
  readonly id: string;
  readonly secret: string;
}

/** Registers bins, distributed over the districts. */
export async function registerBins(server: RulesServer, count: number, districts: readonly string[]): Promise<Bin[]> {
  const wanted = Array.from({ length: count }, (_, i) => ({
    id: `bin-${String(i).padStart(4, '0')}`,
    profile: 'waste-bin',
    district: districts[i % districts.length]!,
  }));
  const bins: Bin[] = [];
  for (let i = 0; i < count; i += BATCH) {
    bins.push(...(await server.post<Bin[]>('/api/v1/devices', wanted.slice(i, i + BATCH))));
  }
  return bins;
}

/** The message of a bin. */
export interface Said {
  readonly fill: number;
  /** Epoch ms. */
  readonly ts: number;
  /** Called when it is connected and about to publish. */
  readonly onSend?: () => void;
}

/** Connects a bin, publishes its level and disconnects; resolves to false where it was not acknowledged. */
export async function say(server: RulesServer, { id, secret }: Bin, { fill, ts, onSend }: Said): Promise<boolean> {
  const login = { clientId: id, username: id, password: secret, reconnectPeriod: 0, connectTimeout: PATIENCE_MS };
  const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, login);
  client.on('error', () => {});
  // A connection that breaks before it is accepted only emits `close`.
  const gone = new Promise<boolean>((resolve) => client.once('close', () => resolve(false)));
  try {
    const connected = new Promise<boolean>((resolve) => client.once('connect', () => resolve(true)));
    if (!(await Promise.race([connected, gone]))) return false;
    onSend?.();
    const payload = JSON.stringify({ ts, metrics: { fill } });
    const published = client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 }).then(
      () => true,
      () => false,
    );
    return await Promise.race([published, gone]);
  } finally {
    client.end(true);
  }
}

/** Processes a list, a limited number of items at a time. */
export async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const lane = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Resolves when no alert waits for others any more, and every alert that joined has its event. */
export async function untilGathered(server: RulesServer, alerts: number): Promise<Ticket[]> {
  let [waits, found] = [0, 0];
  const look = async () => {
    waits = (await server.get<Page<unknown>>('/api/v1/tickets/waiting?limit=1')).items.length;
    const tickets = await server.all<Ticket>('/api/v1/tickets');
    found = tickets.reduce((sum, { alertCount }) => sum + alertCount, 0);
    return waits === 0 && found >= alerts && tickets;
  };
  return until(look, () => `${waits} wait, ${found} of ${alerts} are in tickets`, 100);
}

/** The groups of all alerts of some tickets. */
export async function groupsOf(server: RulesServer, tickets: readonly Ticket[]): Promise<string[]> {
  const alerts = await Promise.all(tickets.map(({ id }) => server.all<TicketAlert>(`/api/v1/tickets/${id}/alerts`)));
  return alerts.flat().map(({ group }) => group);
}

/** Every event (of a type) that was published, in order. */
export async function eventsOf(server: RulesServer, type?: string): Promise<CloudEvent[]> {
  const query = type === undefined ? '' : `?type=${type}`;
  const items = await server.all<{ event: CloudEvent }>(`/api/v1/events${query}`);
  return items.map(({ event }) => event);
}

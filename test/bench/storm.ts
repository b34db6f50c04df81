import { rmSync } from 'node:fs';
import mqtt from 'mqtt';
import type { CloudEvent, Page, Ticket } from '../../domain/index.ts';
import type { RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import {
  type Bin,
  groupsOf,
  inLanes,
  registerBins,
  STORM_DISTRICTS,
  say,
  stormServer,
  untilGathered,
} from '../kit/storm.ts';
import { cpuSeconds, peakMiB } from './process.ts';

/** p50, p99 and the longest of some times, ms, and how many there were. */
export interface Times {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The result of a storm of alerts. */
export interface Storm {
  readonly alerts: number;
  readonly seconds: number;
  readonly tickets: number;
  /** Alerts that no ticket lists, and those that are listed twice. */
  readonly missing: number;
  readonly twice: number;
  /** Events of tickets that were published. */
  readonly news: number;
  /** From the publish of the reading that crosses the threshold to the alert's event at an MQTT subscriber. */
  readonly events: Times;
  /** Meanwhile, over HTTP: the list of 100 tickets, and actions (acknowledge, then comments) on them. */
  readonly list: Times;
  readonly acts: Times;
  /** CPU of the server over the storm, cores. */
  readonly cores: number;
  readonly peakMiB: number;
}

const ALERTS = 5_000;
const SPREAD_MS = 60_000;
const LANES = 64;
const ASK_EVERY_MS = 50;

/** 5,000 bins of five districts become full within a minute, while operators read and act. */
export async function storm(settings: Record<string, string> = {}): Promise<Storm> {
  const server = stormServer(2 * ALERTS);
  Object.assign(server.settings, settings);
  await server.start();
  try {
    const bins = await registerBins(server, ALERTS, STORM_DISTRICTS);
    return await rage(server, bins);
  } finally {
    await server.stop();
    rmSync(server.data, { recursive: true });
    rmSync(server.city, { recursive: true });
  }
}

async function rage(server: RulesServer, bins: readonly Bin[]): Promise<Storm> {
  const watch = await watchAlerts(server);
  const cpu = cpuSeconds(server.pid);
  const from = performance.now();
  const operators = operate(server);
  let n = 0;
  await inLanes(bins, LANES, async (bin) => {
    const dueMs = from + (SPREAD_MS * n++) / bins.length - performance.now();
    if (dueMs > 0) await pause(dueMs);
    while (!(await say(server, bin, { fill: 95, ts: Date.now(), onSend: () => watch.sent(bin.id) })));
  });
  const tickets = await untilGathered(server, bins.length);
  await watch.all(bins.length);
  const seconds = (performance.now() - from) / 1_000;
  const cores = (cpuSeconds(server.pid) - cpu) / seconds;
  const { list, acts } = await operators.stop();
  const groups = await groupsOf(server, tickets);
  const found = new Set(groups);
  await watch.stop();
  return {
    alerts: bins.length,
    seconds,
    tickets: tickets.length,
    missing: bins.filter(({ id }) => !found.has(id)).length,
    twice: groups.length - found.size,
    news: tickets.reduce((sum, { version }) => sum + version, 0),
    events: timesOf(watch.latencies),
    list: timesOf(list),
    acts: timesOf(acts),
    cores,
    peakMiB: peakMiB(server.pid),
  };
}

/** Notes when each alert's event reaches a subscriber. */
async function watchAlerts(server: RulesServer) {
  const url = `mqtt://127.0.0.1:${server.mqttPort}`;
  const client = await mqtt.connectAsync(url, { username: 'admin', password: ADMIN_KEY, clientId: 'bench-subscriber' });
  const sentAt = new Map<string, number>();
  const seen = new Set<string>();
  const latencies: number[] = [];
  client.on('message', (topic, payload) => {
    const { id } = JSON.parse(payload.toString()) as CloudEvent;
    if (seen.has(id)) return;
    seen.add(id);
    latencies.push(performance.now() - sentAt.get(topic.split('/')[3]!)!);
  });
  await client.subscribeAsync('events/alerts/storm/+', { qos: 1 });
  return {
    latencies,
    sent: (id: string) => void sentAt.set(id, performance.now()),
    async all(count: number): Promise<void> {
      while (latencies.length < count) await pause(20);
    },
    stop: () => client.endAsync(),
  };
}

/** Two operators with a steady rate of requests: one reads the list, the other acts on its tickets. */
function operate(server: RulesServer) {
  let stopped = false;
  const list: number[] = [];
  const acts: number[] = [];
  let tickets: readonly Ticket[] = [];
  async function timed(into: number[], work: () => Promise<unknown>): Promise<void> {
    const from = performance.now();
    await work();
    into.push(performance.now() - from);
    await pause(ASK_EVERY_MS);
  }
  async function look(): Promise<void> {
    while (!stopped) {
      await timed(list, async () => {
        tickets = (await server.get<Page<Ticket>>('/api/v1/tickets?limit=100')).items;
      });
    }
  }
  async function act(): Promise<void> {
    const known = new Set<string>();
    for (let n = 0; !stopped; n++) {
      const ticket = tickets[n % tickets.length];
      if (ticket === undefined) {
        await pause(ASK_EVERY_MS);
        continue;
      }
      const action = known.has(ticket.id) ? 'comment' : 'acknowledge';
      known.add(ticket.id);
      await timed(acts, () => server.post(`/api/v1/tickets/${ticket.id}/${action}`, { note: `seen ${n}` }));
    }
  }
  const running = Promise.all([look(), act()]);
  return {
    async stop() {
      stopped = true;
      await running;
      return { list, acts };
    },
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function timesOf(times: readonly number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

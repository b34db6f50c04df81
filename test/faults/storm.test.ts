import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CloudEvent, Ticket } from '../../domain/index.ts';
import { type Bin, eventsOf, groupsOf, inLanes, registerBins, say, stormServer, untilGathered } from '../kit/storm.ts';
import { pause } from '../kit/wait.ts';

const ALERTS = 1_000;
const DISTRICTS = ['old-town', 'harbour'];
/** The number of bins that have reported full when the server is killed. */
const KILLS = [150, 400, 650, 800];

const server = stormServer(2 * ALERTS);
let bins: Bin[];
const START = Date.now();

beforeAll(async () => {
  await server.start();
  bins = await registerBins(server, ALERTS, DISTRICTS);
});
afterAll(() => server.stop());

/** Publishes for every bin until it is acknowledged; the server is killed and restarted meanwhile. */
async function all(fill: number, ts: number, kills: readonly number[]): Promise<void> {
  let acknowledged = 0;
  let restart: Promise<void> = Promise.resolve();
  const left = [...kills];
  await inLanes(bins, 20, async (bin) => {
    while (!(await say(server, bin, { fill, ts }))) await pause(50);
    acknowledged++;
    if (left[0] === undefined || acknowledged < left[0]) return;
    left.shift();
    restart = restart.then(async () => {
      await server.kill();
      await server.start();
    });
  });
  await restart;
  expect(left).toEqual([]);
  await server.settledLedger();
}

const ids = (events: readonly CloudEvent[]) => events.map(({ id }) => id);

test('storm - a thousand alerts, the server killed in the middle: a ticket a district, each alert in one of them, each published once', async () => {
  await all(95, START, KILLS);
  const tickets = await untilGathered(server, ALERTS);
  expect(tickets.map(({ district, alertCount }) => [district, alertCount]).toSorted()).toEqual(
    DISTRICTS.toSorted().map((district) => [district, ALERTS / DISTRICTS.length]),
  );
  expect((await groupsOf(server, tickets)).toSorted()).toEqual(bins.map(({ id }) => id).toSorted());
  const fired = await eventsOf(server, 'city.lamppost.alert.firing');
  expect(new Set(ids(fired)).size).toBe(ALERTS);
  expect(fired).toHaveLength(ALERTS);
});

test('storm - the tickets have few events, and none lists more than fifty alerts', async () => {
  const news = (await eventsOf(server)).filter(({ type }) => type.startsWith('city.lamppost.ticket.'));
  expect(news.length).toBeLessThan(ALERTS / 10);
  for (const { data } of news) expect((data as Ticket).alerts.length).toBeLessThanOrEqual(50);
});

test('storm - when all bins are empty, also over a kill, both tickets are resolved and none was opened', async () => {
  await all(10, START + 60_000, [500]);
  const tickets = await server.all<Ticket>('/api/v1/tickets');
  expect(tickets.map(({ status }) => status)).toEqual(['resolved', 'resolved']);
});

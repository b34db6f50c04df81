import { afterEach, expect, test } from 'vitest';
import type { SeenNode } from '../../../cluster/index.ts';
import type { Ticket } from '../../../domain/index.ts';
import type { Webhook } from '../../../notify/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import { WebhookReceiver } from '../../kit/receiver.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
const receiver = new WebhookReceiver();
afterEach(async () => {
  await cluster?.end();
  await receiver.stop();
});

/** Longer than a lease, and than a receiver that failed is left alone. */
const PAUSE_MS = 12_000;

/** Resolves to the node that sends notifications, and to another one. */
async function byDuty(nodes: readonly ServerProcess[]) {
  const seen = async () => (await nodes[0]!.get<{ nodes: SeenNode[] }>('/api/v1/cluster')).nodes;
  const has = await until(
    async () => (await seen()).find(({ holds }) => holds.includes('notify')),
    'a node that sends',
  );
  const holder = nodes.find(({ settings }) => settings.LAMPPOST_NODE === has.node)!;
  return { holder, other: nodes.find((node) => node !== holder)! };
}

test('paused - a node that sends notifications and is paused for longer than its lease sends none under it when it goes on', async () => {
  cluster = await new Cluster().start(3, { WEBHOOK_ALLOW_PRIVATE: 'true' });
  const { holder, other } = await byDuty(cluster.nodes);
  const webhook = await other.post<Webhook & { secret: string }>('/api/v1/webhooks', { url: await receiver.start() });
  receiver.secrets = [webhook.secret];
  receiver.respond = () => 500;
  const open = (title: string) =>
    other.post<Ticket>('/api/v1/tickets', { service: 'waste', title, district: 'harbour' });
  await open('Broken bin');
  // From then on its next attempt is due by a timer of its own.
  const path = `/api/v1/webhooks/${webhook.id}/deliveries`;
  const tried = async () => (await holder.all<{ attempts: number }>(path))[0]?.attempts === 1;
  await until(tried, 'an attempt that failed');
  process.kill(holder.pid, 'SIGSTOP');
  const stoppedAt = Date.now();
  const { id } = receiver.arrivals[0]!;
  const before = receiver.arrivals.length;
  receiver.respond = () => 200;
  await until(() => receiver.arrivals.length > before, 'an attempt of another node');
  await until(() => Date.now() - stoppedAt > PAUSE_MS, 'the end of the pause');

  process.kill(holder.pid, 'SIGCONT');
  const second = await open('Another bin');
  const seen = async () => (await holder.all<Ticket>('/api/v1/tickets')).some((ticket) => ticket.id === second.id);
  await until(seen, 'what the paused node missed');
  const waiting = async () => (await holder.get<Webhook>(`/api/v1/webhooks/${webhook.id}`)).waiting;
  await until(async () => (await waiting()) === 0, 'what the paused node learned of deliveries');
  const ids = receiver.arrivals.map((arrival) => arrival.id);
  expect(ids.filter((one) => one === id)).toHaveLength(before + 1);
  expect(ids.filter((one) => one !== id)).toHaveLength(1);
  expect(receiver.bad).toEqual([]);
});

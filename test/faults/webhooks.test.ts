import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import type { Subscription, Webhook } from '../../notify/index.ts';
import { createRandom } from '../../simulators/city/random.ts';
import { allEvents } from '../kit/bins.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { freePort } from '../kit/ports.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { createSseReader } from '../kit/sse-reader.ts';
import { pause, until } from '../kit/wait.ts';
import { expectComplete, fillAndEmpty, readMqtt } from '../kit/webhooks.ts';

const BINS = 6;
const KILLS = 6;
const SEED = 'webhooks-1';

const receivers = Array.from({ length: 3 }, () => new WebhookReceiver());
const mailbox = new Mailbox();
/** Accepts connections and never responds. */
const silent = createServer((socket) => socket.on('error', () => {}));
afterAll(async () => {
  await mailbox.stop();
  for (const receiver of receivers) receiver.stop();
  silent.close();
});

type Made = Webhook & { secret: string };

test('kill -9 six times - every subscriber gets every event at least once, in order per ticket, duplicates with the same id, and dead receivers delay no other', async () => {
  const random = createRandom(SEED);
  const server = new RulesServer({ 'bin-full': full('bin-full', 90, 'ticket: { service: waste }\n') });
  server.settings.WEBHOOK_ALLOW_PRIVATE = 'true';
  server.settings.SMTP_URL = await mailbox.start();
  server.settings.SMTP_FROM = 'lamppost@city.example';
  await server.start();
  const ids = Array.from({ length: BINS }, (_, i) => `bin-${i}`);
  const bins = await server.post<{ id: string; secret: string }[]>(
    '/api/v1/devices',
    ids.map((id) => ({ id, profile: 'waste-bin', district: 'harbour' })),
  );

  const create = (url: string, more: object = {}) => server.post<Made>('/api/v1/webhooks', { url, after: 0, ...more });
  const [quick, slow, flaky] = receivers as [WebhookReceiver, WebhookReceiver, WebhookReceiver];
  slow.respond = () => pause(random() * 20).then(() => 200);
  // It fails at the first attempt of some events.
  const met = new Set<string>();
  const failed = new Set<string>();
  flaky.respond = ({ id }) => {
    if (met.has(id)) return 200;
    if (met.add(id).size % 30 === 0) failed.add(id);
    return failed.has(id) ? 500 : 200;
  };
  const made: Made[] = [];
  for (const receiver of receivers) {
    const webhook = await create(await receiver.start(), { concurrency: 1 + Math.floor(random() * 8) });
    receiver.secrets = [webhook.secret];
    made.push(webhook);
  }
  mailbox.beforeAnswer = () => pause(random() * 10);
  const subscribe = (to: string, more: object = {}) =>
    server.post<Subscription>('/api/v1/subscriptions', { channel: 'email', party: 'waste', to, ...more });
  const mailed = [
    await subscribe('at-once@city.example'),
    await subscribe('digest@city.example', { digest: { every: '10s' }, critical: 'waits' }),
  ];
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const dead = [
    await create(`http://127.0.0.1:${await freePort()}/`),
    await create(`http://127.0.0.1:${(silent.address() as { port: number }).port}/`),
  ];
  const url = () => `http://127.0.0.1:${server.httpPort}`;
  const stream = createSseReader({ url, key: ADMIN_KEY, last: '0' });
  const overSse = () => stream.received.map(({ event }) => event.id);
  const overMqtt = await readMqtt(server);

  let over = false;
  const filling = bins.map((bin) => fillAndEmpty(server, bin, () => over));
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(100 + random() * 600);
    await server.kill();
    await server.start();
  }
  await until(() => overSse().length > 150, 'events', 50);
  over = true;
  await Promise.all(filling);
  await server.settledLedger();
  const events = await allEvents(server);

  const look = () =>
    Promise.all([
      ...made.map(({ id }) => server.get<Webhook>(`/api/v1/webhooks/${id}`)),
      ...mailed.map(({ id }) => server.get<Webhook & { held: number }>(`/api/v1/subscriptions/${id}`)),
    ]);
  /** Returns what has not arrived yet. */
  const missing = async (): Promise<string[]> => {
    const waiting = (await look()).flatMap(({ id, waiting, cursor, ...one }) => {
      const held = 'held' in one ? one.held : 0;
      const isDone = waiting === 0 && held === 0 && cursor === events.at(-1)!.n;
      return isDone ? [] : `${id}: ${waiting} wait, ${held} are held, at ${cursor} of ${events.at(-1)!.n}`;
    });
    const received = { SSE: overSse(), MQTT: overMqtt.ids };
    const behind = Object.entries(received).filter(([, ids]) => new Set(ids).size < events.length);
    return [...waiting, ...behind.map(([name, ids]) => `${name}: ${new Set(ids).size} of ${events.length}`)];
  };
  let left: string[] = [];
  const isComplete = async () => {
    left = await missing();
    return left.length === 0;
  };
  await until(isComplete, () => left.join('; '), 100);
  await stream.end();
  await overMqtt.stop();

  for (const [i, { arrivals, bad }] of receivers.entries()) {
    expectComplete(
      `webhook ${i}`,
      arrivals.map(({ id }) => id),
      events,
    );
    expect(bad, `webhook ${i}: signatures`).toEqual([]);
  }
  for (const [to, least] of [
    // One incident is one mail: its alert and its ticket together.
    ['at-once@city.example', events.length / 2],
    ['digest@city.example', 1],
  ] as const) {
    const mails = mailbox.mails.filter((one) => one.to[0] === to);
    expect(mails.length).toBeGreaterThanOrEqual(least);
    // A mail that arrived twice, because the process died before it knew, has the same id.
    const once = new Map(mails.map((one) => [one.headers['message-id'], one.events]));
    expectComplete(to, [...once.values()].flat(), events);
    const ids = new Map(mails.map(({ headers, events: listed }) => [listed.join(' '), headers['message-id']]));
    for (const { headers, events: listed } of mails) expect(headers['message-id']).toBe(ids.get(listed.join(' ')));
  }
  expectComplete('SSE', overSse(), events);
  // A whole batch is published again that the broker had and the outbox had not recorded.
  expectComplete('MQTT', overMqtt.ids, events, 'any');
  expect(quick.arrivals.every(({ id, body }) => (JSON.parse(body) as { id: string }).id === id)).toBe(true);
  expect(failed.size, 'some got a 500 and were sent again').toBeGreaterThan(0);

  for (const { id } of dead) {
    const webhook = await server.get<Webhook>(`/api/v1/webhooks/${id}`);
    expect(webhook).toMatchObject({ enabled: true, waiting: events.length });
  }
  expect(await server.stop()).toBe(0);
});

import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DeliveryAttempt, NotifyProgress } from '../../../domain/index.ts';
import { createResultReader, createResultWriter, RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { migrate } from '../../../store/index.ts';
import { EMAIL, HOUR, MINUTE, WEBHOOK } from '../../kit/notify/kit.ts';
import { openNodes } from '../../kit/notify/nodes.ts';
import { runs } from '../../kit/runs.ts';
import { transition } from '../../kit/tickets/scene.ts';

const A = WEBHOOK.url;
const SECOND = 1_000;

/** The ids of the events that were accepted, each where it was the first time. */
const accepted = ({ sent }: ReturnType<typeof openNodes>, to: string) =>
  new Set(sent.filter((one) => one.to === to && one.outcome === 'delivered').flatMap(({ events }) => events));

const happen = (nodes: ReturnType<typeof openNodes>, id: string, group: string) => {
  nodes.state.apply(transition(id, 'firing', { group }));
  nodes.wakeAll();
};

test('deliveries - one node sends what every node has; whoever gets the duty next goes on, and sends nothing twice', async () => {
  const kit = openNodes(3);
  kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  happen(kit, '1.0', 'g1');
  await kit.time.pass(MINUTE);
  expect(kit.sent).toEqual([]);
  kit.nodes[1]!.hold(5);
  await kit.time.pass(5 * SECOND);
  expect(kit.sent.map(({ node, events }) => [node, events])).toEqual([
    [1, ['1.0-alert']],
    [1, ['t-1-0.1']],
  ]);
  expect(kit.log).toMatchObject([
    { duty: 'notify', revision: 5, attempts: [{ attempt: 1 }, { attempt: 1 }], asked: [] },
  ]);
  expect(kit.nodes.map((node) => node.waiting())).toEqual([0, 0, 0]);
  // Every node shows them with their attempts.
  const [first] = kit.nodes[2]!.notifier.webhooks.list({ limit: 1, after: null }).items;
  const { items } = kit.nodes[2]!.notifier.webhooks.deliveries(first!.id, { limit: 10, after: null });
  expect(items.map(({ state, attempts, outcome }) => [state, attempts, outcome])).toEqual([
    ['delivered', 1, 'delivered'],
    ['delivered', 1, 'delivered'],
  ]);
  kit.nodes[1]!.kill();
  kit.nodes[0]!.hold(6);
  happen(kit, '2.0', 'g2');
  await kit.time.pass(5 * SECOND);
  expect(kit.sent.slice(2).map(({ node, events }) => [node, events])).toEqual([
    [0, ['2.0-alert']],
    [0, ['t-2-0.1']],
  ]);
});

test('deliveries - one whose lease is over sends nothing more, also where nobody has told it; with a new one it goes on', async () => {
  const kit = openNodes(2);
  kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  kit.answer(() => 'failed');
  kit.nodes[0]!.hold(5);
  happen(kit, '1.0', 'g1');
  await kit.time.pass(SECOND);
  const before = kit.sent.length;
  expect(before).toBeGreaterThan(0);
  // Its retries become due.
  kit.nodes[0]!.expire(true);
  happen(kit, '2.0', 'g2');
  await kit.time.pass(HOUR);
  expect(kit.sent).toHaveLength(before);
  kit.nodes[0]!.hold(null);
  kit.nodes[0]!.expire(false);
  kit.answer(() => 'delivered');
  kit.nodes[0]!.hold(7);
  await kit.time.pass(HOUR);
  expect([...accepted(kit, A)].toSorted()).toEqual(['1.0-alert', '2.0-alert', 't-1-0.1', 't-2-0.1']);
});

test('deliveries - how often was tried, since when a receiver fails, and that it is disabled, is known to the next one', async () => {
  const kit = openNodes(2);
  const { id } = kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  kit.nodes[0]!.hold(1);
  kit.answer(() => 'failed');
  happen(kit, '1.0', 'g1');
  await kit.time.pass(10 * MINUTE);
  const [here, there] = kit.nodes.map(({ notifier }) => notifier.webhooks.get(id));
  expect(there).toEqual(here);
  expect(there!.failingSince).not.toBeNull();
  const tries = (node: number) => {
    const { items } = kit.nodes[node]!.notifier.webhooks.deliveries(id, { limit: 10, after: null });
    return items.map(({ events, attempts, dueAt }) => [events[0]!.id, attempts, dueAt]);
  };
  expect(tries(1)).toEqual(tries(0));
  expect(tries(1)[0]![1]).toBeGreaterThan(1);
  kit.nodes[0]!.hold(null);
  kit.nodes[1]!.hold(2);
  kit.answer(() => 'gone');
  await kit.time.pass(HOUR);
  expect(kit.nodes.map(({ notifier }) => notifier.webhooks.get(id).disabled?.reason)).toEqual(['gone', 'gone']);
});

test('deliveries - what is asked for at any node is sent by the one that has the duty, once', async () => {
  const kit = openNodes(3);
  const { id } = kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  kit.nodes[0]!.hold(1);
  happen(kit, '1.0', 'g1');
  await kit.time.pass(5 * SECOND);
  const { webhooks } = kit.nodes[2]!.notifier;
  const newest = webhooks.deliveries(id, { limit: 1, after: null }).items[0]!;
  webhooks.redeliver(id, newest.id, '9-0');
  webhooks.redeliver(id, newest.id, '9-0');
  await webhooks.redeliverRange(id, { by: 'number', from: 1, to: 1 }, '10-0');
  await kit.time.pass(5 * SECOND);
  expect(kit.sent.slice(2).map(({ node, events }) => [node, events])).toEqual([
    [0, [newest.events[0]!.id]],
    [0, ['1.0-alert']],
  ]);
  expect(kit.nodes.map((node) => node.waiting())).toEqual([0, 0, 0]);
});

test('deliveries - attempts of a lease older than the newest are not taken, what people ask for is', () => {
  const db = new DatabaseSync(':memory:');
  migrate(db, [RECEIVER_SCHEMA]);
  const writer = createResultWriter(db);
  const attempts = [{ receiver: 'r' } as DeliveryAttempt];
  const asked = [{ receiver: 'r', event: 'e', n: 1, cause: 'c' }];
  const of = (revision: number | null, more: Partial<NotifyProgress> = {}): NotifyProgress => ({
    ...{ duty: 'notify', revision, attempts, asked: [] },
    ...more,
  });
  const records = [of(3), of(7), of(3), of(3, { asked }), of(null, { attempts: [], asked }), of(7), of(8)];
  for (const [i, record] of records.entries()) writer.add(i + 1, record);
  const taken = createResultReader(db).after(0);
  expect(taken.map((one) => [one.seq, one.attempts.length, one.asked.length])).toEqual([
    [1, 1, 0],
    [2, 1, 0],
    [4, 0, 1],
    [5, 0, 1],
    [6, 1, 0],
    [7, 1, 0],
  ]);
});

test('deliveries - of what the log says of them, the newest 64 MiB are kept', () => {
  const db = new DatabaseSync(':memory:');
  migrate(db, [RECEIVER_SCHEMA]);
  const writer = createResultWriter(db);
  const text = 'x'.repeat(2 ** 20);
  const attempts = [{ receiver: 'r', text } as DeliveryAttempt];
  for (let seq = 1; seq <= 80; seq++) writer.add(seq, { duty: 'notify', revision: 1, attempts, asked: [] });
  expect(createResultReader(db).after(0).at(0)!.seq).toBe(17);
});

const steps = fc.array(
  fc.record({
    do: fc.constantFrom(
      ...(['happen', 'happen', 'happen', 'pass', 'pass', 'gain', 'gain', 'kill', 'lag', 'away', 'back'] as const),
    ),
    node: fc.nat({ max: 2 }),
    group: fc.constantFrom('g1', 'g2', 'g3'),
    /** Whether who had the duty before learns of it: a paused process does not. */
    isNotified: fc.boolean(),
    seconds: fc.constantFrom(0, 1, 2, 30),
    outcome: fc.constantFrom('delivered' as const, 'delivered' as const, 'unreachable' as const),
  }),
  { minLength: 5, maxLength: 40 },
);

const GAIN = { do: 'gain', node: 0, group: 'g1', isNotified: false, seconds: 0, outcome: 'delivered' } as const;
const HAPPEN = { ...GAIN, do: 'happen', seconds: 2 } as const;
/** Two nodes send the same events, as the first does not know that its lease is over: its second record is too late. */
const TWO_SEND = [GAIN, { ...GAIN, node: 1 }, HAPPEN, HAPPEN] as const;

test('deliveries - however the duty moves, nodes die, lag and lose the log: each event arrives, in order for its ticket', async () => {
  let [again, fenced] = [0, 0];
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const kit = openNodes(3);
      kit.people.webhooks().create(WEBHOOK, null);
      kit.people.subscriptions().create({ channel: 'email', settings: { ...EMAIL, digest: { every: '15m' } } });
      kit.wakeAll();
      let [revision, block] = [0, 0];
      for (const { do: what, node, group, isNotified, seconds, outcome } of script) {
        kit.answer(() => outcome);
        if (what === 'happen') happen(kit, `${++block}.0`, group);
        if (what === 'gain') {
          if (isNotified) for (const one of kit.nodes) one.hold(null);
          kit.nodes[node]!.hold(++revision);
        }
        if (what === 'kill') kit.nodes[node]!.kill();
        if (what === 'lag') kit.nodes[node]!.lag();
        if (what === 'away') kit.away(true);
        if (what === 'back') kit.away(false);
        await kit.time.pass(seconds * SECOND);
      }
      kit.away(false);
      kit.answer(() => 'delivered');
      for (const one of kit.nodes) {
        one.catchUp();
        one.hold(null);
      }
      await kit.time.pass(5 * SECOND);
      kit.nodes[revision % 3]!.hold(++revision);
      await kit.time.pass(24 * HOUR);
      const events = kit.state.events.page({ after: 0, limit: 1_000 }).items.map(({ event }) => event);
      expect([...accepted(kit, EMAIL.to)].sort()).toEqual(events.map(({ id }) => id).sort());
      const arrived = [...accepted(kit, A)];
      expect([...arrived].sort()).toEqual(events.map(({ id }) => id).sort());
      for (const subject of new Set(events.map((event) => event.subject))) {
        const ids = events.filter((event) => event.subject === subject).map(({ id }) => id);
        expect(arrived.filter((id) => ids.includes(id))).toEqual(ids);
      }
      again += kit.sent.filter(({ to, outcome }) => to === A && outcome === 'delivered').length - events.length;
      const revisions = kit.log.flatMap((one) => one.revision ?? []);
      fenced += revisions.filter((one, i) => one < Math.max(...revisions.slice(0, i + 1))).length;
    }),
    { numRuns: runs(25), examples: [[[...TWO_SEND]]] },
  );
  expect(again).toBeGreaterThan(0);
  expect(fenced).toBeGreaterThan(0);
}, 120_000);

test('deliveries - what another node has delivered is over, also where an attempt of this one is in no record', async () => {
  const kit = openNodes(2);
  kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  const late = Promise.withResolvers<'failed'>();
  kit.answer((node) => (node === 0 ? late.promise : 'delivered'));
  kit.nodes[0]!.hold(5);
  happen(kit, '1.0', 'g1');
  await kit.time.pass(SECOND);
  kit.nodes[0]!.lag();
  kit.nodes[0]!.hold(null);
  kit.nodes[1]!.hold(6);
  await kit.time.pass(5 * SECOND);
  late.resolve('failed');
  await kit.time.pass(5 * SECOND);
  kit.nodes[0]!.catchUp();
  kit.nodes[1]!.hold(null);
  kit.answer(() => 'delivered');
  kit.nodes[0]!.hold(7);
  await kit.time.pass(24 * HOUR);
  expect(kit.sent.filter(({ node, outcome }) => node === 0 && outcome === 'delivered')).toEqual([]);
  expect(kit.nodes.map((node) => node.waiting())).toEqual([0, 0]);
});

test('deliveries - a receiver that people enabled again stays enabled on a node that learns later why it was disabled', async () => {
  const kit = openNodes(2);
  const { id } = kit.people.webhooks().create(WEBHOOK, null);
  kit.wakeAll();
  kit.nodes[1]!.lag();
  kit.nodes[0]!.hold(1);
  kit.answer(() => 'gone');
  happen(kit, '1.0', 'g1');
  await kit.time.pass(5 * SECOND);
  const disabled = () => kit.nodes.map(({ notifier }) => notifier.webhooks.get(id).disabled?.reason ?? null);
  expect(disabled()).toEqual(['gone', null]);
  kit.answer(() => 'delivered');
  kit.people.webhooks().enable(id, 'deliver');
  kit.wakeAll();
  kit.nodes[1]!.catchUp();
  await kit.time.pass(5 * SECOND);
  expect(disabled()).toEqual([null, null]);
});

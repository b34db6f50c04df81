import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook as Standard } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { transition } from '../tickets/scene.ts';
import { HOUR, MINUTE, openNotifier, settled, WEBHOOK } from './notify-kit.ts';

const A = 'https://a.example/hook';
const B = 'https://b.example/hook';
const DAY = 24 * HOUR;
const create = (
  kit: ReturnType<typeof openNotifier>,
  changes: Partial<typeof WEBHOOK> = {},
  after: number | null = null,
) => kit.notifier.webhooks.create({ ...WEBHOOK, ...changes }, after);
const log = (kit: ReturnType<typeof openNotifier>, id: string) =>
  kit.notifier.webhooks.get(id).log.map(({ note }) => note);

describe('webhooks - the way of an event', () => {
  test('every event comes once, in order, with its own id, signed, as the CloudEvent that it is', async () => {
    const kit = openNotifier();
    const { secret } = create(kit);
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    const events = kit.state.events.page({ after: 0, limit: 9 }).items.map(({ event }) => event);
    expect(kit.poster.idsTo(A).sort()).toEqual(events.map(({ id }) => id).sort());
    for (const { headers, body, id } of kit.poster.posts) {
      const signature = new Standard(secret).sign(id, new Date(kit.time.now()), body);
      expect(headers).toMatchObject({
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'webhook-timestamp': String(kit.time.now() / 1_000),
        'webhook-signature': signature,
      });
      expect(JSON.parse(body)).toEqual(events.find((event) => event.id === id));
    }
  });

  test('events of one subject wait for each other, others do not', async () => {
    const kit = openNotifier();
    create(kit);
    const { promise, resolve } = Promise.withResolvers<'delivered'>();
    kit.poster.script = ({ id }) => (id === 't-1-0.1' ? promise : 'delivered');
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert', 't-1-0.1', '2.0-alert']);
    resolve('delivered');
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert', 't-1-0.1', '2.0-alert', 't-1-0.2']);
  });

  test('no more are under way at once than the webhook allows', async () => {
    const kit = openNotifier();
    create(kit, { concurrency: 3 });
    const held: (() => void)[] = [];
    kit.poster.script = () => new Promise((resolve) => held.push(() => resolve('delivered')));
    kit.incidents(5);
    await settled();
    expect(held).toHaveLength(3);
    held.shift()!();
    await settled();
    expect(held).toHaveLength(3);
    expect(kit.poster.posts).toHaveLength(4);
  });

  test.each([
    [{ types: ['city.lamppost.ticket.opened'] }, ['t-1-0.1']],
    [{ severities: ['critical'] }, ['2.0-alert', 't-1-0.2']],
    [{ districts: ['elsewhere'] }, []],
    [{ departments: ['environment'], types: ['city.lamppost.alert.firing'] }, ['1.0-alert', '2.0-alert']],
    [{ rules: ['pm25-unhealthy'] }, ['1.0-alert', '2.0-alert', 't-1-0.1', 't-1-0.2']],
  ] as const)('a filter of %j lets through %j', async (filter, ids) => {
    const kit = openNotifier();
    create(kit, { filter });
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'firing', { from: 'firing', severity: 'critical' });
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(ids);
  });

  test('an alert without a department passes no list of departments', async () => {
    const kit = openNotifier();
    create(kit, { filter: { departments: ['environment'] } });
    kit.happen('1.0', 'firing', { group: '~fault' });
    await settled();
    expect(kit.ids()).toEqual(['1.0-alert']);
    expect(kit.poster.posts).toEqual([]);
  });

  test('a webhook begins with the next event, or behind the one it names', async () => {
    const kit = openNotifier();
    kit.happen('1.0', 'firing');
    create(kit, { url: A });
    create(kit, { url: B }, 1);
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(['2.0-alert', 't-1-0.2']);
    expect(kit.poster.idsTo(B).sort()).toEqual(['2.0-alert', 't-1-0.1', 't-1-0.2']);
  });
});

describe('webhooks - failures', () => {
  test('a failure is tried again by the schedule with the same id and body, and given up in the end', async () => {
    const kit = openNotifier();
    const { id } = create(kit, { filter: { types: ['city.lamppost.alert.firing'] } });
    kit.poster.script = () => 'failed';
    kit.happen('1.0', 'firing');
    await kit.time.pass(5 * DAY);
    const { posts } = kit.poster;
    expect(posts).toHaveLength(10);
    expect(new Set(posts.map(({ id, body }) => id + body)).size).toBe(1);
    const minutes = posts.map(({ atMs }) => Math.round((atMs - posts[0]!.atMs) / MINUTE));
    expect(minutes).toEqual([0, 0, 5, 35, 155, 455, 1055, 1895, 3095, 4535]);
    const { items } = kit.notifier.webhooks.deliveries(id, { limit: 9, after: null });
    expect(items).toMatchObject([{ state: 'failed', outcome: 'failed', attempts: 10, dueAt: null }]);
    const { tries, request } = kit.notifier.webhooks.delivery(id, items[0]!.id);
    expect(tries).toHaveLength(10);
    expect(tries[9]).toMatchObject({ outcome: 'failed', answer: 'it was failed' });
    expect(JSON.parse(request.body)).toMatchObject({ id: '1.0-alert', specversion: '1.0' });
  });

  test('what is given up lets the next of its subject go', async () => {
    const kit = openNotifier();
    const { id } = create(kit, { filter: { types: ['city.lamppost.ticket.opened', 'city.lamppost.ticket.resolved'] } });
    kit.poster.script = (post) => (post.id === 't-1-0.1' ? 'refused' : 'delivered');
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await kit.time.pass(3 * DAY);
    expect(kit.poster.idsTo(A)).not.toContain('t-1-0.2');
    await kit.time.pass(2 * DAY);
    expect(kit.poster.idsTo(A).at(-1)).toBe('t-1-0.2');
    const { items } = kit.notifier.webhooks.deliveries(id, { limit: 9, after: null });
    expect(items.map(({ state }) => state)).toEqual(['delivered', 'failed']);
  });

  test('Retry-After holds the delivery back', async () => {
    const kit = openNotifier();
    create(kit, { filter: { types: ['city.lamppost.alert.firing'] } });
    kit.poster.retryAfterMs = HOUR;
    kit.poster.script = () => (kit.poster.posts.length === 1 ? 'throttled' : 'delivered');
    kit.happen('1.0', 'firing');
    await kit.time.pass(HOUR - 1);
    expect(kit.poster.posts).toHaveLength(1);
    await kit.time.pass(1);
    expect(kit.poster.posts).toHaveLength(2);
  });

  test('a receiver that answers 410 is disabled, and what waits for it stays', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.poster.script = () => 'gone';
    kit.happen('1.0', 'firing');
    await kit.time.pass(DAY);
    const webhook = kit.notifier.webhooks.get(id);
    expect(webhook).toMatchObject({ enabled: false, disabled: { reason: 'gone' }, waiting: 2 });
    expect(webhook.log[0]!.note).toContain('410');
    const before = kit.poster.posts.length;
    kit.incidents(2, 5);
    await kit.time.pass(DAY);
    expect(kit.poster.posts).toHaveLength(before);
  });

  test('one that is enabled again gets what it missed, or goes on from now', async () => {
    const kit = openNotifier();
    const [missed, skipped] = [create(kit, { url: A }), create(kit, { url: B })];
    kit.poster.script = () => 'gone';
    kit.happen('1.0', 'firing');
    await settled();
    kit.happen('2.0', 'resolved', { from: 'firing' });
    kit.poster.posts.length = 0;
    kit.poster.script = () => 'delivered';
    kit.notifier.webhooks.enable(missed.id, 'deliver');
    kit.notifier.webhooks.enable(skipped.id, 'skip');
    kit.happen('3.0', 'firing');
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(kit.ids().sort());
    expect(kit.poster.idsTo(B).sort()).toEqual(['3.0-alert', 't-3-0.1']);
    const { items } = kit.notifier.webhooks.deliveries(skipped.id, { limit: 9, after: null, state: 'skipped' });
    expect(items).toHaveLength(2);
  });

  test('a receiver that takes nothing for five days is disabled, with the reason', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.poster.script = () => 'unreachable';
    kit.incidents(1);
    await kit.time.pass(4 * DAY);
    kit.incidents(1, 2);
    await kit.time.pass(2 * DAY);
    expect(kit.notifier.webhooks.get(id)).toMatchObject({ enabled: false, disabled: { reason: 'failing' } });
    expect(log(kit, id)[0]).toContain('five days (last: unreachable, it was unreachable)');
  });

  test('a receiver that takes something now and then is not disabled', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.poster.script = (post) => (post.id === 't-1-0.1' ? 'failed' : 'delivered');
    kit.happen('1.0', 'firing');
    for (let day = 2; day < 9; day++) {
      kit.incidents(1, day);
      await kit.time.pass(DAY);
    }
    expect(kit.notifier.webhooks.get(id)).toMatchObject({ enabled: true, waiting: 0 });
  });

  test('a dead receiver delays nobody, and is asked with one at a time', async () => {
    const kit = openNotifier();
    create(kit, { url: A });
    create(kit, { url: B });
    let open = 0;
    let most = 0;
    kit.poster.script = ({ url }) => {
      if (url === B) return 'delivered';
      most = Math.max(most, ++open);
      return new Promise((resolve) => kit.time.after(15_000, () => resolve(--open < 0 ? 'failed' : 'timed-out')));
    };
    kit.incidents(10);
    await settled();
    expect(kit.poster.idsTo(B)).toHaveLength(20);
    await kit.time.pass(MINUTE);
    expect(most).toBe(4);
    most = 0;
    await kit.time.pass(10 * MINUTE);
    expect(most).toBe(1);
    kit.incidents(1, 50);
    await settled();
    expect(kit.poster.idsTo(B)).toHaveLength(22);
  });

  test('a receiver that comes back gets at once what waited because it was away', async () => {
    const kit = openNotifier();
    create(kit);
    kit.poster.script = () => 'unreachable';
    kit.incidents(10);
    await kit.time.pass(3 * HOUR);
    kit.poster.script = () => 'delivered';
    kit.poster.posts.length = 0;
    kit.incidents(1, 50);
    await settled();
    expect(kit.poster.posts).toHaveLength(22);
    expect(new Set(kit.poster.idsTo(A)).size).toBe(22);
  });

  test('what it refused for its own sake keeps its schedule', async () => {
    const kit = openNotifier();
    create(kit);
    kit.poster.script = ({ id }) => (id === '1.0-alert' ? 'refused' : 'delivered');
    kit.incidents(1);
    for (let i = 2; i < 30; i++) {
      await kit.time.pass(1_000);
      kit.incidents(1, i);
    }
    expect(kit.poster.idsTo(A).filter((id) => id === '1.0-alert')).toHaveLength(2);
  });
});

describe('webhooks - crashes and bounds', () => {
  test('after a kill between answer and note, the same event goes out again with the same id, and none is lost', async () => {
    const kit = openNotifier();
    create(kit);
    kit.poster.script = () => new Promise(() => {});
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert', 't-1-0.1']);
    kit.poster.script = () => 'delivered';
    kit.restart();
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert', 't-1-0.1', '1.0-alert', 't-1-0.1', '2.0-alert', 't-1-0.2']);
  });

  test('events that were added while nobody told are taken at the start', async () => {
    const kit = openNotifier();
    create(kit);
    await settled();
    kit.state.apply(transition('1.0', 'firing'));
    await settled();
    expect(kit.poster.posts).toEqual([]);
    kit.restart();
    await settled();
    expect(kit.poster.posts).toHaveLength(2);
  });

  test('a stop lets what is under way end, begins nothing more, and what it cuts off goes out after the next start', async () => {
    const kit = openNotifier();
    create(kit);
    const slow = Promise.withResolvers<'delivered'>();
    kit.poster.script = ({ id }) => (id === '1.0-alert' ? slow.promise : new Promise(() => {}));
    kit.happen('1.0', 'firing');
    await settled();
    const stopped = kit.notifier.stop(3_000);
    slow.resolve('delivered');
    await kit.time.pass(3_000);
    await stopped;
    await kit.notifier.stop(3_000);
    kit.poster.posts.length = 0;
    kit.poster.script = () => 'delivered';
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await kit.time.pass(HOUR);
    expect(kit.poster.posts).toEqual([]);
    kit.restart();
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(['2.0-alert', 't-1-0.1', 't-1-0.2']);
  });

  test('what waits for a receiver is bounded: the rest stays in the outbox until there is room', async () => {
    const kit = openNotifier({ page: 10, mostWaiting: 20 });
    const { id } = create(kit);
    kit.poster.script = () => 'unreachable';
    kit.incidents(40);
    await settled();
    expect(kit.notifier.webhooks.get(id)).toMatchObject({ waiting: 20, cursor: 20 });
    kit.poster.script = () => 'delivered';
    await kit.time.pass(6_000);
    expect(kit.notifier.webhooks.get(id)).toMatchObject({ waiting: 0, cursor: 80 });
    expect(new Set(kit.poster.idsTo(A)).size).toBe(80);
  });

  test('a receiver whose place is gone gets the oldest that there is, and its log says what was missed', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.notifier.webhooks.disable(id);
    kit.incidents(10);
    kit.state.outbox.published(20);
    kit.state.outbox.prune(4);
    kit.notifier.webhooks.enable(id, 'deliver');
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(kit.ids().sort());
    expect(kit.ids()).toHaveLength(4);
    expect(log(kit, id)[0]).toBe('events 1 to 16 were missed: the outbox no longer has them');
  });

  test('the file is for its owner alone: it holds secrets', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'lamppost-notify-')), 'deliveries.sqlite');
    const kit = openNotifier(undefined, path);
    create(kit);
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

import { describe, expect, test } from 'vitest';
import { HOUR, MINUTE, openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';

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

describe('webhooks - failures', () => {
  test('a failed delivery is retried on schedule with the same id and body, and given up in the end', async () => {
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
    expect(tries[9]).toMatchObject({ outcome: 'failed', response: 'it was failed' });
    expect(JSON.parse(request.body)).toMatchObject({ id: '1.0-alert', specversion: '1.0' });
  });

  test('after a delivery is given up, the next of its subject is sent', async () => {
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

  test('Retry-After delays the delivery', async () => {
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

  test('a receiver that responds with 410 is disabled, and its waiting deliveries stay', async () => {
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

  test('a receiver that is enabled again gets missed events, or skips them', async () => {
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

  test('a receiver that accepts nothing for five days is disabled, with the reason', async () => {
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

  test('a receiver that accepts an event now and then is not disabled', async () => {
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

  test('a dead receiver delays no other and gets one delivery at a time', async () => {
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

  test('a receiver that is reachable again gets at once what waited for it', async () => {
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

  test('a delivery that was refused keeps its schedule', async () => {
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

import { Webhook as Standard } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { HOUR, MINUTE, openNotifier, settled, T0, WEBHOOK } from '../../kit/notify/kit.ts';

const A = WEBHOOK.url;

describe('webhooks - secrets', () => {
  test('two secrets sign for a day after a rotation, then the new one; another rotation ends the first at once', async () => {
    const kit = openNotifier();
    const first = kit.notifier.webhooks.create(WEBHOOK, null);
    const { id } = first;
    const second = kit.notifier.webhooks.rotate(id);
    expect(second.secrets).toEqual([
      { createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null },
      { createdAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-02T00:00:00.000Z' },
    ]);
    const signed = async () => {
      await kit.notifier.webhooks.ping(id);
      return kit.poster.posts.at(-1)!;
    };
    const verifies = ({ body, headers }: Awaited<ReturnType<typeof signed>>) =>
      [first.secret, second.secret].map((secret) => {
        // The package uses the machine's clock, the test its own: sign again over the same time.
        const { 'webhook-id': msg, 'webhook-timestamp': at } = headers as Record<string, string>;
        const expected = new Standard(secret).sign(msg!, new Date(Number(at) * 1_000), body);
        return headers['webhook-signature']!.split(' ').includes(expected);
      });
    expect(verifies(await signed())).toEqual([true, true]);
    await kit.time.pass(24 * HOUR);
    expect(verifies(await signed())).toEqual([false, true]);
    const third = kit.notifier.webhooks.rotate(id);
    const fourth = kit.notifier.webhooks.rotate(id);
    expect(fourth.secrets).toHaveLength(2);
    expect(verifies(await signed())).toEqual([false, false]);
    expect(new Set([first.secret, second.secret, third.secret, fourth.secret]).size).toBe(4);
  });

  test('secrets and Authorization are never shown again', () => {
    const kit = openNotifier();
    const { id, secret } = kit.notifier.webhooks.create({ ...WEBHOOK, authorization: 'Bearer hidden' }, null);
    const shown = JSON.stringify([
      kit.notifier.webhooks.get(id),
      kit.notifier.webhooks.list({ limit: 9, after: null }),
      kit.notifier.webhooks.change(id, { description: 'x' }),
    ]);
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain('hidden');
    expect(shown).toContain('"authorization":true');
  });
});

describe('webhooks - administration', () => {
  test('a test message returns its result, also where the webhook is disabled', async () => {
    const kit = openNotifier();
    const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
    kit.notifier.webhooks.disable(id);
    kit.poster.script = () => 'unreachable';
    expect(await kit.notifier.webhooks.ping(id)).toMatchObject({
      state: 'failed',
      origin: 'ping',
      outcome: 'unreachable',
      events: [{ n: null, type: 'city.lamppost.ping' }],
      tries: [{ response: 'it was unreachable' }],
    });
    await kit.time.pass(24 * HOUR);
    expect(kit.poster.posts).toHaveLength(1);
    expect(JSON.parse(kit.poster.posts[0]!.body)).toMatchObject({ type: 'city.lamppost.ping', data: { webhook: id } });
  });

  test('a delivery is sent again with the same id', async () => {
    const kit = openNotifier();
    const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
    kit.happen('1.0', 'firing');
    await settled();
    const { items } = kit.notifier.webhooks.deliveries(id, { limit: 9, after: null, event: 't-1-0.1' });
    expect(items).toHaveLength(1);
    const again = kit.notifier.webhooks.redeliver(id, items[0]!.id);
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert', 't-1-0.1', 't-1-0.1']);
    expect(kit.poster.posts[2]!.body).toBe(kit.poster.posts[1]!.body);
    expect(kit.notifier.webhooks.delivery(id, again.id)).toMatchObject({ origin: 'redelivery', state: 'delivered' });
    const ping = await kit.notifier.webhooks.ping(id);
    expect(() => kit.notifier.webhooks.redeliver(id, ping.id)).toThrow('not redelivered');
  });

  test('the events of a range that match now are sent again, by number or by time', async () => {
    const kit = openNotifier();
    kit.incidents(600);
    const { id } = kit.notifier.webhooks.create(
      { ...WEBHOOK, filter: { types: ['city.lamppost.alert.firing'] } },
      null,
    );
    expect(await kit.notifier.webhooks.redeliverRange(id, { by: 'number', from: 3, to: 8 })).toBe(3);
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['2.0-alert', '3.0-alert', '4.0-alert']);
    const [from, to] = [T0 + 100 * MINUTE, T0 + 599 * MINUTE];
    expect(await kit.notifier.webhooks.redeliverRange(id, { by: 'time', from, to })).toBe(500);
    expect(await kit.notifier.webhooks.redeliverRange(id, { by: 'number', from: 9_000, to: 9_001 })).toBe(0);
    await kit.time.pass(MINUTE);
    expect(kit.poster.posts).toHaveLength(503);
  });

  test('waiting deliveries go to the new address', async () => {
    const kit = openNotifier();
    const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
    kit.poster.script = ({ url }) => (url === A ? 'unreachable' : 'delivered');
    kit.happen('1.0', 'firing');
    await settled();
    kit.notifier.webhooks.change(id, { url: 'https://new.example/' });
    await kit.time.pass(MINUTE);
    expect(kit.poster.idsTo('https://new.example/').sort()).toEqual(['1.0-alert', 't-1-0.1']);
    expect(kit.notifier.webhooks.get(id).log.map(({ note }) => note)).toEqual(['changed: url', 'created']);
  });

  test('a webhook that is deleted during a delivery leaves nothing behind', async () => {
    const kit = openNotifier();
    const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
    const { promise, resolve } = Promise.withResolvers<'failed'>();
    kit.poster.script = () => promise;
    kit.happen('1.0', 'firing');
    await settled();
    kit.notifier.webhooks.remove(id);
    resolve('failed');
    await kit.time.pass(24 * HOUR);
    expect(kit.poster.posts).toHaveLength(2);
    expect(() => kit.notifier.webhooks.get(id)).toThrow(`there is no webhook "${id}"`);
    kit.notifier.expire(kit.time.now());
    for (const table of ['deliveries', 'delivery_events', 'attempts', 'events', 'receivers', 'receiver_log']) {
      expect(kit.db.prepare(`select count(*) as n from ${table}`).get(), table).toEqual({ n: 0 });
    }
    for (const table of ['receivers', 'receiver_secrets', 'receiver_changes']) {
      expect(kit.state.db.prepare(`select count(*) as n from ${table}`).get(), table).toEqual({ n: 0 });
    }
  });

  test('old settled deliveries expire, waiting ones stay', async () => {
    const kit = openNotifier();
    const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
    kit.poster.script = (post) => (post.id === '1.0-alert' ? 'failed' : 'delivered');
    kit.happen('1.0', 'firing');
    await kit.time.pass(HOUR);
    expect(kit.notifier.expire(kit.time.now() - 2 * HOUR)).toBe(0);
    expect(kit.notifier.expire(kit.time.now())).toBe(1);
    const { items } = kit.notifier.webhooks.deliveries(id, { limit: 9, after: null });
    expect(items.map(({ events }) => events[0]!.id)).toEqual(['1.0-alert']);
    expect(kit.db.prepare('select count(*) as n from events').get()).toEqual({ n: 1 });
  });

  test('lists are paged by cursor', async () => {
    const kit = openNotifier();
    const ids = [1, 2, 3].map((n) => kit.notifier.webhooks.create({ ...WEBHOOK, party: `group:g${n % 2}` }, null).id);
    const first = kit.notifier.webhooks.list({ limit: 2, after: null });
    const second = kit.notifier.webhooks.list({ limit: 2, after: first.next });
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids.toSorted());
    expect(second.next).toBeNull();
    expect(kit.notifier.webhooks.list({ limit: 9, after: null, party: 'group:g1' }).items).toHaveLength(2);
    kit.incidents(5);
    await settled();
    const page = kit.notifier.webhooks.deliveries(ids[0]!, { limit: 4, after: null });
    const rest = kit.notifier.webhooks.deliveries(ids[0]!, { limit: 90, after: page.next });
    expect([...page.items, ...rest.items].map(({ id }) => Number(id))).toEqual(
      [...page.items, ...rest.items].map(({ id }) => Number(id)).toSorted((a, b) => b - a),
    );
    expect(page.items.length + rest.items.length).toBe(10);
    expect(kit.notifier.counts()).toEqual({ waiting: 0, enabled: 3, disabled: 0 });
  });
});

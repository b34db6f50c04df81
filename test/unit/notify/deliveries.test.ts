import { Webhook as Standard } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';

const A = 'https://a.example/hook';
const B = 'https://b.example/hook';
const create = (
  kit: ReturnType<typeof openNotifier>,
  changes: Partial<typeof WEBHOOK> = {},
  after: number | null = null,
) => kit.notifier.webhooks.create({ ...WEBHOOK, ...changes }, after);

describe('webhooks - delivery of events', () => {
  test('every event is delivered once, in order, with its own id, signed, as its CloudEvent', async () => {
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

  test('events of one subject are sent one at a time, others in parallel', async () => {
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

  test('no more deliveries are under way than the webhook allows', async () => {
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
  ] as const)('the filter %j passes %j', async (filter, ids) => {
    const kit = openNotifier();
    create(kit, { filter });
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'firing', { from: 'firing', severity: 'critical' });
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(ids);
  });

  test('an alert without a department matches no list of departments', async () => {
    const kit = openNotifier();
    create(kit, { filter: { departments: ['environment'] } });
    kit.happen('1.0', 'firing', { group: '~fault' });
    await settled();
    expect(kit.ids()).toEqual(['1.0-alert']);
    expect(kit.poster.posts).toEqual([]);
  });

  test('a webhook begins at the next event, or after a given one', async () => {
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

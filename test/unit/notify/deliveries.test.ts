import { Webhook as Standard } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { createFormats } from '../../../notify/formats/index.ts';
import { CITY, openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';
import { cloudEventOf } from '../../kit/receiver.ts';

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

  test('in binary mode the attributes are headers and the signed body is the data; sent again it is the same', async () => {
    const kit = openNotifier();
    const { id, secret } = create(kit, { format: 'cloudevents-binary', authorization: 'Bearer abc' });
    kit.happen('1.0', 'firing');
    await settled();
    const [alert, ticket] = kit.state.events.page({ after: 0, limit: 9 }).items.map(({ event }) => event);
    expect(kit.poster.posts.map(cloudEventOf)).toEqual([alert, ticket]);
    for (const { headers, body, id: event } of kit.poster.posts) {
      const signature = new Standard(secret).sign(event, new Date(kit.time.now()), body);
      expect(headers).toMatchObject({
        'content-type': 'application/json',
        'ce-id': event,
        'ce-specversion': '1.0',
        authorization: 'Bearer abc',
        'webhook-signature': signature,
      });
    }
    const [newest] = kit.notifier.webhooks.deliveries(id, { limit: 1, after: null }).items;
    const again = kit.notifier.webhooks.redeliver(id, newest!.id);
    await settled();
    expect(cloudEventOf(kit.poster.posts[2]!)).toEqual(ticket);
    const { request } = kit.notifier.webhooks.delivery(id, again.id);
    expect(request).toMatchObject({ contentType: 'application/json', headers: { 'ce-type': ticket!.type } });
    expect(JSON.parse(request.body)).toEqual(ticket!.data);
    // What waits keeps the form in which it was made.
    kit.poster.script = () => 'unreachable';
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    kit.notifier.webhooks.change(id, { format: 'cloudevents' });
    kit.poster.script = () => 'delivered';
    await kit.time.pass(60_000);
    const resolved = kit.state.events.page({ after: 2, limit: 9 }).items.map(({ event }) => event);
    expect(kit.poster.posts.slice(-2).map(cloudEventOf)).toEqual(resolved);
    await kit.notifier.webhooks.ping(id);
    expect(kit.poster.posts.at(-1)!.headers['content-type']).toContain('application/cloudevents+json');
    expect(kit.poster.posts.at(-1)!.headers).not.toHaveProperty('ce-id');
  });

  test('in binary mode a header has only printable ASCII, whatever an attribute has', () => {
    const kit = openNotifier();
    kit.happen('1.0', 'firing');
    const { event } = kit.state.events.page({ after: 0, limit: 1 }).items[0]!;
    const formats = createFormats({ city: () => CITY, incidentOf: () => null, publicUrl: 'https://l.example' });
    const odd = { ...event, subject: 'sessions/a b"c"%41\r\nx: y\t临🙂\u007f~!' };
    const { contentType, headers, body } = formats['cloudevents-binary'].render({
      event: odd,
      webhook: 'w',
      earlier: [],
    });
    expect(headers!['ce-subject']).toBe('sessions/a%20b%22c%22%2541%0D%0Ax:%20y%09%E4%B8%B4%F0%9F%99%82%7F~!');
    expect(cloudEventOf({ headers: { ...headers, 'content-type': contentType }, body })).toEqual(odd);
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

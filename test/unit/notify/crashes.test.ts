import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HOUR, MINUTE, openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';
import { transition } from '../../kit/tickets/scene.ts';

const A = 'https://a.example/hook';
const create = (
  kit: ReturnType<typeof openNotifier>,
  changes: Partial<typeof WEBHOOK> = {},
  after: number | null = null,
) => kit.notifier.webhooks.create({ ...WEBHOOK, ...changes }, after);
const log = (kit: ReturnType<typeof openNotifier>, id: string) =>
  kit.notifier.webhooks.get(id).log.map(({ note }) => note);

describe('webhooks - crashes and bounds', () => {
  test('after a kill between response and record, the event is sent again with the same id, and none is lost', async () => {
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

  test('events that were added while the notifier was stopped are taken at the start', async () => {
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

  test('a stop waits for attempts under way and begins no more; aborted ones are made again after the next start', async () => {
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

  test('the queue of a receiver is bounded: more events stay in the outbox until there is room', async () => {
    const kit = openNotifier({ page: 10, mostWaiting: 20, mostSettled: 1_000 });
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

  test('of what was delivered, the newest are kept; the log of a receiver has its newest 50 lines', async () => {
    const kit = openNotifier({ page: 10, mostWaiting: 100, mostSettled: 30 });
    const { id } = create(kit);
    const count = (table: string) => Number(kit.db.prepare(`select count(*) as n from ${table}`).get()?.n);
    for (let i = 0; i < 20; i++) {
      kit.incidents(10, 1 + i * 10);
      await settled();
      for (let j = 0; j < 5; j++) kit.notifier.webhooks.change(id, { description: `${i} ${j}` });
      // 30 of 2 events each time, and those of the pages since they were last counted.
      expect(count('deliveries')).toBeLessThanOrEqual(60);
    }
    expect(kit.poster.idsTo(A)).toHaveLength(400);
    expect(count('events')).toBeLessThanOrEqual(60);
    expect(count('attempts')).toBe(count('deliveries'));
    expect([count('receiver_log'), log(kit, id)[0]]).toEqual([50, 'changed: description']);
  });

  test('a receiver whose place is gone continues at the oldest event, and its log says what it missed', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.notifier.webhooks.disable(id);
    kit.incidents(10);
    kit.state.outbox.prune(4);
    kit.notifier.webhooks.enable(id, 'deliver');
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(kit.ids().sort());
    expect(kit.ids()).toHaveLength(4);
    expect(log(kit, id)[0]).toBe('events 1 to 16 were missed: the outbox no longer has them');
  });

  test('after the loss of the outbox receivers begin at the start of the new one; after a restored older one, at its end', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.incidents(5);
    await settled();
    kit.poster.posts.length = 0;
    kit.state.db.exec('delete from outbox where n > 4');
    kit.restart();
    await settled();
    expect(log(kit, id)[0]).toBe('the outbox went back to event 4: delivery continues from there');
    kit.incidents(1, 6);
    await settled();
    expect(kit.poster.idsTo(A).sort()).toEqual(['6.0-alert', 't-6-0.1']);

    kit.poster.posts.length = 0;
    kit.state.db.exec("delete from outbox; update outbox_store set name = 'other'");
    kit.restart();
    kit.incidents(2, 7);
    await settled();
    expect(log(kit, id)[0]).toBe('the outbox is a new one: delivery continues from its start');
    expect(kit.poster.posts).toHaveLength(4);
  });

  test('only the owner can read the file: it holds secrets', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'lamppost-notify-')), 'deliveries.sqlite');
    const kit = openNotifier(undefined, path);
    create(kit);
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('on a full disk results wait until there is room, and none is lost', async () => {
    const kit = openNotifier();
    const { id } = create(kit);
    kit.happen('1.0', 'firing');
    await settled();
    const pages = kit.db.prepare('pragma page_count').get()!.page_count;
    kit.db.exec(`pragma max_page_count = ${pages}`);
    kit.incidents(60, 2);
    await settled();
    await kit.time.pass(MINUTE);
    expect(kit.notifier.webhooks.get(id).cursor).toBeLessThan(122);
    kit.db.exec('pragma max_page_count = 1000000');
    await kit.time.pass(MINUTE);
    expect(kit.notifier.webhooks.get(id)).toMatchObject({ cursor: 122, waiting: 0, enabled: true });
    expect(new Set(kit.poster.idsTo(A))).toEqual(new Set(kit.ids()));
  });

  test('an event that cannot be rendered is noted in the log and skipped; other events are delivered', async () => {
    const kit = openNotifier();
    const { id } = create(kit, { format: 'alertmanager', filter: { severities: ['high'] } });
    const broken = { id: 'broken', type: 'city.lamppost.ticket.opened', subject: 'tickets/x', data: null };
    kit.state.db
      .prepare(
        "insert into outbox (id, type, subject, time, district, severity, rule, body) values ('broken', 't', 's', '', '', '', '', ?)",
      )
      .run(JSON.stringify(broken));
    kit.happen('1.0', 'firing');
    await settled();
    expect(kit.poster.idsTo(A)).toEqual(['1.0-alert']);
    expect(log(kit, id)[0]).toMatch(/^event 1 \(broken\) cannot be delivered: /);
  });

  test('an error inside the channel is a failed attempt with its reason', async () => {
    const kit = openNotifier();
    const { id } = create(kit, { filter: { types: ['city.lamppost.alert.firing'] } });
    kit.poster.script = () => {
      throw new TypeError('a bug');
    };
    kit.happen('1.0', 'firing');
    await settled();
    const { items } = kit.notifier.webhooks.deliveries(id, { limit: 1, after: null });
    expect(items).toMatchObject([{ state: 'pending', outcome: 'failed', attempts: 1 }]);
    expect(kit.notifier.webhooks.delivery(id, items[0]!.id).tries[0]!.response).toBe('at Lamppost: a bug');
  });
});

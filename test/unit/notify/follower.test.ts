import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { sealedReceivers } from '../../../app/recorded.ts';
import { NOTIFY_SCHEMA } from '../../../notify/schema.ts';
import { openDatabase } from '../../../store/index.ts';
import { EMAIL, openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';
import { sealer } from '../../kit/notify/people.ts';

const A = 'https://a.example/hook';
type Kit = ReturnType<typeof openNotifier>;
const notes = (kit: Kit, id: string) => kit.notifier.webhooks.get(id).log.map(({ note }) => note);

test('following - what people set while the notifier is down is followed at its start, in its order and once', async () => {
  const kit = openNotifier();
  const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
  await kit.notifier.stop(0);
  kit.incidents(3);
  kit.people.decide((writer, at) => writer.disable('webhook', id, at));
  kit.people.decide((writer, at) => writer.changeWebhook(id, { description: 'd' }, at));
  kit.people.decide((writer, at) => writer.enable('webhook', id, 'skip', at));
  const added = kit.people.decide((writer, at) => writer.addWebhook({ settings: WEBHOOK, after: 4, secret: 's' }, at));
  kit.restart();
  kit.restart();
  await settled();
  const [newest, ...others] = ['enabled; missed events are skipped', 'changed: description'];
  expect(notes(kit, id)).toEqual([newest, ...others, 'disabled: an administrator disabled it', 'created']);
  expect(kit.notifier.webhooks.get(id)).toMatchObject({ enabled: true, cursor: 6, waiting: 0 });
  expect(kit.notifier.webhooks.get(added)).toMatchObject({ cursor: 6 });
  expect(notes(kit, added)).toEqual(['created']);
});

test('following - a receiver that was deleted goes with its deliveries; its number is never used again', async () => {
  const kit = openNotifier();
  kit.poster.script = () => 'unreachable';
  const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
  kit.incidents(2);
  await settled();
  kit.notifier.webhooks.remove(id);
  const { id: other } = kit.notifier.webhooks.create(WEBHOOK, null);
  expect(other).not.toBe(id);
  await settled();
  expect(kit.notifier.webhooks.get(other)).toMatchObject({ cursor: 4, waiting: 0 });
  expect(kit.notifier.counts()).toMatchObject({ enabled: 1, waiting: 0 });
});

test('following - where the deliveries are lost, receivers go on, and the newest events are delivered again', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-follow-'));
  const kit = openNotifier(undefined, join(dir, 'deliveries.sqlite'));
  const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
  const { id: off } = kit.notifier.webhooks.create(WEBHOOK, null);
  kit.notifier.webhooks.disable(off);
  kit.incidents(2);
  await settled();
  const before = kit.poster.idsTo(A);
  kit.db.exec('delete from receivers; delete from followed');
  kit.restart();
  await settled();
  expect(kit.poster.idsTo(A)).toEqual([...before, ...before]);
  expect(notes(kit, id)[0]).toContain('how far it was is lost');
  expect(kit.notifier.webhooks.get(off)).toMatchObject({ enabled: false });
  rmSync(dir, { recursive: true });
});

test('following - a secret that was sealed with another key sends nothing; events wait until it is rotated', async () => {
  const kit = openNotifier();
  const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
  kit.state.db.exec("update receiver_secrets set sealed = 'v1.of another key'");
  kit.people.decide((writer, at) => writer.changeWebhook(id, { description: 'read again' }, at));
  kit.incidents(1);
  await settled();
  expect(kit.poster.posts).toEqual([]);
  const [first] = kit.notifier.webhooks.deliveries(id, { limit: 9, after: null }).items.toReversed();
  expect(kit.notifier.webhooks.delivery(id, first!.id).tries[0]!.response).toContain('its secret cannot be read');
  kit.state.db.exec('delete from receiver_secrets');
  const { secret } = kit.notifier.webhooks.rotate(id);
  await kit.time.pass(6_000);
  expect(kit.poster.posts).toHaveLength(2);
  const [{ body, headers }] = kit.poster.posts as [(typeof kit.poster.posts)[number]];
  const at = new Date(Number(headers['webhook-timestamp']) * 1_000);
  expect(new Webhook(secret).sign(headers['webhook-id']!, at, body)).toBe(headers['webhook-signature']);
});

test('following - what an action sends is sent once, however often it is asked for', async () => {
  const kit = openNotifier();
  const { id } = kit.notifier.webhooks.create(WEBHOOK, null);
  kit.incidents(1);
  await settled();
  kit.poster.posts.length = 0;
  const { webhooks } = kit.people.raw();
  const pinged = await webhooks.ping(id, '90-0');
  expect((await webhooks.ping(id, '90-0')).id).toBe(pinged.id);
  const again = webhooks.redeliver(id, '1', '91-0');
  await settled();
  expect(webhooks.redeliver(id, '1', '91-0').id).toBe(again.id);
  const range = { by: 'number', from: 1, to: 2 } as const;
  expect(await webhooks.redeliverRange(id, range, '92-0')).toBe(2);
  await webhooks.redeliverRange(id, range, '92-0');
  await settled();
  expect(kit.poster.idsTo(A)).toHaveLength(1 + 1 + 2);
});

/** A file of deliveries as the version before made it: step 4 is the last that had what people set. */
function fileOfBefore(path: string): void {
  const db = openDatabase(path, { schemas: [{ ...NOTIFY_SCHEMA, steps: NOTIFY_SCHEMA.steps.slice(0, 4) }] });
  const webhook = { ...WEBHOOK, authorization: 'Bearer in-clear' };
  const insert = db.prepare('insert into receivers values (?, ?, ?, ?, ?, null, 1, 2)');
  insert.run('wh-old', 'webhook', JSON.stringify(webhook), 3, null);
  insert.run('sub-old', 'email', JSON.stringify(EMAIL), 4, 'by-admin');
  db.exec(`
    insert into secrets (receiver, secret, created_at, expires_at) values
      ('wh-old', 'whsec_Zmlyc3Q=', 1, 9), ('wh-old', 'whsec_c2Vjb25k', 2, null);
    insert into receiver_log (receiver, at, note) values ('wh-old', 1, 'created');
    insert into webhook_subscriptions values ('sub-over', 'wh-old', 'cleaners', '{"types":[]}', 5, 6);
    insert into events values ('e1', 1, 't', 's', '{}');
    insert into deliveries (receiver, lane, state, origin, due_at, created_at, content_type)
      values ('wh-old', 's', 'pending', 'event', 1, 1, 'x');
    insert into delivery_events values (1, 0, 'e1')`);
  db.close();
}

test('following - receivers from before they were records are taken over once, with all that they had, and leave the file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-follow-'));
  const path = join(dir, 'deliveries.sqlite');
  fileOfBefore(path);
  const kit = openNotifier(undefined, path);
  expect(kit.notifier.counts()).toEqual({ waiting: 0, enabled: 0, disabled: 0 });
  const earlier = kit.people.raw().earlier();
  expect(earlier.map(({ definition: { id }, ...one }) => [id, one.secrets, one.subscriptions])).toEqual([
    ['sub-old', [], []],
    [
      'wh-old',
      [
        { secret: 'whsec_c2Vjb25k', createdAt: 2, expiresAt: null },
        { secret: 'whsec_Zmlyc3Q=', createdAt: 1, expiresAt: 9 },
      ],
      [{ id: 'sub-over', webhook: 'wh-old', party: 'cleaners', filter: { types: [] }, createdAt: 5, updatedAt: 6 }],
    ],
  ]);
  const adopt = () => kit.people.decide((writer, at) => writer.adopt(sealedReceivers(earlier, sealer), at));
  expect(adopt()).toBe(2);
  const { log, ...webhook } = kit.notifier.webhooks.get('wh-old');
  expect(webhook).toMatchObject({ enabled: true, cursor: 3, waiting: 1, authorization: true, url: WEBHOOK.url });
  expect(webhook.secrets).toMatchObject([{ createdAt: '1970-01-01T00:00:00.002Z', expiresAt: null }]);
  expect(log.map(({ note }) => note)).toEqual(['created']);
  expect(kit.notifier.subscriptions.get('sub-old')).toMatchObject({ to: EMAIL.to, enabled: false, cursor: 4 });
  expect(kit.notifier.subscriptions.get('sub-over')).toMatchObject({ webhook: 'wh-old', party: 'cleaners' });
  expect(kit.people.raw().earlier()).toEqual([]);
  expect(adopt()).toBe(0);
  for (const file of readdirSync(dir)) {
    const bytes = readFileSync(join(dir, file));
    for (const clear of ['whsec_c2Vjb25k', 'in-clear'])
      expect(bytes.includes(clear), `${clear} in ${file}`).toBe(false);
  }
  rmSync(dir, { recursive: true });
});

test('following - a change of hours moves what is held for a digest', async () => {
  const kit = openNotifier();
  const settings = { ...EMAIL, digest: { every: '1h' } };
  const { id } = kit.notifier.subscriptions.create({ channel: 'email', settings });
  kit.incidents(1);
  await settled();
  expect(kit.notifier.subscriptions.get(id)).toMatchObject({ held: 2 });
  kit.notifier.subscriptions.change(id, { digest: null });
  await kit.time.pass(1_000);
  expect(kit.mailer.mails).toHaveLength(1);
});

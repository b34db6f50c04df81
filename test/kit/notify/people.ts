import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../../domain/index.ts';
import type { OutboxReader } from '../../../events/index.ts';
import {
  type createNotifier,
  createReceiverWriter,
  createSealer,
  type EmailSettings,
  type EventRange,
  type NewSubscription,
  newWebhookSecret,
  type ReceiverWriter,
  type WebhookSettings,
} from '../../../notify/index.ts';
import { transact } from '../../../store/index.ts';

export const sealer = createSealer('the key of these tests, which is long enough');

interface Parts {
  /** The state file, which has the definitions. */
  readonly db: DatabaseSync;
  readonly outbox: Pick<OutboxReader, 'head'>;
  readonly clock: Clock;
  readonly notifier: () => ReturnType<typeof createNotifier>;
}

/** What people do with receivers, decided at once as the engine does at the place of their record. */
export function peopleOf({ db, outbox, clock, notifier }: Parts) {
  const writer = createReceiverWriter(db, outbox.head);
  let seq = 0;
  function decide<T>(work: (writer: ReceiverWriter, at: Parameters<ReceiverWriter['rotate']>[2]) => T): T {
    const done = transact(db, () => work(writer, { atMs: clock.now(), seq: ++seq, item: 0 }));
    notifier().appended();
    return done;
  }
  const cause = () => `${++seq}-0`;
  return {
    decide,
    /** The notifier itself. */
    raw: () => notifier(),
    webhooks: () => ({
      ...notifier().webhooks,
      create({ authorization, ...settings }: WebhookSettings, after: number | null) {
        const secret = newWebhookSecret();
        const sealed = authorization === null ? null : sealer.seal(authorization);
        const webhook = { settings: { ...settings, authorization: sealed }, after, secret: sealer.seal(secret) };
        const id = decide((writer, at) => writer.addWebhook(webhook, at));
        const { log: _, ...made } = notifier().webhooks.get(id);
        return { ...made, secret };
      },
      change(id: string, settings: Partial<WebhookSettings>) {
        decide((writer, at) => writer.changeWebhook(id, settings, at));
        return notifier().webhooks.get(id);
      },
      rotate(id: string) {
        const secret = newWebhookSecret();
        decide((writer, at) => writer.rotate(id, sealer.seal(secret), at));
        return { secret, secrets: notifier().webhooks.get(id).secrets };
      },
      remove: (id: string) => decide((writer, at) => writer.remove('webhook', id, at)),
      enable(id: string, missed: 'deliver' | 'skip') {
        decide((writer, at) => writer.enable('webhook', id, missed, at));
        return notifier().webhooks.get(id);
      },
      disable(id: string) {
        decide((writer, at) => writer.disable('webhook', id, at));
        return notifier().webhooks.get(id);
      },
      ping: (id: string) => notifier().webhooks.ping(id, cause()),
      redeliver: (id: string, delivery: string) => notifier().webhooks.redeliver(id, delivery, cause()),
      redeliverRange: (id: string, range: EventRange) => notifier().webhooks.redeliverRange(id, range, cause()),
    }),
    subscriptions: () => ({
      ...notifier().subscriptions,
      create(subscription: NewSubscription) {
        const id = decide((writer, at) => writer.addSubscription(subscription, at));
        const { log: _, ...made } = notifier().subscriptions.get(id);
        return made;
      },
      change(id: string, settings: Partial<EmailSettings>) {
        decide((writer, at) => writer.changeSubscription(id, settings, at));
        return notifier().subscriptions.get(id);
      },
      remove: (id: string) => decide((writer, at) => writer.remove('email', id, at)),
      enable(id: string, missed: 'deliver' | 'skip') {
        decide((writer, at) => writer.enable('email', id, missed, at));
        return notifier().subscriptions.get(id);
      },
      disable(id: string) {
        decide((writer, at) => writer.disable('email', id, at));
        return notifier().subscriptions.get(id);
      },
      test: (id: string) => notifier().subscriptions.test(id, cause()),
      redeliver: (id: string, delivery: string) => notifier().subscriptions.redeliver(id, delivery, cause()),
    }),
  };
}

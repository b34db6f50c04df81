import { randomBytes } from 'node:crypto';
import { type Clock, isoOf, LamppostError, type Page } from '../domain/index.ts';
import { createDesk, type Desk, type DeskDeps, type Standing } from './desk.ts';
import type { EmailChannel } from './email/channel.ts';
import type { DeliveryDetail } from './log.ts';
import type { EmailReceiver, EmailSettings, ReceiverFilter } from './receiver.ts';
import type { ReceiverNote } from './receivers.ts';
import { durably } from './schema.ts';
import type { WebhookSubscription, WebhookSubscriptionStore } from './webhook-subscriptions.ts';
import { NOTES } from './webhooks.ts';

/** What a party wants by e-mail, and how it stands. */
export type EmailSubscription = { readonly id: string; readonly channel: 'email' } & EmailSettings & Standing;

/** What a party wants over a webhook. */
export type OverWebhook = Omit<WebhookSubscription, 'createdAt' | 'updatedAt'> & {
  readonly channel: 'webhook';
  readonly createdAt: string;
  readonly updatedAt: string;
};

/** A subscription as it is shown. Times ISO 8601 UTC. */
export type Subscription = EmailSubscription | OverWebhook;
export type SubscriptionDetail = Subscription & { readonly log: readonly ReceiverNote[] };

/** What is asked for. */
export type SubscriptionRequest =
  | ({ readonly channel: 'email' } & EmailSettings)
  | { readonly channel: 'webhook'; readonly webhook: string; readonly party: string; readonly filter: ReceiverFilter };

type DeskPart = Pick<Desk<EmailReceiver>, 'deliveries' | 'delivery' | 'redeliver'>;

/** What an administrator does with subscriptions. Each throws `not-found` where there is no such one; what concerns mail only, `conflict` for one over a webhook. */
export interface Subscriptions extends DeskPart {
  /** From the next event on. Throws `invalid` where there is no such webhook, or no mail server is set. */
  create(request: SubscriptionRequest): Subscription;
  list(query: { limit: number; after: string | null; party?: string }): Page<Subscription>;
  get(id: string): SubscriptionDetail;
  /** What is given, is changed. What waits for a digest goes by the new hours. */
  change(id: string, settings: Partial<EmailSettings>): SubscriptionDetail;
  remove(id: string): void;
  enable(id: string, missed: 'deliver' | 'skip'): SubscriptionDetail;
  disable(id: string): SubscriptionDetail;
  /** One attempt with a test mail. */
  test(id: string): Promise<DeliveryDetail>;
}

/** What the administration needs. */
export interface SubscriptionsDeps extends DeskDeps {
  readonly clock: Clock;
  readonly channel: EmailChannel;
  readonly overWebhooks: WebhookSubscriptionStore;
  /** Whether a mail server is set. */
  readonly canMail: boolean;
  /** Aborted at the stop. */
  readonly ended: AbortSignal;
}

/** Makes the administration of subscriptions. */
export function createSubscriptions(deps: SubscriptionsDeps): Subscriptions {
  const { db, clock, outbox, receivers, held, channel, overWebhooks, appended, ended } = deps;
  const desk = createDesk(deps, 'email');

  const shown = (receiver: EmailReceiver): Subscription => ({
    id: receiver.id,
    channel: 'email',
    ...receiver.settings,
    ...desk.standing(receiver),
  });

  function detail(id: string): SubscriptionDetail {
    const over = overWebhooks.get(id);
    if (over !== null) return { ...overShown(over), log: [] };
    return { ...shown(desk.known(id)), log: receivers.notes(id, NOTES) };
  }

  /** An id of a subscription by mail. */
  function mailed(id: string): string {
    const over = overWebhooks.get(id);
    if (over === null) return id;
    const where = `ask webhook "${over.webhook}"`;
    throw new LamppostError(
      'conflict',
      `subscription "${id}" goes over a webhook, which has this for all that it is sent: ${where}`,
    );
  }

  function createMailed(settings: EmailSettings): string {
    if (!deps.canMail) {
      throw new LamppostError(
        'invalid',
        'channel: there is no mail server: start Lamppost with SMTP_URL and SMTP_FROM',
      );
    }
    const id = newId();
    durably(db, () => {
      receivers.insert({ id, kind: 'email', settings, cursor: outbox.head() });
      receivers.note(id, 'created');
    });
    return id;
  }

  function createOver(request: Extract<SubscriptionRequest, { channel: 'webhook' }>): string {
    if (receivers.get(request.webhook)?.kind !== 'webhook') {
      throw new LamppostError('invalid', `webhook: there is no webhook "${request.webhook}"`);
    }
    const id = newId();
    durably(db, () => overWebhooks.insert({ ...request, id }));
    return id;
  }

  function changeOver(over: WebhookSubscription, settings: Partial<EmailSettings>): void {
    const { party = over.party, filter = over.filter, ...others } = settings;
    const [other] = Object.keys(others);
    if (other !== undefined) {
      throw new LamppostError(
        'invalid',
        `${other}: is of mail; a subscription over a webhook has a party and a filter`,
      );
    }
    durably(db, () => overWebhooks.change(over.id, { party, filter }));
  }

  function changeMailed(id: string, settings: Partial<EmailSettings>): void {
    const next = { ...desk.known(id).settings, ...settings };
    desk.changed(id, `changed: ${Object.keys(settings).join(', ')}`, () => {
      receivers.change(id, next);
      const plan = channel.plan(next);
      held.move(id, plan.kind === 'hold' ? plan.untilMs : clock.now());
    });
    appended();
  }

  return {
    create({ channel: by, ...settings }) {
      const id =
        by === 'email' ? createMailed(settings as EmailSettings) : createOver({ channel: by, ...settings } as never);
      const { log: _, ...subscription } = detail(id);
      return subscription;
    },
    list({ limit, after, party }) {
      const mail = (receivers.list('email', after) as EmailReceiver[]).map(shown);
      const all = [...mail, ...overWebhooks.list(after).map(overShown)].sort((a, b) => (a.id < b.id ? -1 : 1));
      const items = party === undefined ? all : all.filter((one) => one.party === party);
      return { items: items.slice(0, limit), next: items.length > limit ? items[limit - 1]!.id : null };
    },
    get: detail,
    change(id, settings) {
      const over = overWebhooks.get(id);
      if (Object.keys(settings).length === 0) return detail(id);
      if (over === null) changeMailed(id, settings);
      else changeOver(over, settings);
      return detail(id);
    },
    remove(id) {
      if (overWebhooks.get(id) === null) desk.remove(id);
      else durably(db, () => overWebhooks.remove(id));
    },
    enable(id, missed) {
      desk.enable(mailed(id), missed);
      return detail(id);
    },
    disable(id) {
      desk.disable(mailed(id));
      return detail(id);
    },
    async test(id) {
      const receiver = desk.known(mailed(id));
      const event = `ping-${randomBytes(9).toString('hex')}`;
      const message = {
        contentType: 'multipart/alternative',
        body: JSON.stringify(channel.testMail(receiver.settings)),
      };
      const answer = await channel.test(receiver, event, ended);
      return desk.tested(id, { event, message, answer });
    },
    deliveries: (id, query) => desk.deliveries(mailed(id), query),
    delivery: (id, delivery) => desk.delivery(mailed(id), delivery),
    redeliver: (id, delivery) => desk.redeliver(mailed(id), delivery),
  };
}

const newId = () => `sub-${randomBytes(9).toString('hex')}`;

function overShown({ createdAt, updatedAt, ...over }: WebhookSubscription): OverWebhook {
  return { ...over, channel: 'webhook', createdAt: isoOf(createdAt), updatedAt: isoOf(updatedAt) };
}

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Clock } from '../domain/index.ts';
import type { ReceiverFilter } from './receiver.ts';

/** What a party wants over a webhook that is there: it gets this besides what its own filter lets through, once. */
export interface WebhookSubscription {
  readonly id: string;
  /** Id of the webhook. */
  readonly webhook: string;
  readonly party: string;
  readonly filter: ReceiverFilter;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Subscriptions over webhooks; the caller holds the transaction. */
export interface WebhookSubscriptionStore {
  filtersOf(webhook: string): ReceiverFilter[];
  get(id: string): WebhookSubscription | null;
  /** In order of id; those after `after`. */
  list(after: string | null): WebhookSubscription[];
  insert(subscription: Pick<WebhookSubscription, 'id' | 'webhook' | 'party' | 'filter'>): void;
  change(id: string, changed: Pick<WebhookSubscription, 'party' | 'filter'>): void;
  remove(id: string): boolean;
}

/** Makes the store over a file that `openDeliveries` opened. */
export function createWebhookSubscriptionStore(db: DatabaseSync, clock: Clock): WebhookSubscriptionStore {
  const filters = db.prepare('select filter from webhook_subscriptions where webhook = ?');
  const one = db.prepare('select * from webhook_subscriptions where id = ?');
  const some = db.prepare('select * from webhook_subscriptions where id > ? order by id');
  const insert = db.prepare('insert into webhook_subscriptions values (?, ?, ?, ?, ?, ?)');
  const change = db.prepare('update webhook_subscriptions set party = ?, filter = ?, updated_at = ? where id = ?');
  const remove = db.prepare('delete from webhook_subscriptions where id = ?');
  return {
    filtersOf: (webhook) => filters.all(webhook).map(({ filter }) => JSON.parse(String(filter)) as ReceiverFilter),
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : subscriptionOf(row);
    },
    list: (after) => some.all(after ?? '').map(subscriptionOf),
    insert({ id, webhook, party, filter }) {
      insert.run(id, webhook, party, JSON.stringify(filter), clock.now(), clock.now());
    },
    change: (id, { party, filter }) => void change.run(party, JSON.stringify(filter), clock.now(), id),
    remove: (id) => Number(remove.run(id).changes) > 0,
  };
}

function subscriptionOf({
  id,
  webhook,
  party,
  filter,
  created_at,
  updated_at,
}: Record<string, SQLOutputValue>): WebhookSubscription {
  return {
    id: String(id),
    webhook: String(webhook),
    party: String(party),
    filter: JSON.parse(String(filter)) as ReceiverFilter,
    createdAt: Number(created_at),
    updatedAt: Number(updated_at),
  };
}

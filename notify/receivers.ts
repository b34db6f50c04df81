import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { type Clock, isoOf, type ShapeOf } from '../domain/index.ts';
import type { DisableReason, Receiver, ReceiverFilter } from './receiver.ts';

const when = z.iso.datetime();

/** The log of a receiver: what was changed, missed or disabled. */
export const ReceiverLogSchema = z
  .array(z.object({ at: when, note: z.string() }))
  .readonly()
  .describe('Newest first');
type ReceiverLog = ShapeOf<typeof ReceiverLogSchema>;

/** The secrets that sign at present, without their values. */
export const ActiveSecretsSchema = z
  .array(z.object({ createdAt: when, expiresAt: when.nullable() }))
  .readonly()
  .describe('The secrets that sign, newest first; `expiresAt` is null until a secret is rotated');
type ActiveSecrets = ShapeOf<typeof ActiveSecretsSchema>;

/** Receivers, their secrets and their logs. The caller holds the transaction. */
export interface ReceiverRepository {
  get(id: string): Receiver | null;
  /** Returns receivers in the order of their ids, those after `after`. */
  list(kind: Receiver['kind'], after?: string | null): Receiver[];
  enabled(): Receiver[];
  insert(receiver: Pick<Receiver, 'id' | 'kind' | 'settings' | 'cursor'>): void;
  change(id: string, settings: Receiver['settings']): void;
  remove(id: string): void;
  moveTo(id: string, cursor: number): void;
  failing(id: string, since: number | null): void;
  /** Disables a receiver, or enables it where the reason is null; ends its run of failures. */
  disable(id: string, reason: DisableReason | null): void;
  /** Adds a line to the receiver's log. */
  note(id: string, note: string): void;
  log(id: string): ReceiverLog;
  /** Adds the secret that signs from now on. The one before it signs beside it for `overlapMs`; older ones end now. */
  addSecret(id: string, secret: string, overlapMs: number): void;
  /** Returns the secrets that sign, newest first. */
  secrets(id: string): string[];
  activeSecrets(id: string): ActiveSecrets;
}

/** Lines of a receiver's log that are kept. */
const LOG_LINES = 50;

/** Creates the repository over a database from `openDeliveries`. */
export function createReceiverRepository(db: DatabaseSync, clock: Clock): ReceiverRepository {
  const one = db.prepare('select * from receivers where id = ?');
  const some = db.prepare('select * from receivers where kind = ? and id > ? order by id');
  const enabled = db.prepare('select * from receivers where disabled is null order by id');
  const insert = db.prepare('insert into receivers values (?, ?, ?, ?, null, null, ?, ?)');
  const change = db.prepare('update receivers set settings = ?, updated_at = ? where id = ?');
  const remove = db.prepare('delete from receivers where id = ?');
  const moveTo = db.prepare('update receivers set cursor = ? where id = ?');
  const failing = db.prepare('update receivers set failing_since = ? where id = ?');
  const disable = db.prepare('update receivers set disabled = ?, failing_since = null where id = ?');
  const note = db.prepare('insert into receiver_log (receiver, at, note) values (?, ?, ?)');
  const forget = db.prepare(`
    delete from receiver_log where receiver = ?1
      and n <= (select n from receiver_log where receiver = ?1 order by n desc limit 1 offset ?2)`);
  const log = db.prepare('select at, note from receiver_log where receiver = ? order by n desc limit ?');
  const addSecret = db.prepare('insert into secrets (receiver, secret, created_at) values (?, ?, ?)');
  // The current secret ends after the overlap; one that is already ending ends now.
  const endSecrets = db.prepare('delete from secrets where receiver = ? and expires_at is not null');
  const endLater = db.prepare('update secrets set expires_at = ? where receiver = ?');
  const active = db.prepare(`
    select secret, created_at as createdAt, expires_at as expiresAt from secrets
    where receiver = ? and (expires_at is null or expires_at > ?) order by n desc`);

  return {
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : receiverOf(row);
    },
    list: (kind, after = null) => some.all(kind, after ?? '').map(receiverOf),
    enabled: () => enabled.all().map(receiverOf),
    insert({ id, kind, settings, cursor }) {
      const now = clock.now();
      insert.run(id, kind, JSON.stringify(settings), cursor, now, now);
    },
    change: (id, settings) => void change.run(JSON.stringify(settings), clock.now(), id),
    remove: (id) => void remove.run(id),
    moveTo: (id, cursor) => void moveTo.run(cursor, id),
    failing: (id, since) => void failing.run(since, id),
    disable: (id, reason) => void disable.run(reason, id),
    note(id, text) {
      note.run(id, clock.now(), text);
      forget.run(id, LOG_LINES);
    },
    log: (id) => log.all(id, LOG_LINES).map((row) => ({ at: isoOf(Number(row.at)), note: String(row.note) })),
    addSecret(id, secret, overlapMs) {
      endSecrets.run(id);
      endLater.run(clock.now() + overlapMs, id);
      addSecret.run(id, secret, clock.now());
    },
    secrets: (id) => active.all(id, clock.now()).map(({ secret }) => String(secret)),
    activeSecrets: (id) =>
      active.all(id, clock.now()).map(({ createdAt, expiresAt }) => ({
        createdAt: isoOf(Number(createdAt)),
        expiresAt: expiresAt === null ? null : isoOf(Number(expiresAt)),
      })),
  };
}

function receiverOf(row: Readonly<Record<string, SQLOutputValue>>): Receiver {
  const receiver = {
    id: String(row.id),
    kind: row.kind as Receiver['kind'],
    settings: JSON.parse(String(row.settings)) as Receiver['settings'],
    disabled: row.disabled as Receiver['disabled'],
    cursor: Number(row.cursor),
    failingSince: row.failing_since === null ? null : Number(row.failing_since),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
  return receiver as Receiver;
}

/** A party's subscription over an existing webhook: the webhook also gets what this filter matches, each event once. */
export interface WebhookSubscription {
  readonly id: string;
  /** Id of the webhook. */
  readonly webhook: string;
  readonly party: string;
  readonly filter: ReceiverFilter;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Subscriptions over webhooks. The caller holds the transaction. */
export interface WebhookSubscriptionRepository {
  filtersOf(webhook: string): ReceiverFilter[];
  get(id: string): WebhookSubscription | null;
  /** Returns subscriptions in the order of their ids, those after `after`. */
  list(after: string | null): WebhookSubscription[];
  insert(subscription: Pick<WebhookSubscription, 'id' | 'webhook' | 'party' | 'filter'>): void;
  change(id: string, changed: Pick<WebhookSubscription, 'party' | 'filter'>): void;
  remove(id: string): void;
}

/** Creates the repository over a database from `openDeliveries`. */
export function createWebhookSubscriptionRepository(db: DatabaseSync, clock: Clock): WebhookSubscriptionRepository {
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
    remove: (id) => void remove.run(id),
  };
}

function subscriptionOf(row: Readonly<Record<string, SQLOutputValue>>): WebhookSubscription {
  return {
    id: String(row.id),
    webhook: String(row.webhook),
    party: String(row.party),
    filter: JSON.parse(String(row.filter)) as ReceiverFilter,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}

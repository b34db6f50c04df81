import type { DatabaseSync } from 'node:sqlite';
import { DAY_MS, LamppostError } from '../domain/index.ts';
import {
  createDefinitionReader,
  type Definition,
  ITEMS,
  type ReceiverChange,
  type WebhookSubscription,
} from './definitions.ts';
import { DISABLE_REASONS, type EmailSettings, type Receiver, type WebhookSettings } from './receiver.ts';

/** What people call a kind of receiver. */
export const NOUNS = { webhook: 'webhook', email: 'subscription' } as const;
type Kind = Receiver['kind'];

/** A place in the log. */
export interface At {
  readonly atMs: number;
  readonly seq: number;
  /** Number within the block. */
  readonly item: number;
}

/** A webhook to add; `authorization` and `secret` are sealed. */
export interface NewWebhook {
  readonly settings: WebhookSettings;
  /** The event after which it begins; null: the newest one. */
  readonly after: number | null;
  readonly secret: string;
}

/** A subscription to add. */
export type NewSubscription =
  | { readonly channel: 'email'; readonly settings: EmailSettings }
  | ({ readonly channel: 'webhook' } & Pick<WebhookSubscription, 'webhook' | 'party' | 'filter'>);

/** A receiver from before receivers were records; its secrets, newest first, are sealed. */
export interface EarlierReceiver {
  readonly definition: Definition;
  readonly secrets: readonly {
    readonly sealed: string;
    readonly createdAt: number;
    readonly expiresAt: number | null;
  }[];
  readonly subscriptions: readonly WebhookSubscription[];
}

/**
 * Decides what people set of webhooks and subscriptions, in the order of the log. The caller holds the transaction. A
 * refusal changes nothing. Each method throws `not-found` where there is no such receiver.
 */
export interface ReceiverWriter {
  /** Returns the id, which follows from the place. */
  addWebhook(webhook: NewWebhook, at: At): string;
  changeWebhook(id: string, settings: Partial<WebhookSettings>, at: At): void;
  /** Adds the secret that signs from now on; the one before it signs beside it for a day. */
  rotate(id: string, secret: string, at: At): void;
  /** Returns the id. Throws `invalid` where there is no such webhook. */
  addSubscription(subscription: NewSubscription, at: At): string;
  /** Throws `invalid` for what a subscription over a webhook does not have. */
  changeSubscription(id: string, settings: Partial<EmailSettings>, at: At): void;
  /** Deletes a webhook with the subscriptions over it, or a subscription. */
  remove(kind: Kind, id: string, at: At): void;
  /** Goes on where it stopped, or, with `skip`, after the newest event. */
  enable(kind: Kind, id: string, missed: 'deliver' | 'skip', at: At): void;
  disable(kind: Kind, id: string, at: At): void;
  /** Throws `not-found`, and `conflict` for a subscription over a webhook, which sends nothing itself. */
  requireSender(kind: Kind, id: string): void;
  /** Takes over receivers from before they were records; those that are here stay as they are. Returns how many. */
  adopt(receivers: readonly EarlierReceiver[], at: At): number;
}

const OVERLAP_MS = DAY_MS;
/** Changes of a receiver that are kept: as many as its log shows. */
const CHANGES = 50;

/** Returns the writer over a file with `RECEIVER_SCHEMA`. `newestEvent`: the number of the outbox's newest event. */
export function createReceiverWriter(db: DatabaseSync, newestEvent: () => number): ReceiverWriter {
  const definitions = createDefinitionReader(db);
  const sql = statements(db);

  function touch({ seq, item }: At): number {
    const n = seq * ITEMS + item;
    sql.version.run(n);
    return n;
  }

  function note(id: string, kind: ReceiverChange['kind'], text: string, at: At, skipTo: number | null = null): void {
    const n = touch(at);
    sql.note.run(id, n, at.atMs, kind, text, skipTo);
    sql.forget.run(id, CHANGES);
  }

  function find<K extends Kind>(kind: K, id: string): Extract<Definition, { kind: K }> {
    const found = definitions.get(id);
    if (found?.kind === kind) return found as Extract<Definition, { kind: K }>;
    throw new LamppostError('not-found', `there is no ${NOUNS[kind]} "${id}"`);
  }

  function refuseOver(id: string): void {
    const over = definitions.subscription(id);
    if (over === null) return;
    const remedy = `use webhook "${over.webhook}", which has this for everything that it is sent`;
    throw new LamppostError('conflict', `subscription "${id}" goes over a webhook: ${remedy}`);
  }

  function sender(kind: Kind, id: string): Definition {
    if (kind === 'email') refuseOver(id);
    return find(kind, id);
  }

  function insert(kind: Kind, id: string, settings: Receiver['settings'], after: number, at: At): void {
    sql.insert.run(id, kind, JSON.stringify(settings), after, at.atMs, at.atMs);
    note(id, 'created', 'created', at);
  }

  function change(id: string, settings: Receiver['settings'], names: readonly string[], at: At): void {
    sql.change.run(JSON.stringify(settings), at.atMs, id);
    note(id, 'changed', `changed: ${names.join(', ')}`, at);
  }

  function changeOver(over: WebhookSubscription, settings: Partial<EmailSettings>, at: At): void {
    const { party = over.party, filter = over.filter, ...others } = settings;
    const [other] = Object.keys(others);
    if (other !== undefined) {
      const text = `${other}: applies to mail only; a subscription over a webhook has a party and a filter`;
      throw new LamppostError('invalid', text);
    }
    sql.changeOver.run(party, JSON.stringify(filter), at.atMs, over.id);
    touch(at);
  }

  function adoptOne({ definition, secrets, subscriptions }: EarlierReceiver): boolean {
    const { id, kind, settings, enabled, afterEvent, createdAt, updatedAt } = definition;
    if (definitions.get(id) !== null) return false;
    sql.adopt.run(id, kind, JSON.stringify(settings), enabled ? 1 : 0, afterEvent, createdAt, updatedAt);
    for (const [i, one] of secrets.toReversed().entries())
      sql.addSecret.run(id, i, one.sealed, one.createdAt, one.expiresAt);
    for (const one of subscriptions)
      sql.insertOver.run(one.id, id, one.party, JSON.stringify(one.filter), one.createdAt, one.updatedAt);
    return true;
  }

  return {
    addWebhook({ settings, after, secret }, at) {
      const id = `wh-${at.seq}-${at.item}`;
      insert('webhook', id, settings, after ?? newestEvent(), at);
      sql.addSecret.run(id, 0, secret, at.atMs, null);
      return id;
    },
    changeWebhook(id, settings, at) {
      const found = find('webhook', id);
      const names = Object.keys(settings);
      if (names.length > 0) change(id, { ...found.settings, ...settings }, names, at);
    },
    rotate(id, secret, at) {
      find('webhook', id);
      // A secret that is already ending ends now.
      sql.endSecrets.run(id);
      sql.endLater.run(at.atMs + OVERLAP_MS, id);
      sql.addSecret.run(id, touch(at), secret, at.atMs, null);
      note(id, 'changed', 'secret rotated', at);
    },
    addSubscription(subscription, at) {
      const id = `sub-${at.seq}-${at.item}`;
      if (subscription.channel === 'email') {
        insert('email', id, subscription.settings, newestEvent(), at);
        return id;
      }
      const { webhook, party, filter } = subscription;
      if (definitions.get(webhook)?.kind !== 'webhook')
        throw new LamppostError('invalid', `webhook: there is no webhook "${webhook}"`);
      sql.insertOver.run(id, webhook, party, JSON.stringify(filter), at.atMs, at.atMs);
      touch(at);
      return id;
    },
    changeSubscription(id, settings, at) {
      const over = definitions.subscription(id);
      const found = over === null ? find('email', id) : null;
      const names = Object.keys(settings);
      if (names.length === 0) return;
      if (over !== null) changeOver(over, settings, at);
      else change(id, { ...found!.settings, ...settings }, names, at);
    },
    remove(kind, id, at) {
      if (kind === 'email' && definitions.subscription(id) !== null) sql.removeOver.run(id);
      else sql.remove.run(find(kind, id).id);
      touch(at);
    },
    enable(kind, id, missed, at) {
      sender(kind, id);
      sql.enable.run(1, id);
      const text = missed === 'skip' ? 'enabled; missed events are skipped' : 'enabled';
      note(id, 'enabled', text, at, missed === 'skip' ? newestEvent() : null);
    },
    disable(kind, id, at) {
      sender(kind, id);
      sql.enable.run(0, id);
      note(id, 'disabled', `disabled: ${DISABLE_REASONS['by-admin']}`, at);
    },
    requireSender: (kind, id) => void sender(kind, id),
    adopt(receivers, at) {
      touch(at);
      return receivers.filter(adoptOne).length;
    },
  };
}

function statements(db: DatabaseSync) {
  return {
    version: db.prepare('insert or replace into receivers_version values (1, ?)'),
    insert: db.prepare('insert into receivers values (?, ?, ?, 1, ?, ?, ?)'),
    adopt: db.prepare('insert into receivers values (?, ?, ?, ?, ?, ?, ?)'),
    change: db.prepare('update receivers set settings = ?, updated_at = ? where id = ?'),
    enable: db.prepare('update receivers set enabled = ? where id = ?'),
    remove: db.prepare('delete from receivers where id = ?'),
    note: db.prepare('insert into receiver_changes values (?, ?, ?, ?, ?, ?)'),
    forget: db.prepare(`
      delete from receiver_changes where receiver = ?1
        and n <= (select n from receiver_changes where receiver = ?1 order by n desc limit 1 offset ?2)`),
    addSecret: db.prepare('insert into receiver_secrets values (?, ?, ?, ?, ?)'),
    endSecrets: db.prepare('delete from receiver_secrets where receiver = ? and expires_at is not null'),
    endLater: db.prepare('update receiver_secrets set expires_at = ? where receiver = ?'),
    insertOver: db.prepare('insert into webhook_subscriptions values (?, ?, ?, ?, ?, ?)'),
    changeOver: db.prepare('update webhook_subscriptions set party = ?, filter = ?, updated_at = ? where id = ?'),
    removeOver: db.prepare('delete from webhook_subscriptions where id = ?'),
  };
}

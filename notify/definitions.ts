import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { RoomSchema } from '../store/index.ts';
import type { EmailSettings, ReceiverFilter, WebhookSettings } from './receiver.ts';
import { RESULTS_STEP } from './results.ts';

/**
 * Webhooks and subscriptions as people set them, in the state file: the engine writes them in the order of the log.
 * What must be in clear to be sent is sealed. `receiver_changes` is what the notify thread has to follow; `n` grows
 * with the log, so that it is never used twice.
 */
export const RECEIVER_SCHEMA: RoomSchema = {
  room: 'receivers',
  steps: [
    `
  create table receivers (
    id text primary key, kind text not null, settings text not null, enabled integer not null,
    after_event integer not null, created_at integer not null, updated_at integer not null
  ) strict, without rowid;
  create table receiver_secrets (
    receiver text not null references receivers on delete cascade, n integer not null, sealed text not null,
    created_at integer not null, expires_at integer, primary key (receiver, n)
  ) strict, without rowid;
  create table receiver_changes (
    receiver text not null references receivers on delete cascade, n integer not null, at integer not null,
    kind text not null, note text not null, skip_to integer, primary key (receiver, n)
  ) strict, without rowid;
  create index receiver_changes_n on receiver_changes (n);
  create table webhook_subscriptions (
    id text primary key, webhook text not null references receivers on delete cascade, party text not null,
    filter text not null, created_at integer not null, updated_at integer not null
  ) strict, without rowid;
  create index webhook_subscriptions_of on webhook_subscriptions (webhook);
  create table receivers_version (one integer primary key check (one = 1), n integer not null) strict;
`,
    RESULTS_STEP,
  ],
};

/** Changes that one block may have: their numbers follow those of the block before. */
export const ITEMS = 1_024;

interface Defined {
  readonly id: string;
  /** False: an administrator disabled it. */
  readonly enabled: boolean;
  /** The event after which it began. */
  readonly afterEvent: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A receiver as people set it. The `authorization` of a webhook is sealed. */
export type Definition = Defined &
  (
    | { readonly kind: 'webhook'; readonly settings: WebhookSettings }
    | { readonly kind: 'email'; readonly settings: EmailSettings }
  );

/** A change of a receiver, for those who follow. */
export interface ReceiverChange {
  readonly n: number;
  readonly receiver: string;
  readonly at: number;
  readonly kind: 'created' | 'changed' | 'enabled' | 'disabled';
  readonly note: string;
  /** The event after which it goes on, where what it missed is skipped; null: where it stopped. */
  readonly skipTo: number | null;
}

/** A secret that signs; times in epoch ms. */
export interface SealedSecret {
  readonly receiver: string;
  readonly sealed: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
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

/** All that people have set, as of one moment. */
export interface Definitions {
  /** Grows with every change. */
  readonly version: number;
  readonly receivers: ReadonlyMap<string, Definition>;
  /** Of webhooks, newest first; those that have ended may be among them. */
  readonly secrets: ReadonlyMap<string, readonly SealedSecret[]>;
  /** Over webhooks, in order of id. */
  readonly subscriptions: readonly WebhookSubscription[];
  /** Those after the one that was asked for, in their order. */
  readonly changes: readonly ReceiverChange[];
}

/** Reads definitions over any connection to a file with `RECEIVER_SCHEMA`. */
export function createDefinitionReader(db: DatabaseSync) {
  const all = db.prepare('select * from receivers order by id');
  const one = db.prepare('select * from receivers where id = ?');
  const secrets = db.prepare('select * from receiver_secrets order by receiver, n desc');
  const overAll = db.prepare('select * from webhook_subscriptions order by id');
  const overOne = db.prepare('select * from webhook_subscriptions where id = ?');
  const newest = db.prepare('select n from receivers_version');
  const enabled = db.prepare("select max(n) as n from receiver_changes where receiver = ? and kind = 'enabled'");
  const changes = db.prepare('select * from receiver_changes where n > ? order by n');

  const version = () => Number(newest.get()?.n ?? 0);
  return {
    get(id: string): Definition | null {
      const row = one.get(id);
      return row === undefined ? null : definitionOf(row);
    },
    subscription(id: string): WebhookSubscription | null {
      const row = overOne.get(id);
      return row === undefined ? null : subscriptionOf(row);
    },
    /** Grows with every change of a receiver, a secret or a subscription; 0: there was none. */
    version,
    /** Returns the block of the log in which a receiver was enabled again last; 0: in none. */
    enabledIn: (id: string): number => Math.floor(Number(enabled.get(id)?.n ?? 0) / ITEMS),
    /** Returns everything, with the changes after a number. The connection must be in no transaction. */
    read(after: number): Definitions {
      db.exec('begin');
      try {
        return {
          version: version(),
          receivers: new Map(all.all().map((row) => [String(row.id), definitionOf(row)])),
          secrets: Map.groupBy(secrets.all().map(secretOf), ({ receiver }) => receiver),
          subscriptions: overAll.all().map(subscriptionOf),
          changes: changes.all(after).map(changeOf),
        };
      } finally {
        db.exec('commit');
      }
    },
  };
}

export type DefinitionReader = ReturnType<typeof createDefinitionReader>;

type Row = Readonly<Record<string, SQLOutputValue>>;

function definitionOf(row: Row): Definition {
  return {
    id: String(row.id),
    kind: row.kind,
    settings: JSON.parse(String(row.settings)),
    enabled: row.enabled === 1,
    afterEvent: Number(row.after_event),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  } as Definition;
}

function secretOf({ receiver, sealed, created_at, expires_at }: Row): SealedSecret {
  return {
    receiver: String(receiver),
    sealed: String(sealed),
    createdAt: Number(created_at),
    expiresAt: expires_at === null ? null : Number(expires_at),
  };
}

function subscriptionOf(row: Row): WebhookSubscription {
  return {
    id: String(row.id),
    webhook: String(row.webhook),
    party: String(row.party),
    filter: JSON.parse(String(row.filter)) as ReceiverFilter,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}

function changeOf(row: Row): ReceiverChange {
  return {
    n: Number(row.n),
    receiver: String(row.receiver),
    at: Number(row.at),
    kind: row.kind as ReceiverChange['kind'],
    note: String(row.note),
    skipTo: row.skip_to === null ? null : Number(row.skip_to),
  };
}

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Clock } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import type { DisableReason, Receiver } from './receiver.ts';

/** A line in the log of a receiver. */
export interface ReceiverNote {
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly note: string;
}

/** A secret that signs, without itself. */
export interface ActiveSecret {
  readonly createdAt: string;
  /** Null: until it is rotated. */
  readonly expiresAt: string | null;
}

/** Receivers, their secrets and their logs; the caller holds the transaction. */
export interface ReceiverStore {
  get(id: string): Receiver | null;
  /** In order of id; those after `after`. */
  list(kind: Receiver['kind'], after?: string | null): Receiver[];
  enabled(): Receiver[];
  insert(receiver: Pick<Receiver, 'id' | 'kind' | 'settings' | 'cursor'>): void;
  change(id: string, settings: Receiver['settings']): void;
  remove(id: string): boolean;
  moveTo(id: string, cursor: number): void;
  failing(id: string, since: number | null): void;
  disable(id: string, reason: DisableReason | null): void;
  note(id: string, note: string): void;
  notes(id: string, limit: number): ReceiverNote[];
  /** A secret that counts from now on; those before it for `overlapMs` more, and of these only the newest. */
  addSecret(id: string, secret: string, overlapMs: number): void;
  /** Newest first. */
  secrets(id: string): string[];
  activeSecrets(id: string): ActiveSecret[];
}

/** Makes the store over a file that `openDeliveries` opened. */
export function createReceiverStore(db: DatabaseSync, clock: Clock): ReceiverStore {
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
  const notes = db.prepare('select at, note from receiver_log where receiver = ? order by n desc limit ?');
  const addSecret = db.prepare('insert into secrets (receiver, secret, created_at) values (?, ?, ?)');
  // The one that counted until now ends later; one that was about to end, at once.
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
    remove: (id) => Number(remove.run(id).changes) > 0,
    moveTo: (id, cursor) => void moveTo.run(cursor, id),
    failing: (id, since) => void failing.run(since, id),
    disable: (id, reason) => void disable.run(reason, id),
    note: (id, text) => void note.run(id, clock.now(), text),
    notes: (id, limit) => notes.all(id, limit).map((row) => ({ at: isoOf(Number(row.at)), note: String(row.note) })),
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

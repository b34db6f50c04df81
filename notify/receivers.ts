import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { type Clock, isoOf, type ShapeOf } from '../domain/index.ts';
import type { Definition, SealedSecret, WebhookSubscription } from './definitions.ts';
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

/** What people set, as the notifier has last read it. */
export interface Defined {
  readonly receivers: ReadonlyMap<string, Definition>;
  /** Of webhooks, newest first. */
  readonly secrets: ReadonlyMap<string, readonly SealedSecret[]>;
  /** Over webhooks, in order of id. */
  readonly subscriptions: readonly WebhookSubscription[];
}

const NONE: Defined = { receivers: new Map(), secrets: new Map(), subscriptions: [] };

/**
 * Receivers as people set them, with how far their deliveries are, and their logs. The caller holds the transaction.
 */
export interface ReceiverRepository {
  get(id: string): Receiver | null;
  /** Returns receivers in the order of their ids, those after `after`. */
  list(kind: Receiver['kind'], after?: string | null): Receiver[];
  enabled(): Receiver[];
  moveTo(id: string, cursor: number): void;
  failing(id: string, since: number | null): void;
  /** Disables a receiver, or enables it where the reason is null; ends its run of failures. */
  disable(id: string, reason: DisableReason | null): void;
  /** Adds a line to the receiver's log. */
  note(id: string, note: string, atMs?: number): void;
  log(id: string): ReceiverLog;
  /** Returns the secrets that sign, newest first, sealed. */
  secrets(id: string): string[];
  activeSecrets(id: string): ActiveSecrets;
  /** Returns the filters of the subscriptions over a webhook. */
  filtersOf(webhook: string): ReceiverFilter[];
  /** Returns the subscriptions over webhooks in the order of their ids, those after `after`. */
  subscriptions(after?: string | null): WebhookSubscription[];
  subscription(id: string): WebhookSubscription | null;
  /** Uses these definitions from now on; the progress of each is there. */
  define(defined: Defined): void;
  /** Whether there is progress of a receiver. */
  has(id: string): boolean;
  /** The ids of all progress. */
  ids(): string[];
  /** Adds the progress of a receiver. */
  begin(id: string, cursor: number, disabled: DisableReason | null): void;
  /** Deletes the progress of a receiver, with its deliveries and its log. */
  remove(id: string): void;
}

/** Lines of a receiver's log that are kept. */
const LOG_LINES = 50;

/** Creates the repository over a database from `openDeliveries`. It knows no receiver before `define`. */
export function createReceiverRepository(db: DatabaseSync, clock: Clock): ReceiverRepository {
  let defined = NONE;
  const one = db.prepare('select * from receivers where id = ?');
  const all = db.prepare('select * from receivers order by id');
  const begin = db.prepare('insert into receivers (id, cursor, disabled) values (?, ?, ?)');
  const remove = db.prepare('delete from receivers where id = ?');
  const moveTo = db.prepare('update receivers set cursor = ? where id = ?');
  const failing = db.prepare('update receivers set failing_since = ? where id = ?');
  const disable = db.prepare('update receivers set disabled = ?, failing_since = null where id = ?');
  const note = db.prepare('insert into receiver_log (receiver, at, note) values (?, ?, ?)');
  const forget = db.prepare(`
    delete from receiver_log where receiver = ?1
      and n <= (select n from receiver_log where receiver = ?1 order by n desc limit 1 offset ?2)`);
  const log = db.prepare('select at, note from receiver_log where receiver = ? order by n desc limit ?');

  function receiverOf(row: Readonly<Record<string, SQLOutputValue>>): Receiver | null {
    const definition = defined.receivers.get(String(row.id));
    if (definition === undefined) return null;
    const { id, kind, settings, createdAt, updatedAt } = definition;
    const receiver = {
      ...{ id, kind, settings, createdAt, updatedAt },
      disabled: row.disabled as Receiver['disabled'],
      cursor: Number(row.cursor),
      failingSince: row.failing_since === null ? null : Number(row.failing_since),
    };
    return receiver as Receiver;
  }

  const listed = () => all.all().flatMap((row) => receiverOf(row) ?? []);
  const signing = (id: string) =>
    (defined.secrets.get(id) ?? []).filter(({ expiresAt }) => expiresAt === null || expiresAt > clock.now());

  return {
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : receiverOf(row);
    },
    list: (kind, after = null) => listed().filter((one) => one.kind === kind && (after === null || one.id > after)),
    enabled: () => listed().filter(({ disabled }) => disabled === null),
    moveTo: (id, cursor) => void moveTo.run(cursor, id),
    failing: (id, since) => void failing.run(since, id),
    disable: (id, reason) => void disable.run(reason, id),
    note(id, text, atMs = clock.now()) {
      note.run(id, atMs, text);
      forget.run(id, LOG_LINES);
    },
    log: (id) => log.all(id, LOG_LINES).map((row) => ({ at: isoOf(Number(row.at)), note: String(row.note) })),
    secrets: (id) => signing(id).map(({ sealed }) => sealed),
    activeSecrets: (id) =>
      signing(id).map(({ createdAt, expiresAt }) => ({ createdAt: isoOf(createdAt), expiresAt: isoOf(expiresAt) })),
    filtersOf: (webhook) => defined.subscriptions.filter((one) => one.webhook === webhook).map(({ filter }) => filter),
    subscriptions: (after = null) => defined.subscriptions.filter(({ id }) => after === null || id > after),
    subscription: (id) => defined.subscriptions.find((one) => one.id === id) ?? null,
    define(next) {
      defined = next;
    },
    has: (id) => one.get(id) !== undefined,
    ids: () => all.all().map(({ id }) => String(id)),
    begin: (id, cursor, disabled) => void begin.run(id, cursor, disabled),
    remove: (id) => void remove.run(id),
  };
}

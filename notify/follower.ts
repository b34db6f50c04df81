import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import type { Definition, DefinitionReader, Definitions, ReceiverChange } from './definitions.ts';
import type { EmailChannel } from './email/channel.ts';
import type { HeldEvents } from './email/digest.ts';
import type { DeliveryQueue } from './queue.ts';
import type { ReceiverRepository } from './receivers.ts';
import type { EarlierReceiver } from './writer.ts';

interface FollowerDeps {
  /** From `openDeliveries`. */
  readonly db: DatabaseSync;
  readonly definitions: DefinitionReader;
  readonly outbox: Pick<OutboxReader, 'head'>;
  readonly receivers: ReceiverRepository;
  readonly queue: Pick<DeliveryQueue, 'skip' | 'release'>;
  readonly held: Pick<HeldEvents, 'move' | 'clear'>;
  readonly email: Pick<EmailChannel, 'plan'>;
  readonly clock: Clock;
}

/** Where it is not known how far a receiver was, so many of the newest events are delivered again. */
export const AGAIN = 1_000;

/**
 * Brings the deliveries up to what people set: the engine decides that, in a file that this side only reads. Changes
 * are followed in their order, each once, over crashes.
 */
export class Follower {
  readonly #deps: FollowerDeps;
  /** The version of the definitions that was read last. */
  #version = -1;

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
  }

  /** Follows what has changed; returns the receivers that changed. Throws `disk`. */
  follow(): readonly string[] {
    const { db, definitions, receivers } = this.#deps;
    const version = definitions.version();
    if (version === this.#version) return [];
    const read = definitions.read(this.#followed() ?? Number.MAX_SAFE_INTEGER);
    // Plans of mail follow the new settings: a definition that could not be followed is followed again.
    const { changed, adopted } = transact(db, () => this.#take(read));
    receivers.define(read);
    this.#version = read.version;
    if (adopted.length > 0) this.#forget();
    return changed;
  }

  /** What was in clear leaves the free pages of the file, too; it is only tried, a backup may be copying the file. */
  #forget(): void {
    try {
      this.#deps.db.exec('vacuum; pragma wal_checkpoint(truncate)');
    } catch (error) {
      if (diskFault(error, '') === null) throw error;
    }
  }

  #followed(): number | null {
    const row = this.#deps.db.prepare('select n from followed').get();
    return row === undefined ? null : Number(row.n);
  }

  #take(read: Definitions): { readonly changed: readonly string[]; readonly adopted: readonly string[] } {
    const { db, receivers } = this.#deps;
    const earlier = new Set(earlierReceivers(db).map(({ definition: { id } }) => id));
    for (const definition of read.receivers.values()) if (!receivers.has(definition.id)) this.#begin(definition, read);
    for (const id of receivers.ids()) if (!read.receivers.has(id) && !earlier.has(id)) receivers.remove(id);
    for (const change of read.changes) this.#apply(change, read);
    const adopted = [...earlier].filter((id) => read.receivers.has(id));
    for (const id of adopted) db.prepare('delete from earlier_receivers where id = ?').run(id);
    db.prepare('insert or replace into followed values (1, ?)').run(read.version);
    return { changed: [...new Set([...read.changes.map(({ receiver }) => receiver), ...adopted])], adopted };
  }

  /** Adds the progress of a receiver that is new, or whose progress was lost. */
  #begin({ id, enabled, afterEvent }: Definition, { changes }: Definitions): void {
    const { receivers, outbox } = this.#deps;
    const isNew = changes.some(({ receiver, kind }) => receiver === id && kind === 'created');
    const cursor = isNew ? afterEvent : Math.max(Math.min(afterEvent, outbox.head()), outbox.head() - AGAIN);
    receivers.begin(id, cursor, enabled ? null : 'by-admin');
    if (!isNew) receivers.note(id, `how far it was is lost: events after ${cursor} are delivered, some of them again`);
  }

  #apply({ receiver: id, at, kind, note, skipTo }: ReceiverChange, { receivers: defined }: Definitions): void {
    const { receivers, queue, held, email, clock } = this.#deps;
    receivers.note(id, note, at);
    if (kind === 'disabled') receivers.disable(id, 'by-admin');
    if (kind === 'enabled') {
      receivers.disable(id, null);
      if (skipTo === null) queue.release(id);
      else {
        queue.skip(id);
        held.clear(id);
        receivers.moveTo(id, skipTo);
      }
    }
    const definition = defined.get(id)!;
    if (kind !== 'changed' || definition.kind !== 'email') return;
    // Events that are held for a digest follow the new hours.
    const plan = email.plan(definition.settings);
    held.move(id, plan.kind === 'hold' ? plan.untilMs : clock.now());
  }
}

/** A receiver from before receivers were records, with its secrets in clear. */
export type EarlierInClear = Omit<EarlierReceiver, 'secrets'> & {
  readonly secrets: readonly {
    readonly secret: string;
    readonly createdAt: number;
    readonly expiresAt: number | null;
  }[];
};

/** Returns the receivers that are not in the log yet. */
export function earlierReceivers(db: DatabaseSync): EarlierInClear[] {
  const rows = db.prepare('select body from earlier_receivers order by id').all();
  return rows.map(({ body }) => JSON.parse(String(body)) as EarlierInClear);
}

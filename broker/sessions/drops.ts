import type { StatementSync } from 'node:sqlite';
import type { DropReason, SessionDrop } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';

/** Messages that a session lost, as the file stores it; the department comes from the key. */
export type Drop = Omit<SessionDrop, 'department'>;

/** At most one event per session, reason and minute. */
const PUBLISH_EVERY_MS = 60_000;

/** Counts dropped messages until they are published. Stored in the file, so that a crash loses none of the counts. */
export class Drops {
  /** Messages dropped since the start. */
  messages = 0;
  readonly #file: SessionsFile;
  readonly #newId: () => string;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  /** Drops that still grow, by session and reason. */
  readonly #open = new Map<string, Drop>();
  /** Drops that are being published: their content no longer changes. */
  readonly #publishing = new Map<string, Drop>();
  readonly #publishedMs = new Map<string, number>();

  /** `areOfAnother`: what the file has is for the node to publish of which it is a copy. */
  constructor(file: SessionsFile, newId: () => string, areOfAnother = false) {
    this.#file = file;
    this.#newId = newId;
    this.#put = file.db.prepare('insert or replace into drops values (?, ?, ?, ?, ?, ?, ?)');
    this.#delete = file.db.prepare('delete from drops where id = ?');
    if (areOfAnother) file.db.exec('delete from drops');
    // The run before may have published these without a confirmation: they are published again, unchanged.
    // Their ids are the same, so that a reader can drop the duplicates.
    for (const row of file.db.prepare('select * from drops').iterate()) {
      const { id, session, user, reason, messages, from_ms, to_ms } = row as Record<string, string | number>;
      const drop = { id, session, user, reason, messages, fromMs: from_ms, toMs: to_ms } as Drop;
      this.#publishing.set(drop.id, drop);
    }
  }

  add(lost: { session: string; user: string; reason: DropReason; messages: number }, nowMs: number): void {
    const key = `${lost.reason} ${lost.session}`;
    const before = this.#open.get(key);
    const drop: Drop = {
      ...lost,
      id: before?.id ?? this.#newId(),
      messages: (before?.messages ?? 0) + lost.messages,
      fromMs: before?.fromMs ?? nowMs,
      toMs: nowMs,
    };
    this.messages += lost.messages;
    this.#open.set(key, drop);
    this.#file.write(this.#put, drop.id, drop.session, drop.user, drop.reason, drop.messages, drop.fromMs, nowMs);
  }

  /**
   * Returns the drops to publish now: those not yet confirmed, and those of sessions without an event in the last
   * minute.
   */
  due(nowMs: number): Drop[] {
    for (const [key, at] of this.#publishedMs) if (nowMs - at >= PUBLISH_EVERY_MS) this.#publishedMs.delete(key);
    for (const [key, drop] of this.#open) {
      if (this.#publishedMs.has(key)) continue;
      this.#publishedMs.set(key, nowMs);
      this.#open.delete(key);
      this.#publishing.set(drop.id, drop);
    }
    return [...this.#publishing.values()];
  }

  /** Deletes drops whose publication is confirmed. */
  published(drops: readonly Drop[]): void {
    for (const { id } of drops) if (this.#publishing.delete(id)) this.#file.write(this.#delete, id);
  }
}

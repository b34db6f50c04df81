import type { StatementSync } from 'node:sqlite';
import type { DropReason, SessionDrop } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';

/** What was taken from a session, as the file has it; its department is the key's. */
export type Drop = Omit<SessionDrop, 'department'>;

/** One event a session and minute, however many messages it lost. */
const TELL_EVERY_MS = 60_000;

/** What caps and expiry took, added up until it is told: on file, so that a crash in between does not hush it up. */
export class Drops {
  /** Messages that were dropped since the start. */
  messages = 0;
  readonly #file: SessionsFile;
  readonly #newId: () => string;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  /** By session and reason, those that still grow. */
  readonly #open = new Map<string, Drop>();
  /** On their way: their content does not change any more. */
  readonly #telling = new Map<string, Drop>();
  readonly #toldMs = new Map<string, number>();

  constructor(file: SessionsFile, newId: () => string) {
    this.#file = file;
    this.#newId = newId;
    this.#put = file.db.prepare('insert or replace into drops values (?, ?, ?, ?, ?, ?, ?)');
    this.#delete = file.db.prepare('delete from drops where id = ?');
    // The run before may have told them without hearing that it was heard: they are told again, the same.
    for (const row of file.db.prepare('select * from drops').iterate()) {
      const { id, session, user, reason, messages, from_ms, to_ms } = row as Record<string, string | number>;
      const drop = { id, session, user, reason, messages, fromMs: from_ms, toMs: to_ms } as Drop;
      this.#telling.set(drop.id, drop);
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

  /** What is to be told now: again what was not heard, and at most once a minute what a session has lost. */
  due(nowMs: number): Drop[] {
    for (const [key, at] of this.#toldMs) if (nowMs - at >= TELL_EVERY_MS) this.#toldMs.delete(key);
    for (const [key, drop] of this.#open) {
      if (this.#toldMs.has(key)) continue;
      this.#toldMs.set(key, nowMs);
      this.#open.delete(key);
      this.#telling.set(drop.id, drop);
    }
    return [...this.#telling.values()];
  }

  /** They were heard. */
  told(drops: readonly Drop[]): void {
    for (const { id } of drops) if (this.#telling.delete(id)) this.#file.write(this.#delete, id);
  }
}

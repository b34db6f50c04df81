import { randomUUID } from 'node:crypto';
import {
  type ActionRecord,
  type ActionsControl,
  type AuditHead,
  type Clock,
  LamppostError,
  SECOND_MS,
  type Timers,
} from '../domain/index.ts';
import type { Command, Results } from './command.ts';
import { type Decided, errorOf } from './result.ts';

/** Who asks, and under which name of their own (`Idempotency-Key`; null: none). */
export type Caller = Pick<ActionRecord, 'actor' | 'address' | 'key'>;

interface Parts {
  /** Appends a record to the log; resolves once it is on disk. Throws `disk`. */
  readonly append: (control: ActionsControl) => Promise<unknown>;
  readonly timers: Timers;
  readonly clock: Clock;
  /** The newest entry of the audit trail. */
  readonly head: AuditHead | null;
}

/** The most actions of one record. */
const MOST_AT_ONCE = 256;
/** How long a caller waits for the engine, which may have much of the log before it. */
const PATIENCE_MS = 30_000;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly giveUp: () => void;
  readonly sinceMs: number;
}

/**
 * Appends what people do to the log, and waits for what the engine decides. Actions that come while a record is on its
 * way to the disk share the next one, as messages do.
 */
export class ActionLog {
  readonly #parts: Parts;
  readonly #waiting = new Map<string, Waiting>();
  #next: ActionRecord[] = [];
  #appending = false;
  #head: AuditHead | null;
  #waited: (seconds: number) => void = () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#head = parts.head;
  }

  /**
   * Resolves to the result once it is on disk; rejects with the refusal of the engine, with `disk` where the log could
   * not be written, and with `busy` where the engine has not come to it in time: then it will still be decided.
   */
  submit<C extends Command>(command: C, caller: Caller): Promise<Results[C['do']]> {
    const record: ActionRecord = { id: randomUUID(), ...caller, command };
    const decided = this.#waitFor(record.id);
    this.#next.push(record);
    if (!this.#appending) void this.#appendAll();
    return decided as Promise<Results[C['do']]>;
  }

  /** As `submit`, for an action that is part of a record of another kind, which `append` puts into the log. */
  accompany<C extends Command>(
    command: C,
    caller: Caller,
    append: (record: ActionRecord) => Promise<unknown>,
  ): Promise<Results[C['do']]> {
    const record: ActionRecord = { id: randomUUID(), ...caller, command };
    const decided = this.#waitFor(record.id);
    append(record).catch((error: Error) => this.#settle(record.id, ({ reject }) => reject(error)));
    return decided as Promise<Results[C['do']]>;
  }

  #waitFor(id: string): Promise<unknown> {
    const { clock, timers } = this.#parts;
    return new Promise((resolve, reject) => {
      const giveUp = timers.after(PATIENCE_MS, () => this.#settle(id, ({ reject }) => reject(late())));
      this.#waiting.set(id, { resolve, reject, giveUp, sinceMs: clock.now() });
    });
  }

  /** Calls `waited` with how long each action waited for its result, 30 s where that came too late for its caller. */
  onWaited(waited: (seconds: number) => void): void {
    this.#waited = waited;
  }

  /** Appends what is done elsewhere, for the audit trail; resolves once that is on disk. Throws `disk`. */
  async note(action: string, target: string, caller: Caller): Promise<void> {
    await this.submit({ do: 'note', action, target }, { ...caller, key: null });
  }

  /**
   * Passes on what the engine decided. Results that nobody waits for are ignored: they are those of an earlier process.
   */
  decided({ results, head }: Decided): void {
    this.#head = head;
    for (const { id, value, error } of results) {
      this.#settle(id, ({ resolve, reject }) => (error === null ? resolve(value) : reject(errorOf(error))));
    }
  }

  async #appendAll(): Promise<void> {
    this.#appending = true;
    while (this.#next.length > 0) {
      const items = this.#next.splice(0, MOST_AT_ONCE);
      try {
        await this.#parts.append({ items, anchor: this.#head });
        for (const { id, command } of items) {
          if (command.do === 'note' || command.do === 'sign-in') this.#settle(id, ({ resolve }) => resolve(null));
        }
      } catch (error) {
        for (const { id } of items) this.#settle(id, ({ reject }) => reject(error as Error));
      }
    }
    this.#appending = false;
  }

  #settle(id: string, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.giveUp();
    this.#waited(Math.max(0, this.#parts.clock.now() - waiting.sinceMs) / SECOND_MS);
    how(waiting);
  }
}

function late(): LamppostError {
  return new LamppostError(
    'busy',
    'the action is on disk and will be decided, but the rules have much to read before it; ' +
      'send it again later with the same Idempotency-Key to get its result',
    { retryable: true, retryAfterMs: 5_000 },
  );
}

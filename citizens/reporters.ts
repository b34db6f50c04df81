import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { z } from 'zod';
import type { Key, ShapeOf, Ticket } from '../domain/index.ts';
import { openDatabase, type RoomSchema } from '../store/index.ts';

const SCHEMA: RoomSchema = {
  room: 'citizens',
  steps: [
    `create table if not exists reporters (
      ticket text primary key, name text, email text, phone text, device_id text, account_id text, reported_at text not null
    ) strict, without rowid;`,
  ],
};

const text = z.string().nullable();

/** Who reported something, as far as they said. */
const ReporterSchema = z.object({
  name: text,
  email: text,
  phone: text,
  deviceId: text.describe('Open311 `device_id`'),
  accountId: text.describe('Open311 `account_id`'),
});
export type Reporter = ShapeOf<typeof ReporterSchema>;

/** A reporter as stored. */
export const StoredReporterSchema = ReporterSchema.extend({ reportedAt: z.iso.datetime() });
export type StoredReporter = ShapeOf<typeof StoredReporterSchema>;

/** Citizens' names and contacts, in a file of their own. One thread owns it. */
export interface Reporters {
  /** Stores a reporter; on disk when it returns. */
  put(ticket: string, reporter: StoredReporter): void;
  get(ticket: string): StoredReporter | null;
  /** Deletes the reporters of tickets from every byte of the file; returns their number. */
  forget(tickets: readonly string[]): number;
  /** Returns the tickets after this one that have a reporter, in the order of their ids. */
  after(ticket: string, limit: number): { readonly ticket: string; readonly reportedAt: string }[];
  /** Opens the file, or creates it. Throws `disk`, and `too-new` where a newer Lamppost wrote it. */
  open(): this;
  /** Idempotent. */
  close(): void;
}

/** Returns the reporters of a file; it opens nothing until `open`. */
export function createReporters(options: { readonly path: string }): Reporters {
  return new ReportersFile(options.path);
}

class ReportersFile implements Reporters {
  readonly #path: string;
  #db!: DatabaseSync;
  #put!: StatementSync;
  #one!: StatementSync;
  #forget!: StatementSync;
  #after!: StatementSync;

  constructor(path: string) {
    this.#path = path;
  }

  open(): this {
    this.#db = openDatabase(this.#path, { schemas: [SCHEMA] });
    // Deleted rows are overwritten.
    this.#db.exec('pragma secure_delete = on');
    this.#put = this.#db.prepare('insert into reporters values (?, ?, ?, ?, ?, ?, ?)');
    this.#one = this.#db.prepare('select * from reporters where ticket = ?');
    this.#forget = this.#db.prepare('delete from reporters where ticket in (select value from json_each(?))');
    this.#after = this.#db.prepare(
      'select ticket, reported_at as reportedAt from reporters where ticket > ? order by ticket limit ?',
    );
    return this;
  }

  put(ticket: string, { name, email, phone, deviceId, accountId, reportedAt }: StoredReporter): void {
    this.#put.run(ticket, name, email, phone, deviceId, accountId, reportedAt);
  }

  get(ticket: string): StoredReporter | null {
    const row = this.#one.get(ticket);
    return row === undefined ? null : reporterOf(row);
  }

  forget(tickets: readonly string[]): number {
    const { changes } = this.#forget.run(JSON.stringify(tickets));
    // The write-ahead log holds deleted rows until it is truncated.
    if (changes !== 0) this.#db.exec('pragma wal_checkpoint(truncate)');
    return Number(changes);
  }

  after(ticket: string, limit: number) {
    return this.#after.all(ticket, limit) as { ticket: string; reportedAt: string }[];
  }

  close(): void {
    if (this.#db?.isOpen) this.#db.close();
  }
}

function reporterOf(row: Readonly<Record<string, SQLOutputValue>>): StoredReporter {
  const { name, email, phone, device_id, account_id, reported_at } = row as Record<string, string | null>;
  return {
    name: name!,
    email: email!,
    phone: phone!,
    deviceId: device_id!,
    accountId: account_id!,
    reportedAt: reported_at!,
  };
}

/** The reasons why a key may not see who reported a ticket. */
export type ReporterRefusal = 'not-your-role' | 'not-your-department';

/**
 * Returns why a key may not see who reported a ticket; null where it may. Operators of the responsible department and
 * the city's admins may; an operator of the whole city sees all tickets, but not the people behind them.
 */
export function refuseReporter(
  { role, department: own }: Pick<Key, 'role' | 'department'>,
  { department }: Pick<Ticket, 'department'>,
): ReporterRefusal | null {
  if (role !== 'operator' && role !== 'admin') return 'not-your-role';
  if (own === null) return role === 'admin' ? null : 'not-your-department';
  return own === department ? null : 'not-your-department';
}

import type { SQLOutputValue } from 'node:sqlite';
import { openDatabase, type RoomSchema } from '../store/index.ts';

const SCHEMA: RoomSchema = {
  room: 'citizens',
  steps: [
    `create table if not exists reporters (
      ticket text primary key, name text, email text, phone text, device_id text, account_id text, reported_at text not null
    ) strict, without rowid;`,
  ],
};

/** Who reported something, as far as they said. */
export interface Reporter {
  readonly name: string | null;
  readonly email: string | null;
  readonly phone: string | null;
  /** Open311 `device_id` and `account_id`: of the app that was used. */
  readonly deviceId: string | null;
  readonly accountId: string | null;
}

/** A reporter as it is kept. */
export interface KeptReporter extends Reporter {
  /** ISO 8601 UTC. */
  readonly reportedAt: string;
}

/** Citizens' names and contacts, in a file apart from everything else that is known of their tickets. One thread owns it. */
export interface Reporters {
  /** On disk when it returns. */
  put(ticket: string, reporter: KeptReporter): void;
  get(ticket: string): KeptReporter | null;
  /** Forgets those of tickets, in every byte of the file; answers how many there were. */
  forget(tickets: readonly string[]): number;
  /** Tickets that have a reporter, in the order of their ids, those after one. */
  after(ticket: string, limit: number): { readonly ticket: string; readonly reportedAt: string }[];
  close(): void;
}

/** Opens (or makes) the file. Throws `disk` where it cannot, `too-new` where a newer Lamppost wrote it. */
export function openReporters(path: string): Reporters {
  const db = openDatabase(path, { schemas: [SCHEMA] });
  // What is deleted is overwritten.
  db.exec('pragma secure_delete = on');
  const put = db.prepare('insert into reporters values (?, ?, ?, ?, ?, ?, ?)');
  const one = db.prepare('select * from reporters where ticket = ?');
  const forget = db.prepare('delete from reporters where ticket in (select value from json_each(?))');
  const after = db.prepare(
    'select ticket, reported_at as reportedAt from reporters where ticket > ? order by ticket limit ?',
  );
  return {
    put(ticket, { name, email, phone, deviceId, accountId, reportedAt }) {
      put.run(ticket, name, email, phone, deviceId, accountId, reportedAt);
    },
    get(ticket) {
      const row = one.get(ticket);
      return row === undefined ? null : reporterOf(row);
    },
    forget(tickets) {
      const { changes } = forget.run(JSON.stringify(tickets));
      // The log of what was written holds it too, until it is taken over and emptied.
      if (changes !== 0) db.exec('pragma wal_checkpoint(truncate)');
      return Number(changes);
    },
    after: (ticket, limit) => after.all(ticket, limit) as { ticket: string; reportedAt: string }[],
    close: () => db.close(),
  };
}

function reporterOf(row: Readonly<Record<string, SQLOutputValue>>): KeptReporter {
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

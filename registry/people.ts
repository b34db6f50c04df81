import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Grant, Page, Person } from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';

/** The table of people in the state file. A removed person keeps the row: histories show the name. */
export const PEOPLE_SCHEMA: RoomSchema = {
  room: 'people',
  steps: [
    `create table people (
      id text primary key, version integer not null, name text not null, email text not null, language text not null,
      roles text not null, password text, totp text, issuer text, subject text, stamp integer not null,
      added_at text not null, removed_at text
    ) strict, without rowid;
    create unique index people_email on people (email) where removed_at is null;
    create unique index people_subject on people (issuer, subject) where issuer is not null;`,
    'alter table people add column suspended_at text;',
  ],
};

/** A person as stored, with what no response has. */
export interface StoredPerson extends Omit<Person, 'hasPassword' | 'hasTotp'> {
  /** As `Passwords` hashes it; null: the person has none. */
  readonly password: string | null;
  /** The secret of the authenticator, sealed; null: none. */
  readonly totp: string | null;
  /** How the provider names the person. */
  readonly subject: string | null;
  /** Sessions that were made under another stamp have ended. */
  readonly stamp: number;
}

/** Returns a person as responses have it. */
export function shownPerson({ password, totp, subject: _, stamp: __, ...person }: StoredPerson): Person {
  return { ...person, hasPassword: password !== null, hasTotp: totp !== null };
}

/** Returns an e-mail address as it is compared: in lower case. */
export const emailOf = (text: string) => text.trim().toLowerCase();

/** Reads people over any connection to the file. */
export function createPeopleReader(db: DatabaseSync) {
  const one = db.prepare('select * from people where id = ?');
  const byEmail = db.prepare('select * from people where email = ? and removed_at is null');
  const bySubject = db.prepare('select * from people where issuer = ? and subject = ?');
  const some = db.prepare('select * from people where id > ? and (? or removed_at is null) order by id limit ?');
  const total = db.prepare('select count(*) as n from people where removed_at is null and suspended_at is null');
  const admins = db.prepare(
    `select 1 from people, json_each(people.roles) as r
      where removed_at is null and suspended_at is null and (password is not null or issuer is not null)
        and r.value ->> 'role' = 'admin' and r.value ->> 'department' is null limit 1`,
  );
  const stored = (row: Row | undefined) => (row === undefined ? null : personOf(row));
  return {
    /** Returns a person, also one who was removed. */
    get: (id: string) => stored(one.get(id)),
    /** Returns the person who signs in with an address. */
    byEmail: (email: string) => stored(byEmail.get(emailOf(email))),
    /** Returns the person for whom a provider vouches, also one who was removed. */
    bySubject: (issuer: string, subject: string) => stored(bySubject.get(issuer, subject)),
    list({ limit, after, removed }: { limit: number; after: string | null; removed: boolean }): Page<Person> {
      const rows = some.all(after ?? '', removed ? 1 : 0, limit + 1);
      const items = rows.slice(0, limit).map((row) => shownPerson(personOf(row)));
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
    /** Whether somebody can sign in, by a password or at a provider, who administers the whole city. */
    hasAdmin: () => admins.get() !== undefined,
    /** How many people may sign in. */
    count: () => Number(total.get()!.n),
  };
}

export type PeopleReader = ReturnType<typeof createPeopleReader>;

/** Returns the reader and writer of the table. The caller holds the transaction. */
export function createPeopleStore(db: DatabaseSync) {
  const put = db.prepare('insert or replace into people values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  return {
    ...createPeopleReader(db),
    /** Adds or replaces a person. */
    put(person: StoredPerson): void {
      const { id, version, name, email, language, roles, password, totp, issuer, subject, stamp } = person;
      const { addedAt, removedAt, suspendedAt } = person;
      const rest = [password, totp, issuer, subject, stamp, addedAt, removedAt, suspendedAt];
      put.run(id, version, name, email, language, JSON.stringify(roles), ...rest);
    },
  };
}

export type PeopleStore = ReturnType<typeof createPeopleStore>;

type Row = Readonly<Record<string, SQLOutputValue>>;

const textOf = (value: SQLOutputValue | undefined) => (value === null ? null : String(value));

function personOf(row: Row): StoredPerson {
  return {
    id: String(row.id),
    version: Number(row.version),
    name: String(row.name),
    email: String(row.email),
    language: String(row.language) as Person['language'],
    roles: JSON.parse(String(row.roles)) as Grant[],
    password: textOf(row.password),
    totp: textOf(row.totp),
    issuer: textOf(row.issuer),
    subject: textOf(row.subject),
    stamp: Number(row.stamp),
    addedAt: String(row.added_at),
    suspendedAt: textOf(row.suspended_at),
    removedAt: textOf(row.removed_at),
  };
}

import type { DatabaseSync } from 'node:sqlite';
import { type Alert, LamppostError, type Page, type Transition } from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';

/**
 * Tables of the alerts, in the engine's state file. One row for each (rule, group); `n` grows with every change of any
 * alert.
 */
export const ALERT_SCHEMA: RoomSchema = {
  room: 'alerts',
  steps: [
    `
  create table if not exists alerts (
    n integer primary key,
    rule text not null,
    "group" text not null,
    state text not null check (state in ('pending', 'firing', 'resolved')),
    severity text not null,
    since text not null,
    updated_at text not null,
    value real,
    title text not null,
    title_zh text not null,
    district text not null,
    ticket text,
    unique (rule, "group")
  ) strict;
  create index if not exists alerts_by_state on alerts (state, n);
`,
    // Whether it says that nothing comes from a device any more; those of before explain nothing until they change.
    `
  alter table alerts add column silent integer not null default 0;
  create index alerts_silent on alerts ("group") where silent = 1 and state = 'firing';
`,
  ],
};

/** An alert after a transition; `cancelled` deletes it. */
export type AlertChange = Omit<Alert, 'state'> & {
  readonly state: Transition['to'];
  /** Whether it says that nothing comes from a device any more. */
  readonly silent?: boolean;
};

/** Writes alerts. The caller holds the transaction. */
export interface AlertStore {
  /** Stores the alert as it is after its transition, or deletes it when it was cancelled. */
  apply(alert: AlertChange): void;
  /** Stores the ticket of an alert that fired without one. */
  link(alert: Pick<Alert, 'rule' | 'group'>, ticket: string): void;
  /** Returns the last value of an alert; null where it is unknown. */
  valueOf(rule: string, group: string): number | null;
}

/** Returns the store of a file that has `ALERT_SCHEMA`. It keeps the newest `keepResolved` (1,000) resolved alerts. */
export function createAlertStore(db: DatabaseSync, options: { readonly keepResolved?: number } = {}): AlertStore {
  const keep = options.keepResolved ?? 1000;
  const upsert = db.prepare(`
    insert or replace into alerts
      (rule, "group", state, severity, since, updated_at, value, title, title_zh, district, ticket, silent)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const remove = db.prepare('delete from alerts where rule = ? and "group" = ?');
  const prune = db.prepare(`
    delete from alerts where state = 'resolved'
      and n <= (select n from alerts where state = 'resolved' order by n desc limit 1 offset ?)`);
  const link = db.prepare('update alerts set ticket = ? where rule = ? and "group" = ?');
  const value = db.prepare('select value from alerts where rule = ? and "group" = ?');
  return {
    valueOf: (rule, group) => (value.get(rule, group)?.value as number | null | undefined) ?? null,
    apply(alert) {
      if (alert.state === 'cancelled') {
        remove.run(alert.rule, alert.group);
        return;
      }
      const { rule, group, state, severity, since, updatedAt, value, title, titleZh, district, ticket, silent } = alert;
      const how = silent ? 1 : 0;
      upsert.run(rule, group, state, severity, since, updatedAt, value, title, titleZh, district, ticket, how);
      if (state === 'resolved') prune.run(keep);
    },
    link: ({ rule, group }, ticket) => void link.run(ticket, rule, group),
  };
}

/** Filters of a list; an absent filter matches all. `after` is the `next` of the page before. */
export interface AlertQuery {
  readonly state?: Alert['state'] | undefined;
  readonly rule?: string | undefined;
  /** Only alerts of these rules. */
  readonly rules?: readonly string[] | undefined;
  readonly district?: string | undefined;
  readonly severity?: Alert['severity'] | undefined;
  readonly limit: number;
  readonly after?: string | null | undefined;
}

/** Reads alerts over any connection to the file. */
export interface AlertReader {
  /**
   * Newest change first. An alert that changes between two pages moves to the top. Throws `invalid` on a bad `after`.
   */
  list(query: AlertQuery): Page<Alert>;
  get(rule: string, group: string): Alert | null;
  /**
   * Firing alerts of some rules, or those that say that nothing comes from a device any more; of one group or (null)
   * of all. They are read lazily.
   */
  firing(rules: readonly string[] | 'silent', group: string | null): Iterable<Alert>;
}

// An absent filter is null and matches all: active alerts are few and resolved ones are pruned, so a scan is cheap.
const SELECT = `
  select n, rule, "group", state, severity, since, updated_at as updatedAt, value, title, title_zh as titleZh, district, ticket
  from alerts`;
const LIST = `${SELECT}
  where n < :before
    and (:state is null or state = :state)
    and (:rule is null or rule = :rule)
    and (:rules is null or rule in (select value from json_each(:rules)))
    and (:district is null or district = :district)
    and (:severity is null or severity = :severity)
  order by n desc limit :limit`;

/** Returns the reader of a file that has `ALERT_SCHEMA`. */
export function createAlertReader(db: DatabaseSync): AlertReader {
  const select = db.prepare(LIST);
  const one = db.prepare(`${SELECT} where rule = ? and "group" = ?`);
  const firing = db.prepare(`${SELECT} where state = 'firing' and rule in (select value from json_each(?)) order by n`);
  // The plus keeps SQLite from the index by state, which has every firing alert.
  const firingOf = db.prepare(`
    ${SELECT} where rule in (select value from json_each(?)) and "group" = ? and +state = 'firing' order by n`);
  const silent = db.prepare(`${SELECT} where silent = 1 and state = 'firing' order by n`);
  const silentOf = db.prepare(`${SELECT} where "group" = ? and silent = 1 and state = 'firing' order by n`);
  function rowsOf(rules: readonly string[] | 'silent', group: string | null) {
    if (rules === 'silent') return group === null ? silent.iterate() : silentOf.iterate(group);
    const named = JSON.stringify(rules);
    return group === null ? firing.iterate(named) : firingOf.iterate(named, group);
  }
  return {
    list({ state, rule, rules, district, severity, limit, after }) {
      const rows = select.all({
        before: numberOf(after),
        state: state ?? null,
        rule: rule ?? null,
        rules: rules === undefined ? null : JSON.stringify(rules),
        district: district ?? null,
        severity: severity ?? null,
        limit: limit + 1,
      }) as unknown as (Alert & { n: number })[];
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page.map(alertOf),
        next: rows.length > limit && last ? String(last.n) : null,
      };
    },
    *firing(rules, group) {
      for (const row of rowsOf(rules, group)) yield alertOf(row as unknown as Alert & { n: number });
    },
    get(rule, group) {
      const row = one.get(rule, group);
      return row === undefined ? null : alertOf(row as unknown as Alert & { n: number });
    },
  };
}

function alertOf({ n: _, ...alert }: Alert & { n: number }): Alert {
  return alert;
}

function numberOf(after: string | null | undefined): number {
  if (after === null || after === undefined) return Number.MAX_SAFE_INTEGER;
  if (!/^\d{1,15}$/.test(after)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
  return Number(after);
}

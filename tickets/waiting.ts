import type { DatabaseSync } from 'node:sqlite';
import type { AlertLabels, Page, Severity } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';

import { positionOf } from './select.ts';
import { type Wait, type WaitReason, waitOf } from './wait-store.ts';

/** A ticket that waits, as the API shows it. Times ISO 8601 UTC. */
export interface WaitingTicket {
  readonly rule: string;
  readonly group: string;
  readonly title: string;
  readonly titleZh: string;
  readonly service: string;
  readonly department: string;
  readonly district: string;
  readonly severity: Severity;
  readonly reason: WaitReason;
  /** Id of the silence; rule and group of the alert that explains it; what those gathered have in common. */
  readonly cause: string;
  /** When the alert fired. */
  readonly since: string;
  /** When it opens at the latest; null where the end of the cause decides. */
  readonly opensAt: string | null;
}

/** The reading side of tickets that wait, for any connection to the file. */
export interface WaitingReader {
  /** The first that fired first. A bad `after` throws `invalid`. */
  list(query: {
    readonly reason?: WaitReason;
    readonly seenBy: string | null;
    readonly limit: number;
    readonly after: string | null;
  }): Page<WaitingTicket>;
  of(alert: Pick<AlertLabels, 'rule' | 'group'>): WaitingTicket | null;
}

/** Makes it over a file that has `TICKET_SCHEMA`. */
export function createWaitingReader(db: DatabaseSync): WaitingReader {
  const list = db.prepare(`
    select * from ticket_waits
    where (?1 is null or reason = ?1) and (?2 is null or labels ->> 'department' = ?2)
    order by since_ms, rule, "group" limit ?3 offset ?4`);
  const one = db.prepare('select * from ticket_waits where rule = ? and "group" = ?');
  return {
    list({ reason, seenBy, limit, after }) {
      const offset = positionOf(after, 0);
      const rows = list.all(reason ?? null, seenBy, limit + 1, offset);
      const items = rows.slice(0, limit).map((row) => shown(waitOf(row)));
      return { items, next: rows.length > limit ? String(offset + limit) : null };
    },
    of({ rule, group }) {
      const row = one.get(rule, group);
      return row === undefined ? null : shown(waitOf(row));
    },
  };
}

function shown({ rule, group, reason, cause, sinceMs, dueMs, labels, opening }: Wait): WaitingTicket {
  const { service, department, district } = labels;
  return {
    rule,
    group,
    title: opening.title,
    titleZh: opening.titleZh,
    service,
    department,
    district,
    severity: opening.transition.severity,
    reason,
    cause,
    since: isoOf(sinceMs),
    opensAt: dueMs === null ? null : isoOf(dueMs),
  };
}

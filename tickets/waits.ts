import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { type AlertLabels, isoOf, type Page, SEVERITIES, type Severity, type ShapeOf } from '../domain/index.ts';
import { positionOf } from '../store/index.ts';
import type { Opening } from './alert-changes.ts';

/** The reasons why a firing alert has no ticket yet. */
export const WAIT_REASONS = {
  inhibited: 'another alert that fires explains it',
  silenced: 'a silence or maintenance window holds it back',
  gathering: 'it waits a moment for others like it',
} as const;
export type WaitReason = keyof typeof WAIT_REASONS;

/** A firing alert whose ticket waits. */
export interface Wait {
  readonly rule: string;
  readonly group: string;
  readonly reason: WaitReason;
  /** The id of the silence, the inhibiting alert as `rule/group`, or the key of those that are gathered. */
  readonly cause: string;
  /** When the alert fired. */
  readonly sinceMs: number;
  /** Since when it waits for this cause. */
  readonly heldMs: number;
  /** When those gathered become a ticket; null where the end of the cause decides. */
  readonly dueMs: number | null;
  readonly labels: AlertLabels;
  /** What the ticket is opened from. */
  readonly opening: StoredOpening;
}

/** All that a ticket is opened from, except the service, which is looked up when it opens. */
export type StoredOpening = Omit<Opening, 'service'>;

/** Stores firing alerts without a ticket. The caller holds the transaction. */
export interface WaitStore {
  put(wait: Wait): void;
  get(rule: string, group: string): Wait | null;
  remove(rule: string, group: string): boolean;
  /** Raises the severity of one that waits. */
  raiseSeverity(rule: string, group: string, severity: Severity): void;
  /** Returns when those that are gathered by a key become a ticket; null where there are none. */
  gatheringUntil(cause: string): number | null;
  /** Returns the keys of gathered alerts whose time is over, oldest first. */
  gathered(nowMs: number): string[];
  /** Returns when the next gathered alerts become a ticket, epoch ms; null where there are none. */
  nextGatheredMs(): number | null;
  /** Returns the causes of all that is inhibited or silenced. */
  causes(): readonly { readonly reason: WaitReason; readonly cause: string }[];
  /** Returns the silences that hold alerts, and since when each holds the first of them, epoch ms. */
  silenced(): readonly { readonly silence: string; readonly heldMs: number }[];
  /** Says that what repeats in all causes is known from a moment on only: the city's calendars have changed. */
  holdAnew(nowMs: number): void;
  /** Returns all that wait for a cause, oldest first. */
  of(reason: WaitReason, cause: string): Wait[];
  /** Returns the silences that hold alerts which were not announced yet. */
  silencesToAnnounce(): string[];
  /** Returns the alerts that a silence holds and that were not announced, oldest first, and marks them. */
  takeMatched(silence: string): Wait[];
  /** Returns any one of them; null where none waits. In a storm there are thousands, and this runs each second. */
  any(reason: WaitReason, cause: string): Wait | null;
}

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createWaitStore(db: DatabaseSync): WaitStore {
  const put = db.prepare(`
    insert or replace into ticket_waits (rule, "group", reason, cause, since_ms, held_ms, due_ms, labels, opening)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const one = db.prepare('select * from ticket_waits where rule = ? and "group" = ?');
  const remove = db.prepare('delete from ticket_waits where rule = ? and "group" = ?');
  const until = db.prepare("select min(due_ms) as ms from ticket_waits where reason = 'gathering' and cause = ?");
  const gathered = db.prepare(`
    select cause from ticket_waits where reason = 'gathering' group by cause having min(due_ms) <= ? order by min(due_ms), cause`);
  const next = db.prepare("select min(due_ms) as ms from ticket_waits where reason = 'gathering'");
  const causes = db.prepare(
    "select distinct reason, cause from ticket_waits where reason <> 'gathering' order by 1, 2",
  );
  const silenced = db.prepare(
    "select cause as silence, min(held_ms) as heldMs from ticket_waits where reason = 'silenced' group by cause",
  );
  const anew = db.prepare('update ticket_waits set held_ms = ?');
  const of = db.prepare('select * from ticket_waits where reason = ? and cause = ? order by since_ms, rule, "group"');
  const unannounced = "reason = 'silenced' and announced = 0";
  const toAnnounce = db.prepare(`select distinct cause from ticket_waits where ${unannounced} order by cause`);
  const matched = db.prepare(
    `select * from ticket_waits where ${unannounced} and cause = ? order by since_ms, rule, "group"`,
  );
  const announce = db.prepare(`update ticket_waits set announced = 1 where ${unannounced} and cause = ?`);
  const any = db.prepare('select * from ticket_waits where reason = ? and cause = ? limit 1');
  const raise = db.prepare(`
    update ticket_waits set opening = json_set(opening, '$.transition.severity', ?1) , labels = json_set(labels, '$.severity', ?1)
    where rule = ?2 and "group" = ?3`);
  return {
    put({ rule, group, reason, cause, sinceMs, heldMs, dueMs, labels, opening }) {
      put.run(rule, group, reason, cause, sinceMs, heldMs, dueMs, JSON.stringify(labels), JSON.stringify(opening));
    },
    get(rule, group) {
      const row = one.get(rule, group);
      return row === undefined ? null : waitOf(row);
    },
    remove: (rule, group) => remove.run(rule, group).changes > 0,
    raiseSeverity: (rule, group, severity) => void raise.run(severity, rule, group),
    gatheringUntil: (cause) => (until.get(cause)?.ms as number | null) ?? null,
    gathered: (nowMs) => gathered.all(nowMs).map(({ cause }) => String(cause)),
    nextGatheredMs: () => (next.get()?.ms as number | null) ?? null,
    causes: () => causes.all() as unknown as { reason: WaitReason; cause: string }[],
    silenced: () => silenced.all() as unknown as { silence: string; heldMs: number }[],
    holdAnew: (nowMs) => void anew.run(nowMs),
    of: (reason, cause) => of.all(reason, cause).map(waitOf),
    silencesToAnnounce: () => toAnnounce.all().map(({ cause }) => String(cause)),
    takeMatched(silence) {
      const waits = matched.all(silence).map(waitOf);
      announce.run(silence);
      return waits;
    },
    any(reason, cause) {
      const row = any.get(reason, cause);
      return row === undefined ? null : waitOf(row);
    },
  };
}

function waitOf(row: Readonly<Record<string, SQLOutputValue>>): Wait {
  return {
    rule: String(row.rule),
    group: String(row.group),
    reason: row.reason as WaitReason,
    cause: String(row.cause),
    sinceMs: Number(row.since_ms),
    heldMs: Number(row.held_ms),
    dueMs: row.due_ms === null ? null : Number(row.due_ms),
    labels: JSON.parse(String(row.labels)) as AlertLabels,
    opening: JSON.parse(String(row.opening)) as StoredOpening,
  };
}

/** A firing alert whose ticket waits. Times are ISO 8601 UTC. */
export const WaitingTicketSchema = z
  .object({
    rule: z.string(),
    group: z.string(),
    title: z.string(),
    titleZh: z.string(),
    service: z.string(),
    department: z.string(),
    district: z.string(),
    severity: z.enum(SEVERITIES),
    reason: z.enum(Object.keys(WAIT_REASONS) as [WaitReason, ...WaitReason[]]),
    cause: z.string().describe('The silence, the alert that inhibits it, or the labels that those gathered share'),
    since: z.iso.datetime().describe('When the alert fired'),
    opensAt: z.iso.datetime().nullable().describe('At the latest; null where the end of the cause decides'),
  })
  .meta({ id: 'WaitingTicket', description: 'A firing alert whose ticket waits' });
export type WaitingTicket = ShapeOf<typeof WaitingTicketSchema>;

/** Reads waiting tickets over any connection to the file. */
export interface WaitingReader {
  /** Returns a page, oldest first. Throws `invalid` on a bad `after`. */
  list(query: {
    readonly reason?: WaitReason;
    readonly seenBy: readonly string[] | null;
    readonly limit: number;
    readonly after: string | null;
  }): Page<WaitingTicket>;
  of(alert: Pick<AlertLabels, 'rule' | 'group'>): WaitingTicket | null;
}

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createWaitingReader(db: DatabaseSync): WaitingReader {
  const list = db.prepare(`
    select * from ticket_waits
    where (?1 is null or reason = ?1) and (?2 is null or labels ->> 'department' in (select value from json_each(?2)))
    order by since_ms, rule, "group" limit ?3 offset ?4`);
  const one = db.prepare('select * from ticket_waits where rule = ? and "group" = ?');
  return {
    list({ reason, seenBy, limit, after }) {
      const offset = positionOf(after, 0);
      const rows = list.all(reason ?? null, seenBy && JSON.stringify(seenBy), limit + 1, offset);
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

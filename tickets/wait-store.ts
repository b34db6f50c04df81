import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { AlertLabels, Severity } from '../domain/index.ts';
import type { Opening } from './lifecycle.ts';

/** Why a firing alert has no ticket yet. */
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
  /** Id of the silence; rule and group of the alert that inhibits, as `rule/group`; what is in common with those gathered. */
  readonly cause: string;
  readonly sinceMs: number;
  /** When those gathered become a ticket; null where the end of the cause decides. */
  readonly dueMs: number | null;
  readonly labels: AlertLabels;
  /** The ticket as it would open. */
  readonly opening: StoredOpening;
}

/** All that a ticket is opened from, but the service, which is looked up when it opens. */
export type StoredOpening = Omit<Opening, 'service'>;

/** Firing alerts without a ticket; the caller holds the transaction. */
export interface WaitStore {
  put(wait: Wait): void;
  get(rule: string, group: string): Wait | null;
  remove(rule: string, group: string): boolean;
  /** A harder severity of one that waits. */
  harden(rule: string, group: string, severity: Severity): void;
  /** When those that are gathered under a cause become a ticket; null where none are. */
  gatheringUntil(cause: string): number | null;
  /** The causes whose time is over, the oldest first. */
  gathered(nowMs: number): string[];
  /** The causes of what is inhibited and silenced. */
  causes(): readonly { readonly reason: WaitReason; readonly cause: string }[];
  /** All that wait for a cause, the first first. */
  of(reason: WaitReason, cause: string): Wait[];
  /** Any one of them; null where none waits. A storm has thousands, and each second one is looked at. */
  any(reason: WaitReason, cause: string): Wait | null;
}

/** Makes the store over a file that has `TICKET_SCHEMA`. */
export function createWaitStore(db: DatabaseSync): WaitStore {
  const put = db.prepare(`
    insert or replace into ticket_waits (rule, "group", reason, cause, since_ms, due_ms, labels, opening)
    values (?, ?, ?, ?, ?, ?, ?, ?)`);
  const one = db.prepare('select * from ticket_waits where rule = ? and "group" = ?');
  const remove = db.prepare('delete from ticket_waits where rule = ? and "group" = ?');
  const until = db.prepare("select min(due_ms) as ms from ticket_waits where reason = 'gathering' and cause = ?");
  const gathered = db.prepare(`
    select cause from ticket_waits where reason = 'gathering' group by cause having min(due_ms) <= ? order by min(due_ms), cause`);
  const causes = db.prepare(
    "select distinct reason, cause from ticket_waits where reason <> 'gathering' order by 1, 2",
  );
  const of = db.prepare('select * from ticket_waits where reason = ? and cause = ? order by since_ms, rule, "group"');
  const any = db.prepare('select * from ticket_waits where reason = ? and cause = ? limit 1');
  const harden = db.prepare(`
    update ticket_waits set opening = json_set(opening, '$.transition.severity', ?1) , labels = json_set(labels, '$.severity', ?1)
    where rule = ?2 and "group" = ?3`);
  return {
    put({ rule, group, reason, cause, sinceMs, dueMs, labels, opening }) {
      put.run(rule, group, reason, cause, sinceMs, dueMs, JSON.stringify(labels), JSON.stringify(opening));
    },
    get(rule, group) {
      const row = one.get(rule, group);
      return row === undefined ? null : waitOf(row);
    },
    remove: (rule, group) => remove.run(rule, group).changes > 0,
    harden: (rule, group, severity) => void harden.run(severity, rule, group),
    gatheringUntil: (cause) => (until.get(cause)?.ms as number | null) ?? null,
    gathered: (nowMs) => gathered.all(nowMs).map(({ cause }) => String(cause)),
    causes: () => causes.all() as unknown as { reason: WaitReason; cause: string }[],
    of: (reason, cause) => of.all(reason, cause).map(waitOf),
    any(reason, cause) {
      const row = any.get(reason, cause);
      return row === undefined ? null : waitOf(row);
    },
  };
}

/** The wait of a row of `ticket_waits`. */
export function waitOf(row: Readonly<Record<string, SQLOutputValue>>): Wait {
  return {
    rule: String(row.rule),
    group: String(row.group),
    reason: row.reason as WaitReason,
    cause: String(row.cause),
    sinceMs: Number(row.since_ms),
    dueMs: row.due_ms === null ? null : Number(row.due_ms),
    labels: JSON.parse(String(row.labels)) as AlertLabels,
    opening: JSON.parse(String(row.opening)) as StoredOpening,
  };
}

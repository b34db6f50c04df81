import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { type AlertLabels, HOUR_MS, type Severity, type Ticket } from '../domain/index.ts';
import { isUnderWay } from './decide.ts';
import { type FiringAlert, inhibits, isBehindGateway, matches } from './match.ts';
import type { TicketStore } from './store.ts';
import type { StoredOpening, WaitStore } from './waits.ts';
import type { Moment, TicketCity, TicketWriter } from './writer.ts';

/** A firing alert with a ticket that an inhibition of the city can explain, should its cause come late. */
export interface Explainable {
  readonly rule: string;
  readonly group: string;
  readonly sinceMs: number;
  readonly labels: AlertLabels;
  /** What its ticket was opened from, or would be again. */
  readonly opening: StoredOpening;
}

/** Stores explainable alerts for as long as their tickets are open. The caller holds the transaction. */
export interface ExplainableStore {
  put(alert: Explainable): void;
  remove(rule: string, group: string): void;
  /** Sets the severity of one, which has changed since it fired. */
  setSeverity(rule: string, group: string, severity: Severity): void;
  /** Returns those of rules (null: of all) that fired at a time or later and whose labels fit, oldest first. */
  of(rules: readonly string[] | null, sinceMs: number, fits: (labels: AlertLabels) => boolean): Explainable[];
  /** Returns those of devices behind a gateway that fired at a time or later and whose labels fit, oldest first. */
  behind(gateway: string, sinceMs: number, fits: (labels: AlertLabels) => boolean): Explainable[];
}

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createExplainableStore(db: DatabaseSync): ExplainableStore {
  const put = db.prepare(
    'insert or replace into ticket_openings (rule, "group", since_ms, labels, opening) values (?, ?, ?, ?, ?)',
  );
  const remove = db.prepare('delete from ticket_openings where rule = ? and "group" = ?');
  const setSeverity = db.prepare(`
    update ticket_openings set labels = json_set(labels, '$.severity', ?1),
      opening = json_set(opening, '$.transition.severity', ?1) where rule = ?2 and "group" = ?3`);
  const of = db.prepare(`
    select rule, "group", since_ms as sinceMs, labels, opening from ticket_openings
    where (?1 is null or rule in (select value from json_each(?1))) and since_ms >= ?2
    order by since_ms, rule, "group"`);
  const behind = db.prepare(`
    select rule, "group", since_ms as sinceMs, labels, opening from ticket_openings
    where labels ->> '$.gateway' = ? and since_ms >= ? order by since_ms, rule, "group"`);
  return {
    put({ rule, group, sinceMs, labels, opening }) {
      put.run(rule, group, sinceMs, JSON.stringify(labels), JSON.stringify(opening));
    },
    remove: (rule, group) => void remove.run(rule, group),
    setSeverity: (rule, group, severity) => void setSeverity.run(severity, rule, group),
    of: (rules, fromMs, fits) => fitting(of.iterate(rules && JSON.stringify(rules), fromMs), fits),
    behind: (gateway, fromMs, fits) => fitting(behind.iterate(gateway, fromMs), fits),
  };
}

/** Openings are long, and in a storm few of thousands fit. */
function fitting(
  rows: Iterable<Readonly<Record<string, SQLOutputValue>>>,
  fits: (labels: AlertLabels) => boolean,
): Explainable[] {
  const found: Explainable[] = [];
  for (const { rule, group, sinceMs, labels: text, opening } of rows) {
    const labels = JSON.parse(String(text)) as AlertLabels;
    if (!fits(labels)) continue;
    const stored = JSON.parse(String(opening)) as StoredOpening;
    found.push({ rule: String(rule), group: String(group), sinceMs: Number(sinceMs), labels, opening: stored });
  }
  return found;
}

/** Whether a city has an inhibition that can explain an alert. */
export function isExplainable(labels: AlertLabels, { inhibitions }: Pick<TicketCity, 'inhibitions'>): boolean {
  return isBehindGateway(labels) || inhibitions.some(({ target }) => matches(target, labels));
}

interface Parts {
  readonly tickets: TicketStore;
  readonly waits: WaitStore;
  readonly explainable: ExplainableStore;
  readonly writer: TicketWriter;
}

/** The alert that explains others, and when it fired. */
export interface Cause extends FiringAlert {
  readonly sinceMs: number;
  /** Whether it says that nothing comes from a device any more. */
  readonly silent: boolean;
}

/** How much earlier than its gateway a device may have fallen silent. */
const GATEWAY_LATE_MS = HOUR_MS;

/**
 * Folds tickets whose alerts a later one explains into the ticket of that one, where nobody works on them: they close,
 * and their alerts wait for the end of the cause. Returns every new version of a ticket, that of the cause last.
 */
export function foldInto(parts: Parts, cause: Cause, into: Ticket, { atMs, city }: Moment): Ticket[] {
  const { tickets, waits, explainable, writer } = parts;
  const explained = explainedBy(explainable, cause, city);
  const changes: Ticket[] = [];
  const folded: string[] = [];
  for (const [id, alerts] of Map.groupBy(explained, ({ rule, group }) => tickets.findOpen(rule, group)?.id ?? '')) {
    const child = tickets.get(id);
    if (child === null || child.id === into.id || child.relation !== null || isUnderWay(child)) continue;
    if (tickets.firing(id).count > alerts.length || tickets.openParts(id).length > 0) continue;
    for (const alert of alerts) {
      explainable.remove(alert.rule, alert.group);
      waits.put({ ...alert, reason: 'inhibited', cause: `${cause.rule}/${cause.group}`, heldMs: atMs, dueMs: null });
    }
    const note = `folded into ${into.id}: ${cause.rule} fires for ${cause.group}`;
    const set = { foldedInto: into.id };
    const change = { atMs, by: `rule:${cause.rule}`, action: 'folded', to: 'closed', note, set } as const;
    changes.push(...writer.change(child, change, city));
    folded.push(id);
  }
  if (folded.length === 0) return [];
  const note = `it explains ${folded.slice(0, LISTED).join(', ')}${folded.length > LISTED ? ' …' : ''}`;
  return [...changes, ...writer.change(into, { atMs, by: `rule:${cause.rule}`, action: 'linked', note }, city)];
}

/** The number of tickets that a note lists. */
const LISTED = 10;

function explainedBy(explainable: ExplainableStore, cause: Cause, city: TicketCity): Explainable[] {
  const found = new Map<string, Explainable>();
  for (const inhibition of city.inhibitions) {
    if (inhibition.source.rule?.includes(cause.rule) !== true) continue;
    const fits = (labels: AlertLabels) => matches(inhibition.target, labels) && inhibits(inhibition, cause, labels);
    for (const alert of explainable.of(inhibition.target.rule ?? null, cause.sinceMs - inhibition.lateMs, fits))
      found.set(JSON.stringify([alert.rule, alert.group]), alert);
  }
  if (!cause.silent) return [...found.values()];
  for (const alert of explainable.behind(cause.group, cause.sinceMs - GATEWAY_LATE_MS, isBehindGateway))
    found.set(JSON.stringify([alert.rule, alert.group]), alert);
  return [...found.values()];
}

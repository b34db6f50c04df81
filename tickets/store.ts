import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { type Box, LamppostError, type Severity, type Ticket, type TicketAlert } from '../domain/index.ts';
import { higherSeverity } from './lifecycle.ts';
import { movingValues, openingValues, SELECT_TICKETS, ticketOf } from './row.ts';

/** Stored fields of a ticket that the ticket itself does not show. */
export interface TicketExtras {
  /** The key that its alerts share, where they are gathered. */
  readonly gatherKey?: string | null;
  /** SHA-256 of the reporter's token. */
  readonly reporterHash?: Uint8Array | null;
  /** Whether its citizen reported something that no sensor measures. */
  readonly unmeasured?: boolean;
  /** What its citizen named the thing by that it is about, as a short hash. */
  readonly thing?: string | null;
  /** Its time to resolve, ms of working time; absent: that of its service. */
  readonly resolveMs?: number;
}

/** The alerts of a ticket that fire. */
export interface Firing {
  readonly count: number;
  /** Null where none does. */
  readonly highest: Severity | null;
}

/** An alert that joins a ticket. `noted`: whether the ticket's history names it already. */
export type JoiningAlert = TicketAlert & { readonly noted: boolean };

/** Stores tickets. The caller holds the transaction. */
export interface TicketStore {
  get(id: string): Ticket | null;
  /** Throws `not-found` where there is no such ticket. */
  existing(id: string): Ticket;
  /** Returns the one open ticket of an alert; null where there is none. */
  findOpen(rule: string, group: string): Ticket | null;
  /** Returns the open ticket of a gathering key; null where there is none. */
  findGathering(key: string): Ticket | null;
  /** Returns the newest ticket of an alert, open or not; null where there is none. */
  findLast(rule: string, group: string): Ticket | null;
  /** Returns the open tickets of a service in a box, without parts, reports of others, and what names another thing. */
  findWithin(service: string, box: Box, thing: string | null): Ticket[];
  /** Returns the open tickets of a service that are, or that a report of them is, about an asset, in the same way. */
  findAbout(service: string, asset: string, thing: string | null): Ticket[];
  /** Reports whether an open report of a ticket says something that no sensor measures. */
  hasUnmeasured(id: string): boolean;
  /** Returns the open parts of a ticket. */
  openParts(id: string): Ticket[];
  /** Returns the parts and reports of a ticket. */
  children(id: string): Ticket[];
  /** Stores a new ticket with its history. */
  insert(ticket: Ticket, extras?: TicketExtras): void;
  /**
   * Stores a changed ticket and the new entries of its history. Throws where the history does not continue the stored
   * one.
   */
  update(ticket: Ticket): void;
  /**
   * Adds an alert to an open ticket: it no longer counts in one before. Throws (unique index) where another open ticket
   * has the alert.
   */
  attach(ticket: string, alert: JoiningAlert): void;
  /** Stores the state and severity of an alert of an open ticket; it counts in no other. */
  setAlert(rule: string, group: string, now: Pick<TicketAlert, 'state' | 'severity'>): void;
  /**
   * Stores that an alert has ended, also in tickets that ended before it. `unseen`: with its rule or device, so that
   * nothing says that its cause is over.
   */
  endAlert(rule: string, group: string, unseen?: boolean): void;
  /** Reports whether an alert of a ticket has ended unseen. */
  endedUnseen(ticket: string): boolean;
  /** Returns the alerts of a ticket that fire, without one of them. */
  firing(ticket: string, except?: Pick<TicketAlert, 'rule' | 'group'>): Firing;
  /** Reports whether an alert of a ticket fires. */
  fires(ticket: string, alert: Pick<TicketAlert, 'rule' | 'group'>): boolean;
  /** Returns the alerts of a ticket that fire, oldest first. */
  firingAlerts(ticket: string): Pick<TicketAlert, 'rule' | 'group'>[];
  /** Returns all alerts of a ticket, oldest first. */
  alertsOf(ticket: string): Pick<TicketAlert, 'rule' | 'group'>[];
  /** Returns the time to resolve that the ticket opened with, ms; null: that of its service. */
  resolveMs(ticket: string): number | null;
  /** Returns the groups of joined alerts that the history does not name yet. Each is returned once. */
  takeJoined(ticket: string): string[];
  /** Releases the alerts of a ticket that ends, so that they can have another one. */
  release(ticket: string): void;
  /**
   * Binds them again to a ticket that reopens; false where another open ticket has one of them, or its gathering key.
   */
  rebind(ticket: string): boolean;
  reporterHash(ticket: string): Uint8Array | null;
  /** Returns the ticket that opened for what a citizen wrote; null where none did. */
  findReported(statement: string): Ticket | null;
}

/** Neither a ticket nor a report of it names another thing than a parameter; null: whatever they name. */
const namesNoOther = (thing: string) => `(${thing} is null or not exists (
      select 1 from tickets as other where (other.id = tickets.id or other.parent = tickets.id) and other.thing <> ${thing}))`;

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createTicketStore(db: DatabaseSync): TicketStore {
  const byId = db.prepare(`${SELECT_TICKETS} where id = ?`);
  const ofAlert = `select ticket from ticket_alerts where rule = ? and "group" = ?`;
  const open = db.prepare(`${SELECT_TICKETS} where id = (${ofAlert} and attached = 1)`);
  const gathering = db.prepare(
    `${SELECT_TICKETS} where gather_key is not null and gather_key = ? and status not in ('resolved', 'closed')`,
  );
  // The number first: a row has its whole history in it.
  const last = db.prepare(`${SELECT_TICKETS} where n = (select max(n) from tickets where id in (${ofAlert}))`);
  const children = db.prepare(`${SELECT_TICKETS} where parent = ? order by n`);
  const within = db.prepare(`
    ${SELECT_TICKETS} where service = ?1 and parent is null and status not in ('resolved', 'closed')
      and lat between ?2 and ?3 and (?4 is null or lon between ?4 and ?5)
      and ${namesNoOther('?6')} order by n`);
  const about = db.prepare(`
    ${SELECT_TICKETS} where id in (select coalesce(parent, id) from tickets where asset = ?1) and service = ?2
      and parent is null and status not in ('resolved', 'closed') and ${namesNoOther('?3')} order by n`);
  const unmeasured = db.prepare(`
    select 1 from tickets where parent = ? and relation = 'report' and unmeasured = 1
      and status not in ('resolved', 'closed') limit 1`);
  const parts = db.prepare(`
    ${SELECT_TICKETS} where parent = ? and relation = 'part' and status not in ('resolved', 'closed') order by n`);
  const stored = db.prepare('select version from tickets where id = ?');
  const addChange = db.prepare(`
    insert into ticket_changes (ticket, ordinal, at, "by", action, "from", "to", note, statement)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const attach = db.prepare(`
    insert into ticket_alerts (ticket, ordinal, rule, "group", state, severity, since, attached, noted)
    values (?1, (select coalesce(max(ordinal) + 1, 0) from ticket_alerts where ticket = ?1), ?2, ?3, ?4, ?5, ?6, 1, ?7)`);
  const setAlert = db.prepare(`
    update ticket_alerts set state = ?, severity = ?, unseen = 0 where rule = ? and "group" = ? and attached = 1`);
  const endAlert = db.prepare(
    `update ticket_alerts set state = 'resolved', unseen = ?3 where rule = ?1 and "group" = ?2 and state = 'firing'`,
  );
  const unseen = db.prepare(
    `select 1 from ticket_alerts where ticket = ? and state = 'resolved' and unseen = 1 limit 1`,
  );
  const firing = db.prepare(`
    select severity, count(*) as n from ticket_alerts
    where ticket = ? and state = 'firing' and (rule <> ? or "group" <> ?) group by severity`);
  const firingAlerts = db.prepare(
    `select rule, "group" from ticket_alerts where ticket = ? and state = 'firing' order by ordinal`,
  );
  const alertsOf = db.prepare('select rule, "group" from ticket_alerts where ticket = ? order by ordinal');
  const fires = db.prepare(
    `select 1 from ticket_alerts where ticket = ? and rule = ? and "group" = ? and state = 'firing' limit 1`,
  );
  const resolveMs = db.prepare('select resolve_ms as ms from tickets where id = ?');
  const unnoted = db.prepare('select "group" from ticket_alerts where ticket = ? and noted = 0 order by ordinal');
  const note = db.prepare('update ticket_alerts set noted = 1 where ticket = ? and noted = 0');
  const release = db.prepare('update ticket_alerts set attached = 0 where ticket = ? and attached = 1');
  const taken = db.prepare(`
    select 1 from ticket_alerts mine join ticket_alerts other
      on other.rule = mine.rule and other."group" = mine."group" and other.attached = 1
    where mine.ticket = ?1
    union all
    select 1 from tickets mine join tickets other on other.gather_key = mine.gather_key and other.id <> mine.id
    where mine.id = ?1 and mine.gather_key is not null and other.gather_key is not null
      and other.status not in ('resolved', 'closed')
    limit 1`);
  const rebind = db.prepare('update ticket_alerts set attached = 1 where ticket = ?');
  const reported = db.prepare(`${SELECT_TICKETS} where statement = ? and relation is not 'part'`);
  const hash = db.prepare('select reporter_hash as hash from tickets where id = ?');

  function addChanges(ticket: Ticket, first: number): void {
    for (const [i, { at, by, action, from, to, note, statement = null }] of ticket.history.slice(first).entries()) {
      addChange.run(ticket.id, first + i, at, by, action, from, to, note, statement);
    }
  }
  const one = (row: ReturnType<typeof byId.get>) => (row === undefined ? null : ticketOf(row));

  return {
    get: (id) => one(byId.get(id)),
    existing(id) {
      const ticket = one(byId.get(id));
      if (ticket === null) throw new LamppostError('not-found', `there is no ticket "${id}"`);
      return ticket;
    },
    findOpen: (rule, group) => one(open.get(rule, group)),
    findGathering: (key) => one(gathering.get(key)),
    findLast: (rule, group) => one(last.get(rule, group)),
    findAbout: (service, asset, thing) => about.all(asset, service, thing).map(ticketOf),
    hasUnmeasured: (id) => unmeasured.get(id) !== undefined,
    openParts: (id) => parts.all(id).map(ticketOf),
    children: (id) => children.all(id).map(ticketOf),
    findWithin: (service, { lat, lon }, thing) =>
      within.all(service, ...lat, lon?.[0] ?? null, lon?.[1] ?? null, thing).map(ticketOf),
    insert(ticket, extras = {}) {
      const { gatherKey = null, reporterHash = null, resolveMs = null, unmeasured = false, thing = null } = extras;
      const values = [
        ...openingValues(ticket),
        ['gather_key', gatherKey] as const,
        ['reporter_hash', reporterHash] as const,
        ['resolve_ms', resolveMs] as const,
        ['unmeasured', unmeasured ? 1 : 0] as const,
        ['thing', thing] as const,
      ];
      const places = values.map(() => '?').join(', ');
      const sql = `insert into tickets (${values.map(([column]) => column).join(', ')}) values (${places})`;
      db.prepare(sql).run(...values.map(([, value]) => value));
      addChanges(ticket, 0);
    },
    update(ticket) {
      const values = movingValues(ticket);
      const sql = `update tickets set ${values.map(([column]) => `${column} = ?`).join(', ')} where id = ?`;
      const before = Number(stored.get(ticket.id)?.version);
      db.prepare(sql).run(...values.map(([, value]) => value), ticket.id);
      addChanges(ticket, before);
    },
    attach(ticket, { rule, group, state, severity, since, noted }) {
      endAlert.run(rule, group, 0);
      attach.run(ticket, rule, group, state, severity, since, noted ? 1 : 0);
    },
    setAlert(rule, group, { state, severity }) {
      endAlert.run(rule, group, 0);
      setAlert.run(state, severity, rule, group);
    },
    endAlert: (rule, group, isUnseen = false) => void endAlert.run(rule, group, isUnseen ? 1 : 0),
    endedUnseen: (ticket) => unseen.get(ticket) !== undefined,
    firing(ticket, { rule, group } = { rule: '', group: '' }) {
      const rows = firing.all(ticket, rule, group) as unknown as { severity: Severity; n: number }[];
      const highest = rows.map(({ severity }) => severity).reduce(higherOrNull, null);
      return { count: rows.reduce((sum, { n }) => sum + n, 0), highest };
    },
    fires: (ticket, { rule, group }) => fires.get(ticket, rule, group) !== undefined,
    firingAlerts: (ticket) => firingAlerts.all(ticket).map(namesOf),
    alertsOf: (ticket) => alertsOf.all(ticket).map(namesOf),
    resolveMs: (ticket) => (resolveMs.get(ticket)?.ms as number | null | undefined) ?? null,
    takeJoined(ticket) {
      const groups = unnoted.all(ticket).map(({ group }) => String(group));
      if (groups.length > 0) note.run(ticket);
      return groups;
    },
    release: (ticket) => void release.run(ticket),
    rebind(ticket) {
      if (taken.get(ticket) !== undefined) return false;
      rebind.run(ticket);
      return true;
    },
    findReported: (statement) => one(reported.get(statement)),
    reporterHash: (ticket) => (hash.get(ticket)?.hash as Uint8Array | null | undefined) ?? null,
  };
}

function higherOrNull(a: Severity | null, b: Severity): Severity {
  return a === null ? b : higherSeverity(a, b);
}

function namesOf({ rule, group }: Readonly<Record<string, SQLOutputValue>>): Pick<TicketAlert, 'rule' | 'group'> {
  return { rule: String(rule), group: String(group) };
}

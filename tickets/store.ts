import type { DatabaseSync } from 'node:sqlite';
import type { Box, Ticket, TicketAlert } from '../domain/index.ts';

import { movingValues, openingValues, SELECT_TICKETS, ticketOf } from './row.ts';

/** Stored fields of a ticket that the ticket itself does not show. */
export interface TicketExtras {
  /** The key that its alerts share, where they are gathered. */
  readonly gatherKey?: string | null;
  /** SHA-256 of the reporter's token. */
  readonly reporterHash?: Uint8Array | null;
  /** A photo: a path of this server, or an address elsewhere. */
  readonly mediaUrl?: string | null;
  /** Id of its address in the city's own list of addresses (Open311 `address_id`). */
  readonly addressId?: string | null;
  /** The responses to the service's questions, by code. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>>;
}

/** An alert that joins a ticket. `noted`: whether the ticket's history names it already. */
export type JoiningAlert = TicketAlert & { readonly noted: boolean };

/** Stores tickets. The caller holds the transaction. */
export interface TicketStore {
  get(id: string): Ticket | null;
  /** Returns the one open ticket of an alert; null where there is none. */
  findOpen(rule: string, group: string): Ticket | null;
  /** Returns the open ticket of a gathering key; null where there is none. */
  findGathering(key: string): Ticket | null;
  /** Returns the newest ticket of an alert, open or not; null where there is none. */
  findLast(rule: string, group: string): Ticket | null;
  /** Returns the open tickets of a service in a box, without parts and reports of others. */
  findWithin(service: string, box: Box): Ticket[];
  /** Returns the open parts of a ticket. */
  openParts(id: string): Ticket[];
  /** Returns the parts and reports of a ticket. */
  children(id: string): Ticket[];
  /** Stores a new ticket with its history. */
  insert(ticket: Ticket, extras?: TicketExtras): void;
  /** Stores a changed ticket and the new entries of its history. Throws where the history does not continue the stored one. */
  update(ticket: Ticket): void;
  /** Adds an alert to an open ticket. Throws (unique index) where another open ticket has the alert. */
  attach(ticket: string, alert: JoiningAlert): void;
  /** Stores the state and severity of an alert of an open ticket. */
  setAlert(rule: string, group: string, now: Pick<TicketAlert, 'state' | 'severity'>): void;
  /** Returns the number of firing alerts of a ticket. */
  firing(ticket: string): number;
  /** Returns the groups of joined alerts that the history does not name yet. Each is returned once. */
  takeJoined(ticket: string): string[];
  /** Releases the alerts of a ticket that ends, so that they can have another one. */
  release(ticket: string): void;
  /** Binds them again to a ticket that reopens; false where another open ticket has one of them, or its gathering key. */
  rebind(ticket: string): boolean;
  reporterHash(ticket: string): Uint8Array | null;
}

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
      and lat between ?2 and ?3 and (?4 is null or lon between ?4 and ?5) order by n`);
  const parts = db.prepare(`
    ${SELECT_TICKETS} where parent = ? and relation = 'part' and status not in ('resolved', 'closed') order by n`);
  const stored = db.prepare('select version from tickets where id = ?');
  const addChange = db.prepare(`
    insert into ticket_changes (ticket, ordinal, at, "by", action, "from", "to", note) values (?, ?, ?, ?, ?, ?, ?, ?)`);
  const attach = db.prepare(`
    insert into ticket_alerts (ticket, ordinal, rule, "group", state, severity, since, attached, told)
    values (?1, (select coalesce(max(ordinal) + 1, 0) from ticket_alerts where ticket = ?1), ?2, ?3, ?4, ?5, ?6, 1, ?7)`);
  const setAlert = db.prepare(`
    update ticket_alerts set state = ?, severity = ? where rule = ? and "group" = ? and attached = 1`);
  const firing = db.prepare("select count(*) as n from ticket_alerts where ticket = ? and state = 'firing'");
  const unnoted = db.prepare('select "group" from ticket_alerts where ticket = ? and told = 0 order by ordinal');
  const note = db.prepare('update ticket_alerts set told = 1 where ticket = ? and told = 0');
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
  const hash = db.prepare('select reporter_hash as hash from tickets where id = ?');

  function addChanges(ticket: Ticket, first: number): void {
    for (const [i, { at, by, action, from, to, note }] of ticket.history.slice(first).entries()) {
      addChange.run(ticket.id, first + i, at, by, action, from, to, note);
    }
  }
  const one = (row: ReturnType<typeof byId.get>) => (row === undefined ? null : ticketOf(row));

  return {
    get: (id) => one(byId.get(id)),
    findOpen: (rule, group) => one(open.get(rule, group)),
    findGathering: (key) => one(gathering.get(key)),
    findLast: (rule, group) => one(last.get(rule, group)),
    openParts: (id) => parts.all(id).map(ticketOf),
    children: (id) => children.all(id).map(ticketOf),
    findWithin: (service, { lat, lon }) =>
      within.all(service, ...lat, lon?.[0] ?? null, lon?.[1] ?? null).map(ticketOf),
    insert(ticket, extras = {}) {
      const { gatherKey = null, reporterHash = null, mediaUrl = null, addressId = null, attributes = {} } = extras;
      const values = [
        ...openingValues(ticket),
        ['gather_key', gatherKey] as const,
        ['reporter_hash', reporterHash] as const,
        ['media_url', mediaUrl] as const,
        ['address_id', addressId] as const,
        ['attributes', JSON.stringify(attributes)] as const,
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
      attach.run(ticket, rule, group, state, severity, since, noted ? 1 : 0);
    },
    setAlert: (rule, group, { state, severity }) => void setAlert.run(state, severity, rule, group),
    firing: (ticket) => Number(firing.get(ticket)?.n),
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
    reporterHash: (ticket) => (hash.get(ticket)?.hash as Uint8Array | null | undefined) ?? null,
  };
}

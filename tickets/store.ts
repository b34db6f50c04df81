import type { DatabaseSync } from 'node:sqlite';
import type { Box, Ticket, TicketAlert } from '../domain/index.ts';

import { movingValues, openingValues, SELECT_TICKETS, ticketOf } from './row.ts';

/** What is stored of a ticket beside what everybody may see. */
export interface TicketExtras {
  /** What its alerts have in common, where they are gathered. */
  readonly gatherKey?: string | null;
  /** SHA-256 of the reporter's token. */
  readonly reporterHash?: Uint8Array | null;
  /** A photo: a path of this server, or an address elsewhere. */
  readonly mediaUrl?: string | null;
  /** Id of its address in the city's own list of addresses (Open311 `address_id`). */
  readonly addressId?: string | null;
  /** Answers to the service's questions, by code. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>>;
}

/** An alert as it joins a ticket. `told`: whether the ticket's history speaks of it. */
export type JoiningAlert = TicketAlert & { readonly told: boolean };

/** The writing side of the tickets; the caller holds the transaction. */
export interface TicketStore {
  get(id: string): Ticket | null;
  /** The one open ticket of an alert, or null. */
  findOpen(rule: string, group: string): Ticket | null;
  /** The open ticket whose alerts have this in common, or null. */
  findGathering(key: string): Ticket | null;
  /** The newest ticket that an alert had, open or not; null where it had none. */
  findLast(rule: string, group: string): Ticket | null;
  /** Open tickets of a service in a part of the map, without those that belong to another one. */
  findWithin(service: string, box: Box): Ticket[];
  /** Parts of a ticket that other departments still have. */
  openParts(id: string): Ticket[];
  /** Tickets that are a part of this one, or report the same. */
  children(id: string): Ticket[];
  /** Adds a ticket with its history. */
  insert(ticket: Ticket, extras?: TicketExtras): void;
  /** Stores a ticket that changed and adds what is new of its history. A history that does not go on from what is stored fails. */
  update(ticket: Ticket): void;
  /** Adds an alert to an open ticket; one that another open ticket has fails on the unique index. */
  attach(ticket: string, alert: JoiningAlert): void;
  /** Notes how an alert of an open ticket stands. */
  setAlert(rule: string, group: string, now: Pick<TicketAlert, 'state' | 'severity'>): void;
  /** How many alerts of a ticket fire. */
  firing(ticket: string): number;
  /** Alerts that joined and of which the history does not speak yet; they count as told from now on. */
  tellJoined(ticket: string): string[];
  /** The alerts of a ticket that ends are free for another one. */
  release(ticket: string): void;
  /** Binds them again to one that opens again; false where another open ticket has one of them, or gathers others like them. */
  rebind(ticket: string): boolean;
  reporterHash(ticket: string): Uint8Array | null;
}

/** Makes the writing side over a file that has `TICKET_SCHEMA`. */
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
  const untold = db.prepare('select "group" from ticket_alerts where ticket = ? and told = 0 order by ordinal');
  const tell = db.prepare('update ticket_alerts set told = 1 where ticket = ? and told = 0');
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
    attach(ticket, { rule, group, state, severity, since, told }) {
      attach.run(ticket, rule, group, state, severity, since, told ? 1 : 0);
    },
    setAlert: (rule, group, { state, severity }) => void setAlert.run(state, severity, rule, group),
    firing: (ticket) => Number(firing.get(ticket)?.n),
    tellJoined(ticket) {
      const groups = untold.all(ticket).map(({ group }) => String(group));
      if (groups.length > 0) tell.run(ticket);
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

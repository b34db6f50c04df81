import type { RoomSchema } from '../store/index.ts';

/**
 * Tables of the tickets, in the engine's state file. A unique index holds promise 3: one open ticket a (rule, group).
 * Changes are only ever added.
 */
export const TICKET_SCHEMA: RoomSchema = {
  room: 'tickets',
  steps: [
    `
  create table if not exists tickets (
    n integer primary key,
    id text not null unique,
    status text not null check (status in ('open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed')),
    rule text not null,
    "group" text not null,
    title text not null,
    title_zh text not null,
    service text not null,
    department text not null,
    district text not null,
    severity text not null,
    lat real,
    lon real,
    opened_at text not null,
    updated_at text not null,
    due_at text not null,
    evidence text not null
  ) strict;
  create unique index if not exists tickets_one_open on tickets (rule, "group") where status not in ('resolved', 'closed');
  create index if not exists tickets_by_status on tickets (status);
  create index if not exists tickets_by_department on tickets (department);
  create index if not exists tickets_by_group on tickets ("group");
  create table if not exists ticket_changes (
    ticket text not null references tickets (id),
    ordinal integer not null,
    at text not null,
    "by" text not null,
    "from" text,
    "to" text not null,
    note text not null,
    primary key (ticket, ordinal)
  ) strict, without rowid;
  create trigger if not exists ticket_changes_stay before update on ticket_changes
    begin select raise(abort, 'a change of a ticket is never edited'); end;
  create trigger if not exists ticket_changes_remain before delete on ticket_changes
    begin select raise(abort, 'a change of a ticket is never deleted'); end;
`,
  ],
};

import type { RoomSchema } from '../store/index.ts';

/**
 * Tables of the tickets in the engine's state file, step by step. Changes are only added. A unique index keeps promise
 * 3: one open ticket for an alert, which is a (rule, group).
 */
const CHANGES = `
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
`;

const FIRST = `
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
  ${CHANGES}`;

/** Tickets of several alerts and of none, who works on them, waits, silences and what comes due. */
const SERVICES = `
  create table tickets_of_services (
    n integer primary key,
    id text not null unique,
    version integer not null,
    origin text not null check (origin in ('sensor', 'citizen', 'operator')),
    status text not null check (status in ('open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed')),
    rule text,
    "group" text,
    title text not null,
    title_zh text not null,
    description text,
    service text not null,
    department text not null,
    district text not null,
    severity text not null,
    lat real,
    lon real,
    address text,
    party text,
    assignee text,
    offer_to text,
    offer_until text,
    escalated_to text not null default '[]',
    former_departments text not null default '[]',
    parent text references tickets_of_services (id),
    relation text check (relation in ('part', 'report')),
    reports integer not null default 0,
    opened_at text not null,
    updated_at text not null,
    acknowledged_at text,
    resolved_at text,
    closed_at text,
    acknowledge_by text,
    due_at text not null,
    reopened integer not null default 0,
    stars integer check (stars between 1 and 5),
    rating_comment text,
    rated_at text,
    evidence text,
    gather_key text,
    reporter_hash blob,
    media_url text,
    attributes text not null default '{}'
  ) strict;
  insert into tickets_of_services (n, id, version, origin, status, rule, "group", title, title_zh, service, department,
      district, severity, lat, lon, opened_at, updated_at, resolved_at, due_at, evidence)
    select n, id, (select count(*) from ticket_changes where ticket = tickets.id), 'sensor', status, rule, "group", title,
      title_zh, service, department, district, severity, lat, lon, opened_at, updated_at,
      case when status = 'resolved' then updated_at end, due_at, evidence
    from tickets;

  create table ticket_alerts (
    ticket text not null,
    rule text not null,
    "group" text not null,
    ordinal integer not null,
    state text not null check (state in ('firing', 'resolved')),
    severity text not null,
    since text not null,
    attached integer not null,
    told integer not null default 1,
    primary key (ticket, ordinal)
  ) strict, without rowid;
  create unique index ticket_alerts_one_open on ticket_alerts (rule, "group") where attached = 1;
  create index ticket_alerts_by_alert on ticket_alerts (rule, "group");
  insert into ticket_alerts
    select id, rule, "group", 0, case when status = 'resolved' then 'resolved' else 'firing' end, severity, opened_at,
      status <> 'resolved', 1 from tickets;

  drop table tickets;
  alter table tickets_of_services rename to tickets;
  create table changes_with_deeds (
    ticket text not null references tickets (id),
    ordinal integer not null,
    at text not null,
    "by" text not null,
    deed text not null,
    "from" text,
    "to" text not null,
    note text not null,
    primary key (ticket, ordinal)
  ) strict, without rowid;
  insert into changes_with_deeds (ticket, ordinal, at, "by", deed, "from", "to", note)
    select ticket, ordinal, at, "by", case
        when "from" is null then 'opened'
        when "to" = 'resolved' then 'resolved'
        when note like 'escalated from %' then 'escalated'
        else 'updated' end, "from", "to", note
    from ticket_changes;
  drop table ticket_changes;
  alter table changes_with_deeds rename to ticket_changes;
  create trigger ticket_changes_stay before update on ticket_changes
    begin select raise(abort, 'a change of a ticket is never edited'); end;
  create trigger ticket_changes_remain before delete on ticket_changes
    begin select raise(abort, 'a change of a ticket is never deleted'); end;

  create index tickets_by_status on tickets (status);
  create index tickets_by_department on tickets (department);
  create index tickets_by_party on tickets (party) where party is not null;
  create index tickets_by_group on tickets ("group");
  create index tickets_by_parent on tickets (parent) where parent is not null;
  create index tickets_by_service on tickets (service, status);
  create index tickets_by_opening on tickets (opened_at);
  create unique index tickets_one_gathering on tickets (gather_key)
    where gather_key is not null and status not in ('resolved', 'closed');

  create table ticket_due (
    ticket text not null,
    kind text not null,
    n integer not null,
    at_ms integer not null,
    "on" text,
    "to" text,
    primary key (ticket, kind, n)
  ) strict, without rowid;
  create index ticket_due_by_time on ticket_due (at_ms);

  create table ticket_waits (
    rule text not null,
    "group" text not null,
    reason text not null check (reason in ('inhibited', 'silenced', 'gathering')),
    cause text not null,
    since_ms integer not null,
    due_ms integer,
    labels text not null,
    opening text not null,
    primary key (rule, "group")
  ) strict, without rowid;
  create index ticket_waits_by_cause on ticket_waits (reason, cause, due_ms);

  create table silences (
    n integer primary key,
    id text not null unique,
    matchers text not null,
    starts_ms integer not null,
    ends_ms integer not null,
    calendar text,
    comment text not null,
    author text not null,
    created_at text not null,
    warned integer not null default 0
  ) strict;
  create index silences_by_end on silences (ends_ms);
`;

/** Finds citizens' requests by place, by the hash of the reporter's token, and by photo. */
const CITIZENS = `
  alter table tickets add column address_id text;
  create index tickets_by_place on tickets (service, lat) where lat is not null and parent is null;
  create unique index tickets_by_reporter on tickets (reporter_hash) where reporter_hash is not null;
  create index tickets_by_media on tickets (media_url) where media_url is not null;
`;

/** Finds tickets that were resolved lately. */
const RESOLUTIONS = 'create index tickets_by_resolution on tickets (resolved_at) where resolved_at is not null;';

/** Renames the field of a history entry to its name in the API. */
const ACTIONS = 'alter table ticket_changes rename column deed to action;';

/** Silences that began when they were made: people meant how long they last, not when they end. */
const LASTS = `
  alter table silences add column lasts integer not null default 0;
  update silences set lasts = 1 where starts_ms <= round(unixepoch(created_at, 'subsec') * 1000);
`;

/**
 * What citizens wrote stands apart, by the id in `statement`. `media_url`, `address_id`, `attributes` and
 * `rating_comment` are empty since; `tickets_to_move` finds the tickets of before, whose words are still in the row.
 */
const STATEMENTS = `
  alter table tickets add column statement text;
  alter table tickets add column rating_statement text;
  create index tickets_by_statement on tickets (statement) where statement is not null;
  create index tickets_by_comment on tickets (rating_statement) where rating_statement is not null;
  create index tickets_to_move on tickets (n) where origin = 'citizen' and statement is null;
  drop index tickets_by_media;
`;

/**
 * What was announced of silences: `announced` 1: created, 2: ended; `warned_ms`: the end that was warned of last. Those
 * of before this step are not announced again.
 */
const ANNOUNCED = `
  alter table silences add column announced integer not null default 0;
  alter table silences add column warned_ms integer not null default 0;
  update silences set announced = 2, warned_ms = case when warned = 1 then ends_ms else 0 end;
  create index silences_to_announce on silences (announced, ends_ms) where announced < 2;
  alter table ticket_waits add column announced integer not null default 0;
  update ticket_waits set announced = 1;
  create index ticket_waits_to_announce on ticket_waits (cause) where reason = 'silenced' and announced = 0;
`;

/**
 * A ticket's own time to resolve, the severity that it has at least, and what it was folded into; what the alerts were
 * opened from whose tickets may be folded. Tickets without an alert keep the severity that they opened with.
 */
const TRUTH = `
  alter table tickets add column resolve_ms integer;
  alter table tickets add column least_severity text;
  alter table tickets add column folded_into text;
  update tickets set least_severity = severity where rule is null;
  -- An alert that had ended after its ticket was never marked so.
  update ticket_alerts set state = 'resolved' where attached = 0 and state = 'firing';
  create table ticket_openings (
    rule text not null,
    "group" text not null,
    since_ms integer not null,
    labels text not null,
    opening text not null,
    primary key (rule, "group")
  ) strict, without rowid;
`;

/** What citizens write about their requests later on stands apart too. */
const WORDS = `
  alter table ticket_changes add column statement text;
  create index ticket_changes_by_statement on ticket_changes (statement) where statement is not null;
  create index ticket_changes_by_time on ticket_changes (at);
`;

/** What a ticket is about, and whether a report of it says something that no sensor measures. */
const ASSETS = `
  alter table tickets add column asset text;
  alter table tickets add column unmeasured integer not null default 0;
  create index tickets_by_asset on tickets (asset) where asset is not null;
`;

/** Finds the alerts behind a gateway: every silent device asks, and in a storm thousands of alerts can be explained. */
const GATEWAYS = `
  create index ticket_openings_by_gateway on ticket_openings (labels ->> '$.gateway', since_ms)
    where labels ->> '$.gateway' is not null;
`;

/** What a citizen named the thing by, as a short hash. */
const THINGS = 'alter table tickets add column thing text;';

/** Finds the next silence that ends. */
const ENDS = 'create index silences_unended on silences (ends_ms) where announced < 2;';

/** Whether an alert ended with its rule or device, so that nothing says that its cause is over. */
const UNSEEN = 'alter table ticket_alerts add column unseen integer not null default 0;';

/** Since when an alert waits for its cause: what repeats ends for it at its first end after that. */
const HELD = `
  alter table ticket_waits add column held_ms integer not null default 0;
  update ticket_waits set held_ms = since_ms;
  create index ticket_waits_by_hold on ticket_waits (cause, held_ms) where reason = 'silenced';
`;

/** Whether the history of the ticket names the alert. */
const NOTED = 'alter table ticket_alerts rename column told to noted;';

/** The tables of the tickets, as the steps that lead to them. */
export const TICKET_SCHEMA: RoomSchema = {
  room: 'tickets',
  steps: [
    FIRST,
    SERVICES,
    CITIZENS,
    RESOLUTIONS,
    ACTIONS,
    LASTS,
    STATEMENTS,
    ANNOUNCED,
    TRUTH,
    WORDS,
    ASSETS,
    GATEWAYS,
    THINGS,
    ENDS,
    UNSEEN,
    HELD,
    NOTED,
  ],
};

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Clock, TicketStatus } from '../domain/index.ts';
import { createZone, DAY_MS, isoOf } from '../domain/index.ts';

import { createTally, type Overseen, type Sums, type Tally } from './tally.ts';

/** What tickets can be told apart by. */
export const OVERSIGHT_KEYS = ['department', 'service', 'district', 'week'] as const;
export type OversightKey = (typeof OVERSIGHT_KEYS)[number];

/** Which tickets, by when they opened (epoch ms, [from, to)), and what they are told apart by. */
export interface OversightQuery {
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Only those that this department answers for. */
  readonly department?: string;
  readonly by: readonly OversightKey[];
  /** The IANA zone whose Mondays begin weeks. */
  readonly timezone: string;
}

/** One line: what its tickets have in common, and what they come to. A week is `2026-W14`, of their opening. */
export type OversightLine = { readonly [K in OversightKey]?: string } & Sums;

/** Reads what departments and services come to. */
export interface Oversight {
  /** In the order of what they are told apart by; the newest week first. Other work goes on in between. */
  read(query: OversightQuery): Promise<OversightLine[]>;
}

/** Rows at once: a few milliseconds, so that nothing else on this thread waits longer. */
const ROWS = 500;

// Who takes a ticket that nobody acknowledged has taken notice too. An alert that ends by itself was not noticed.
const PAGE = `
  select n, department, service, district, status, relation, opened_at, due_at, resolved_at, reopened, stars,
    (select case when "by" glob 'key:*' then at end from ticket_changes
      where ticket = tickets.id and "from" = 'open' and "to" <> 'open' order by ordinal limit 1) as noticed_at
  from tickets
  where (opened_at, n) > (?1, ?2) and opened_at < ?3 and (?4 is null or department = ?4)
  order by opened_at, n limit ${ROWS}`;

/** Makes the reader over a connection to a file that has `TICKET_SCHEMA`. */
export function createOversight(db: DatabaseSync, clock: Clock): Oversight {
  const page = db.prepare(PAGE);
  return {
    async read({ fromMs, toMs, department = null, by, timezone }) {
      const lines = createLines(by, createWeeks(timezone), clock.now());
      const end = toMs === undefined ? AFTER_ALL : isoOf(toMs);
      let [at, n] = [fromMs === undefined ? '' : isoOf(fromMs), -1];
      for (;;) {
        // A page is a look of its own: a cursor that stays open would show other readers of the connection an old state.
        const rows = page.all(at, n, end, department);
        for (const row of rows) lines.add(row);
        const last = rows.at(-1);
        if (last === undefined || rows.length < ROWS) return lines.all();
        [at, n] = [String(last.opened_at), Number(last.n)];
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

const AFTER_ALL = '~';

type Row = Readonly<Record<string, SQLOutputValue>>;

function createLines(by: readonly OversightKey[], weekOf: (ms: number) => string, nowMs: number) {
  const lines = new Map<
    string,
    { readonly common: { readonly [K in OversightKey]?: string }; readonly tally: Tally }
  >();
  return {
    add(row: Row): void {
      const ticket = overseenOf(row);
      const values = by.map((key) => (key === 'week' ? weekOf(ticket.openedMs) : String(row[key])));
      const name = values.join('\n');
      let line = lines.get(name);
      if (line === undefined) {
        line = { common: Object.fromEntries(by.map((key, i) => [key, values[i]!])), tally: createTally(nowMs) };
        lines.set(name, line);
      }
      line.tally.add(ticket);
    },
    all: (): OversightLine[] =>
      [...lines.values()]
        .sort((a, b) => by.map((key) => inOrder(key, a.common, b.common)).find((order) => order !== 0) ?? 0)
        .map(({ common, tally }) => ({ ...common, ...tally.sums() })),
  };
}

type Common = { readonly [K in OversightKey]?: string };

function inOrder(key: OversightKey, a: Common, b: Common): number {
  const [one, other] = key === 'week' ? [b[key]!, a[key]!] : [a[key]!, b[key]!];
  return one < other ? -1 : Number(one > other);
}

function overseenOf({ status, relation, opened_at, due_at, noticed_at, resolved_at, reopened, stars }: Row): Overseen {
  const msOf = (at: SQLOutputValue | undefined) => (typeof at === 'string' ? Date.parse(at) : null);
  return {
    status: status as TicketStatus,
    isReport: relation === 'report',
    openedMs: msOf(opened_at)!,
    dueMs: msOf(due_at)!,
    noticedMs: msOf(noticed_at),
    resolvedMs: msOf(resolved_at),
    reopened: Number(reopened),
    stars: stars === null ? null : Number(stars),
  };
}

const WEEK_MS = 7 * DAY_MS;
// 1970-01-01 was a Thursday: its week began three days before.
const FIRST_MONDAY_MS = -3 * DAY_MS;

/** Tells the week of a moment, by the clocks of an IANA zone, as ISO 8601 has it: `2026-W14`. */
export function createWeeks(iana: string): (ms: number) => string {
  const zone = createZone(iana);
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  let name = '';
  return (ms) => {
    // Moments mostly come in order: the zone is asked once a week.
    if (ms >= fromMs && ms < toMs) return name;
    const localMs = ms + zone.offsetAt(ms);
    const mondayMs = Math.floor((localMs - FIRST_MONDAY_MS) / WEEK_MS) * WEEK_MS + FIRST_MONDAY_MS;
    fromMs = zone.toUtc(mondayMs);
    toMs = zone.toUtc(mondayMs + WEEK_MS);
    name = nameOf(mondayMs);
    return name;
  };
}

/** A week is of the year that its Thursday lies in (ISO 8601-1 §3.1.1.23). */
function nameOf(mondayMs: number): string {
  const thursdayMs = mondayMs + 3 * DAY_MS;
  const year = new Date(thursdayMs).getUTCFullYear();
  const week = Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / WEEK_MS) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

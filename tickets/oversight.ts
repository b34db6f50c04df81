import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { type Clock, createZone, DAY_MS, isoOf, type ShapeOf, type TicketStatus } from '../domain/index.ts';
import { isOpen } from './lifecycle.ts';

/** The keys that tickets can be grouped by. */
export const OVERSIGHT_KEYS = ['department', 'service', 'district', 'week'] as const;
export type OversightKey = (typeof OVERSIGHT_KEYS)[number];

/** Selects tickets: by their opening (epoch ms, [from, to)), and by what they are about. */
export interface OversightQuery {
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Only those that these departments are responsible for; null: all. */
  readonly departments?: readonly string[] | null;
  readonly service?: string;
  readonly district?: string;
  /** The IANA zone in which weeks begin on Monday. */
  readonly timezone: string;
}

const count = z.int().min(0);
const key = z.string().exactOptional();

/** How long something took. `count` 0: it has not happened yet. */
const DurationsSchema = z.object({ count, medianSeconds: z.number().nullable(), p90Seconds: z.number().nullable() });

/** The aggregates of tickets that share department, service, district or week (`2026-W14`, of their opening). */
export const OversightLineSchema = z
  .object({
    department: key,
    service: key,
    district: key,
    week: key,
    opened: count,
    open: count.describe('Those that still need work'),
    overdue: count.describe('Of those open: past their deadline'),
    resolved: count,
    late: count.describe('Of those resolved: past their deadline'),
    reopened: count,
    reports: count.describe('Citizens who reported what had a ticket already'),
    acknowledge: DurationsSchema.describe('From the opening until a person acknowledged it'),
    resolve: DurationsSchema.describe('From the first opening to the last resolution'),
    ratings: z.object({ count, mean: z.number().nullable() }).describe('1 to 5 stars; the mean to two decimals'),
  })
  .meta({ id: 'OversightLine', description: 'Aggregates of tickets' });
export type OversightLine = ShapeOf<typeof OversightLineSchema>;
type Sums = Omit<OversightLine, OversightKey>;

/** Reads the aggregates of departments, services and districts. */
export interface Oversight {
  /**
   * Returns the lines in the order of their keys, the newest week first. Other work of the thread runs in between.
   * Throws the signal's reason where that aborts.
   */
  read(
    query: OversightQuery & { readonly by: readonly OversightKey[] },
    signal?: AbortSignal,
  ): Promise<OversightLine[]>;
  /** Returns the same for several groupings, by one reading. */
  readEach(
    query: OversightQuery,
    groupings: readonly (readonly OversightKey[])[],
    signal?: AbortSignal,
  ): Promise<OversightLine[][]>;
}

/** Rows of one query: a few milliseconds, so that nothing else on this thread waits longer. */
const ROWS = 500;

// The first change by a person out of `open` counts as acknowledged. An alert that ended by itself was not.
const PAGE = `
  select n, department, service, district, status, relation, opened_at, due_at, resolved_at, reopened, stars,
    (select case when "by" glob 'key:*' or "by" glob 'person:*' then at end from ticket_changes
      where ticket = tickets.id and "from" = 'open' and "to" <> 'open' order by ordinal limit 1) as noticed_at
  from tickets
  where (opened_at, n) > (?1, ?2) and opened_at < ?3 and (?4 is null or department in (select value from json_each(?4)))
  order by opened_at, n limit ${ROWS}`;

/** Returns the reader of a file that has `TICKET_SCHEMA`. */
export function createOversight(db: DatabaseSync, clock: Clock): Oversight {
  const page = db.prepare(PAGE);
  const oversight: Oversight = {
    read: async ({ by, ...query }, signal) => (await oversight.readEach(query, [by], signal))[0]!,
    async readEach({ fromMs, toMs, departments = null, service, district, timezone }, groupings, signal) {
      const weekOf = createWeeks(timezone);
      const all = groupings.map((by) => createLines(by, weekOf, clock.now()));
      // Not by the query: a page of a few is as soon read as one of all, wherever they are.
      const isAbout = (row: Row) =>
        row.service === (service ?? row.service) && row.district === (district ?? row.district);
      const end = toMs === undefined ? AFTER_ALL : isoOf(toMs);
      let [at, n] = [fromMs === undefined ? '' : isoOf(fromMs), -1];
      for (;;) {
        // A cursor that stays open would show other readers of the connection an old state.
        const rows = page.all(at, n, end, departments && JSON.stringify(departments));
        for (const row of rows.filter(isAbout)) for (const lines of all) lines.add(row);
        const last = rows.at(-1);
        if (last === undefined || rows.length < ROWS) return all.map((lines) => lines.all());
        [at, n] = [String(last.opened_at), Number(last.n)];
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
    },
  };
  return oversight;
}

const AFTER_ALL = '~';

type Row = Readonly<Record<string, SQLOutputValue>>;

function createLines(by: readonly OversightKey[], weekOf: (ms: number) => string, nowMs: number) {
  const lines = new Map<
    string,
    { readonly common: { readonly [K in OversightKey]?: string }; readonly tally: ReturnType<typeof createTally> }
  >();
  return {
    add(row: Row): void {
      const ticket = entryOf(row);
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

function entryOf({ status, relation, opened_at, due_at, noticed_at, resolved_at, reopened, stars }: Row): Entry {
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

/** The facts of one ticket that are added up. Times in epoch ms. */
interface Entry {
  readonly status: TicketStatus;
  /** A citizen's report of what has a ticket: the same work serves both. */
  readonly isReport: boolean;
  readonly openedMs: number;
  readonly dueMs: number;
  /** When a person first acknowledged it; null where nobody has, or nobody did before the alert ended. */
  readonly noticedMs: number | null;
  readonly resolvedMs: number | null;
  readonly reopened: number;
  readonly stars: number | null;
}

/** Returns an empty tally. Tickets are overdue as of `nowMs`. */
function createTally(nowMs: number) {
  const counts = { opened: 0, open: 0, overdue: 0, resolved: 0, late: 0, reopened: 0, reports: 0 };
  const acknowledge: number[] = [];
  const resolve: number[] = [];
  let ratings = 0;
  let stars = 0;

  function addWork({ status, openedMs, dueMs, noticedMs, resolvedMs, reopened }: Entry): void {
    counts.opened++;
    if (reopened > 0) counts.reopened++;
    if (noticedMs !== null) acknowledge.push(noticedMs - openedMs);
    if (isOpen(status)) {
      counts.open++;
      if (dueMs < nowMs) counts.overdue++;
      return;
    }
    counts.resolved++;
    if (resolvedMs === null) return;
    resolve.push(resolvedMs - openedMs);
    if (resolvedMs > dueMs) counts.late++;
  }

  return {
    add(ticket: Entry): void {
      if (ticket.stars !== null) {
        ratings++;
        stars += ticket.stars;
      }
      if (ticket.isReport) counts.reports++;
      else addWork(ticket);
    },
    sums: (): Sums => ({
      ...counts,
      acknowledge: durationsOf(acknowledge),
      resolve: durationsOf(resolve),
      ratings: { count: ratings, mean: ratings === 0 ? null : Math.round((100 * stars) / ratings) / 100 },
    }),
  };
}

/** Median and 90th percentile are values that occurred (nearest rank), in whole seconds. */
function durationsOf(all: readonly number[]): Sums['acknowledge'] {
  const sorted = Float64Array.from(all).sort();
  const at = (share: number) =>
    sorted.length === 0 ? null : Math.round(sorted[Math.ceil(share * sorted.length) - 1]! / 1_000);
  return { count: sorted.length, medianSeconds: at(0.5), p90Seconds: at(0.9) };
}

const WEEK_MS = 7 * DAY_MS;
// 1970-01-01 was a Thursday: its week began three days before.
const FIRST_MONDAY_MS = -3 * DAY_MS;

/** Returns the function from a moment to its ISO 8601 week in an IANA zone: `2026-W14`. */
export function createWeeks(iana: string): (ms: number) => string {
  const zone = createZone(iana);
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  let name = '';
  return (ms) => {
    // Moments mostly come in order: the zone is computed once a week.
    if (ms >= fromMs && ms < toMs) return name;
    const localMs = ms + zone.offsetAt(ms);
    const mondayMs = Math.floor((localMs - FIRST_MONDAY_MS) / WEEK_MS) * WEEK_MS + FIRST_MONDAY_MS;
    fromMs = zone.toUtc(mondayMs);
    toMs = zone.toUtc(mondayMs + WEEK_MS);
    name = nameOf(mondayMs);
    return name;
  };
}

/** A week belongs to the year of its Thursday (ISO 8601-1 §3.1.1.23). */
function nameOf(mondayMs: number): string {
  const thursdayMs = mondayMs + 3 * DAY_MS;
  const year = new Date(thursdayMs).getUTCFullYear();
  const week = Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / WEEK_MS) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

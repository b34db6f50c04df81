import { z } from 'zod';
import type { City, TicketStatus } from '../../domain/index.ts';
import { DAY_MS, isoOf } from '../../domain/index.ts';
import { OPEN_STATUSES, type RequestQuery } from '../../tickets/index.ts';
import { Instant } from '../schema.ts';
import { Search } from '../search.ts';
import { publicServices, serviceFault } from './documents.ts';
import { CommonQuery, type Fault, Field, shown } from './protocol.ts';

/** GeoReport v2: a time range spans at most 90 days, a page has at most 1,000 requests; a server may send fewer. */
const MAX_DAYS = 90;
const MAX_PAGE = 1_000;
const USUAL_PAGE = 100;

const STATUSES: Readonly<Record<string, readonly TicketStatus[]>> = {
  open: OPEN_STATUSES,
  closed: ['resolved', 'closed'],
};

/** One or several values, comma separated or repeated. */
const List = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .transform((given) => {
    const names = [given ?? []].flat().flatMap((one) =>
      one
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean),
    );
    return names.length === 0 ? undefined : names;
  });

/** The parameters of `GET requests`. */
export const FiltersSchema = CommonQuery.extend({
  service_request_id: List,
  service_code: List,
  status: List,
  start_date: Field,
  end_date: Field,
  updated_after: Field,
  updated_before: Field,
  lat: Field,
  long: Field,
  radius: Field,
  bbox: Field,
  q: Field,
  page: Field,
  page_size: Field,
  extensions: Field,
});
type Filters = z.output<typeof FiltersSchema>;

/**
 * Returns the query that the filters make, and everything that is wrong with them (GeoReport v2, GET Service Requests).
 */
export function requestQueryOf(
  filters: Filters,
  { city, nowMs }: { readonly city: City; readonly nowMs: number },
): { readonly query: RequestQuery; readonly faults: readonly Fault[] } {
  const faults: Fault[] = [];
  const wrong = (description: string) => void faults.push({ code: 400, description });
  const known = publicServices(city);
  const paging = pagingOf(filters, wrong);
  const services = [...known.keys()];
  // The specification: it "overrides all other arguments".
  if (filters.service_request_id !== undefined)
    return { query: { services, ids: filters.service_request_id, ...paging }, faults };
  for (const code of filters.service_code ?? []) {
    const fault = serviceFault(code, known);
    if (fault !== null) faults.push({ code: 404, description: `service_code: ${fault}` });
  }
  const opened = spanOf(filters, ['start_date', 'end_date'], nowMs, wrong);
  const updated = spanOf(filters, ['updated_after', 'updated_before'], nowMs, wrong);
  const usual = updated === null ? { fromMs: nowMs - MAX_DAYS * DAY_MS, toMs: nowMs } : null;
  const [requested, changed] = [timesOf(opened ?? usual), timesOf(updated)];
  const query: RequestQuery = {
    services: filters.service_code ?? services,
    statuses: statusesOf(filters.status, wrong),
    openedFrom: requested.from,
    openedTo: requested.to,
    near: nearOf(filters, wrong),
    ...searchOf(filters, wrong),
    decimals: city.publication.coordinateDecimals,
    updatedFrom: changed.from,
    updatedTo: changed.to,
    ...paging,
  };
  return { query, faults: faults.toSorted((a, b) => b.code - a.code) };
}

type Wrong = (description: string) => void;

function statusesOf(given: readonly string[] | undefined, wrong: Wrong): TicketStatus[] | undefined {
  for (const one of given ?? [])
    if (!Object.hasOwn(STATUSES, one)) wrong(`status: "${shown(one)}" is neither open nor closed`);
  return given?.flatMap((one) => STATUSES[one] ?? []);
}

const MOST_METRES = 100_000;

/** `bbox` and `q`, as the lists of the API have them. */
function searchOf({ bbox, q }: Filters, wrong: Wrong): Pick<RequestQuery, 'bbox' | 'q'> {
  const parsed = { bbox: Search.bbox.safeParse(bbox), q: Search.q.safeParse(q) };
  const found: { bbox?: RequestQuery['bbox']; q?: RequestQuery['q'] } = {};
  if (bbox !== undefined && parsed.bbox.success) found.bbox = parsed.bbox.data;
  if (q !== undefined && parsed.q.success) found.q = parsed.q.data;
  if (bbox !== undefined && !parsed.bbox.success) wrong(`bbox: ${parsed.bbox.error.issues[0]!.message}`);
  if (q !== undefined && !parsed.q.success) wrong(`q: ${parsed.q.error.issues[0]!.message}`);
  return found;
}

/** `lat`, `long` and `radius` (metres) go together. The place of a request is as exact as it is published. */
function nearOf({ lat, long, radius }: Filters, wrong: Wrong): RequestQuery['near'] {
  const texts = [lat, long, radius];
  if (texts.every((text) => text === undefined)) return undefined;
  const [north, east, metres] = texts.map((text) => (text === undefined ? Number.NaN : Number(text))) as [
    number,
    number,
    number,
  ];
  if (Math.abs(north) <= 90 && Math.abs(east) <= 180 && metres > 0 && metres <= MOST_METRES)
    return { lat: north, lon: east, metres };
  wrong(`lat, long, radius: write all three: degrees of WGS 84, and at most ${MOST_METRES} metres`);
  return undefined;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Returns a time range. An end that is not given is 90 days from the other, at most now; null where neither is given.
 */
export function spanOf(
  filters: Partial<Record<'start_date' | 'end_date' | 'updated_after' | 'updated_before', string | undefined>>,
  [first, last]: readonly ['start_date', 'end_date'] | readonly ['updated_after', 'updated_before'],
  nowMs: number,
  wrong: Wrong,
): Span | null {
  const [from, to] = [momentOf(filters, first, wrong), momentOf(filters, last, wrong)];
  if (from === undefined && to === undefined) return null;
  const fromMs = from ?? to! - MAX_DAYS * DAY_MS;
  const toMs = to ?? Math.max(fromMs, Math.min(nowMs, fromMs + MAX_DAYS * DAY_MS));
  if (fromMs > toMs) wrong(`${first}: is after ${last}`);
  if (toMs - fromMs > MAX_DAYS * DAY_MS) wrong(`${first}, ${last}: at most ${MAX_DAYS} days apart`);
  return { fromMs, toMs };
}

function momentOf(
  filters: Parameters<typeof spanOf>[0],
  name: 'start_date' | 'end_date' | 'updated_after' | 'updated_before',
  wrong: Wrong,
) {
  const text = filters[name];
  if (text === undefined) return undefined;
  const parsed = Instant.safeParse(text);
  if (!parsed.success) wrong(`${name}: ${parsed.error.issues[0]!.message}`);
  return parsed.data;
}

/** Documents have whole seconds, so the last second counts in full. */
export function timesOf(span: Span | null): { from: string | undefined; to: string | undefined } {
  if (span === null) return { from: undefined, to: undefined };
  return { from: isoOf(span.fromMs), to: isoOf(Math.floor(span.toMs / 1_000) * 1_000 + 999) };
}

function pagingOf({ page, page_size }: Filters, wrong: Wrong): Pick<RequestQuery, 'limit' | 'offset'> {
  const limit = wholeOf('page_size', page_size, USUAL_PAGE, wrong, MAX_PAGE);
  return { limit, offset: (wholeOf('page', page, 1, wrong, 1_000_000) - 1) * limit };
}

export function wholeOf(name: string, text: string | undefined, usual: number, wrong: Wrong, most: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return value;
  wrong(`${name}: "${shown(text)}" is not a whole number between 1 and ${most}`);
  return usual;
}

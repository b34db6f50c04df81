import { z } from 'zod';
import {
  type CalendarClock,
  type Clock,
  DAY_MS,
  isoOf,
  LamppostError,
  MATCH_KEYS,
  type MatchKey,
  TagsSchema,
} from '../../domain/index.ts';
import { calendarOf, FROM_NOW } from '../../tickets/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { SilenceResponse } from '../responses/tickets.ts';
import { found, Id, Instant, Name, Names, Paged, pageOf, partOf, Short } from '../schema.ts';
import type { App } from './routes.ts';

const names = Names.refine(
  (given) => given.length > 0,
  'name at least one, or leave it out: it would match nothing',
).exactOptional();
const lists = Object.fromEntries(MATCH_KEYS.map((key) => [key, names])) as Record<MatchKey, typeof names>;
const Tags = TagsSchema.refine(
  (tags) => Object.keys(tags).length > 0,
  'name at least one tag, or leave it out: no tags match every alert of the city',
);
const LONGEST_DAYS = 366;

const bodyOf = (clock: Clock) =>
  z
    .strictObject({
      matchers: z
        .strictObject({ ...lists, tags: Tags.exactOptional() })
        .refine(
          (given) => Object.keys(given).length > 0,
          'name at least one matcher; a silence of everything hides the city',
        ),
      startsAt: Instant.optional(),
      endsAt: Instant,
      calendar: Name.nullable().default(null),
      comment: z.string().min(1).max(2_000),
    })
    .superRefine(({ startsAt, endsAt }, context) => {
      const fromMs = startsAt ?? clock.now();
      const issue = (message: string) => context.addIssue({ code: 'custom', path: ['endsAt'], message });
      if (endsAt <= Math.max(fromMs, clock.now())) issue('a silence ends after it starts, and in the future');
      else if (endsAt - fromMs > LONGEST_DAYS * DAY_MS) issue(`a silence lasts at most ${LONGEST_DAYS} days`);
    });

/** Silences that have not ended. Each alert is compared with all of them. */
const MOST_SILENCES = 1_000;

/** Throws `conflict` where there are as many silences as there may be. */
function refuseTooMany(silences: ApiDeps['silences']): void {
  const { items } = silences.list({ limit: MOST_SILENCES, after: null, ended: false });
  if (items.length < MOST_SILENCES) return;
  throw new LamppostError(
    'conflict',
    `there are ${MOST_SILENCES} silences that have not ended; end some of them first`,
  );
}

const tags = ['silences'];
const MOST_DAYS = 62;
const Range = z
  .object({ from: Instant, to: Instant, ...Short.shape })
  .refine(
    ({ from, to }) => from < to && to - from <= MOST_DAYS * DAY_MS,
    `from is before to, at most ${MOST_DAYS} days`,
  );
const SilenceTimes = z
  .object({ id: z.string(), spans: z.array(z.object({ from: z.iso.datetime(), to: z.iso.datetime() })) })
  .meta({ id: 'SilenceTimes', description: 'When a silence holds alerts back' });

function calendarRoute(app: App, { silences, city }: Pick<ApiDeps, 'silences' | 'city'>): void {
  app.get(
    '/api/v1/silences/calendar',
    {
      config: { permission: 'silences.read', concurrency: 'queries' },
      schema: {
        tags,
        summary: 'Says when the newest 1,000 silences hold alerts back within a time, also those with a calendar',
        querystring: Range,
        response: { 200: pageOf(SilenceTimes) },
      },
    },
    async ({ query }) => {
      const { items } = silences.list({ limit: MOST_SILENCES, after: null, ended: true });
      // Many silences share a few calendars.
      const known = new Map<string | null, Span[]>();
      const times = items.map(({ id, calendar, startsAt, endsAt }) => {
        const on = known.get(calendar) ?? [...spansOf(calendarOf(calendar, city()), query)];
        known.set(calendar, on);
        return { id, spans: within(on, Date.parse(startsAt), Date.parse(endsAt)) };
      });
      return partOf(
        times.filter(({ spans }) => spans.length > 0),
        query,
      );
    },
  );
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Yields the parts of a time in which a calendar is on; null: it always is. */
function* spansOf(calendar: CalendarClock | null, { from, to }: Span): Generator<Span> {
  for (let at = from; at < to; ) {
    const isOn = calendar?.isActive(at) ?? true;
    const next = Math.min(to, calendar?.nextChange(at) ?? to);
    if (isOn) yield { from: at, to: next };
    at = next;
  }
}

function within(spans: readonly Span[], startMs: number, endMs: number) {
  return spans
    .map(({ from, to }) => ({ from: Math.max(from, startMs), to: Math.min(to, endMs) }))
    .filter(({ from, to }) => from < to)
    .map(({ from, to }) => ({ from: isoOf(from), to: isoOf(to) }));
}

/** `/api/v1/silences`: silences and maintenance windows. Alerts that match one go on; their tickets wait. */
export function silenceRoutes(app: App, deps: Pick<ApiDeps, 'silences' | 'clock' | 'city'>): void {
  const { silences, clock } = deps;
  calendarRoute(app, deps);
  app.get(
    '/api/v1/silences',
    {
      config: { permission: 'silences.read' },
      schema: {
        tags,
        summary: 'Lists silences that have not ended, newest first; with `ended=true` all',
        querystring: Paged.extend({ ended: z.stringbool().default(false) }),
        response: { 200: pageOf(SilenceResponse) },
      },
    },
    async ({ query }) => silences.list(query),
  );
  app.get(
    '/api/v1/silences/:id',
    {
      config: { permission: 'silences.read' },
      schema: { tags, summary: 'Returns a silence and its state', params: Id, response: { 200: SilenceResponse } },
    },
    async ({ params: { id } }) => found(silences.get(id), `silence "${id}"`),
  );
  app.post(
    '/api/v1/silences',
    {
      config: { permission: 'silences.write', audited: 'action' },
      schema: {
        tags,
        summary:
          'Silences alerts by rule, device, district, profile, severity, service, department or tags; with a calendar only during its times',
        body: bodyOf(clock),
        response: { 201: SilenceResponse },
      },
    },
    async (request, reply) => {
      const { matchers, startsAt, endsAt, calendar, comment } = request.body;
      refuseTooMany(silences);
      const from = startsAt === undefined ? FROM_NOW : isoOf(startsAt);
      const wanted = { matchers, startsAt: from, endsAt: isoOf(endsAt), calendar, comment };
      const made = await silences.add(wanted, callerOf(request));
      return reply.code(201).header('location', `/api/v1/silences/${made.id}`).send(made);
    },
  );
  app.delete(
    '/api/v1/silences/:id',
    {
      config: { permission: 'silences.write', audited: 'action' },
      schema: { tags, summary: 'Ends a silence now; the tickets that waited for it open', params: Id },
    },
    async (request, reply) => {
      const { id } = request.params;
      found(silences.get(id), `silence "${id}"`);
      await silences.end(id, callerOf(request));
      return reply.code(204).send();
    },
  );
}

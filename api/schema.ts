import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { LamppostError, type Page, parseDuration, SEVERITIES } from '../domain/index.ts';
import { parseTimestamp } from '../ingest/index.ts';
import { OVERLAP_MS } from '../registry/index.ts';
import { positionOf } from '../store/index.ts';

/** The bounds of what a request has: names and ids, how many of them, and short texts. */
const MOST_NAME = 200;
const MOST_NAMES = 1_000;
const MOST_SHORT = 100;
/** The `next` of a page: in some orders it has what the last item is ordered by. */
const MOST_AFTER = 2_000;

/** A name or an id in a request. */
export const Name = z.string().max(MOST_NAME);

/** Parameters of a path that names one thing. */
export const Id = z.object({ id: Name });

/** `?limit=&after=` of every list. */
export const Paged = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .max(MOST_AFTER)
    .nullish()
    .transform((after) => after ?? null),
});

/** The same of a list that is short: without a limit it is all of it. */
export const Short = Paged.extend({ limit: z.coerce.number().int().min(1).max(1000).optional() });

/** Returns a page of a short list. Throws `invalid` where `after` is not the `next` of one. */
export function partOf<T>(all: readonly T[], { limit = all.length, after }: z.output<typeof Short>): Page<T> {
  const from = positionOf(after, 0);
  const to = from + limit;
  return { items: all.slice(from, to), next: to < all.length ? String(to) : null };
}

/** A page of a list. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item).readonly(), next: z.string().nullable() });

export const SeveritySchema = z.enum(SEVERITIES);

/** One or several names, repeated or comma separated. */
export const Names = z
  .union([z.string().max(MOST_NAMES * MOST_SHORT), z.array(Name).max(MOST_NAMES)])
  .transform((names) => (Array.isArray(names) ? names : [names]).flatMap((one) => one.split(',')).filter(Boolean))
  .refine((names) => names.length <= MOST_NAMES, `at most ${MOST_NAMES} names`)
  .refine((names) => names.every((name) => name.length <= MOST_NAME), `a name has at most ${MOST_NAME} characters`);

/** One or several names of a list, repeated or comma separated. */
export const namesOf = <const T extends readonly string[]>(names: T) =>
  Names.pipe(z.array(z.enum(names))).describe(`One or several of ${names.join(', ')}; repeated or comma separated`);

/** The end of the year 9999: spans around a time stay within what ECMAScript can write (ECMA-262 §21.4.1.1). */
const MOST_INSTANT_MS = 253_402_300_799_999;

/**
 * Epoch milliseconds, or ISO 8601: a day (UTC) or a time with a zone. A `+` that was decoded as a space counts as `+`.
 */
export const Instant = z
  .string()
  .max(MOST_SHORT)
  .transform((text, context) => {
    const time = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text.replace(' ', '+');
    const ms = parseTimestamp(/^\d+$/.test(text) ? Number(text) : time);
    if (Math.abs(ms) <= MOST_INSTANT_MS) return ms;
    context.addIssue(`"${text}" is neither ISO 8601 with a zone (2026-01-31T12:00:00Z) nor epoch milliseconds`);
    return z.NEVER;
  });

/** How a secret is replaced. Without an overlap the old one ends at once. */
export const OverlapBody = z
  .strictObject({
    overlap: z
      .union([z.literal(true), z.string().max(20)])
      .optional()
      .describe('How long the old secret stays valid beside the new one, such as `12h`; true: 24 hours'),
  })
  .nullish();

/** Returns the overlap, ms; null: none. Throws `invalid` where it is no duration. */
export function overlapOf(body: z.output<typeof OverlapBody>): number | null {
  const overlap = body?.overlap;
  if (overlap === undefined || overlap === true) return overlap === true ? OVERLAP_MS : null;
  const ms = parseDuration(overlap);
  if (ms === null) throw new LamppostError('invalid', `overlap: "${overlap}" is no duration; write 12h or 7d`);
  return ms;
}

/** Returns the value. Throws `not-found` where it is null. */
export function found<T>(value: T | null, what: string): T {
  if (value === null) throw new LamppostError('not-found', `there is no ${what}`);
  return value;
}

type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Leaves out the keys whose value is undefined. */
export function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Sends text, bytes or a stream as it is, past the route's schema. */
export function sendRaw(reply: FastifyReply, type: string, body: string | Buffer | Readable): FastifyReply {
  return reply.type(type).serializer(String).send(body);
}

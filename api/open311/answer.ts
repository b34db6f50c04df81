import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { LocalText } from '../../domain/index.ts';
import { type Value, xmlOf } from './xml.ts';

/** GeoReport v2, "Format Support": by the ending of the address. */
const TYPES = { xml: 'text/xml; charset=utf-8', json: 'application/json; charset=utf-8' } as const;
type Format = keyof typeof TYPES;

/** `…/services.xml`: the parameter that an address ends with, as Fastify's routes write it. */
export const FORMAT = ':format(^(?:xml|json)$)';
export const FormatSchema = z.object({ format: z.enum(['xml', 'json']) });

/** Something wrong with a request: the HTTP status, and what would be right. */
export interface Fault {
  readonly code: 400 | 403 | 404 | 429 | 500 | 503;
  readonly description: string;
}

export type Language = keyof LocalText;

/** A value of the query or the form; empty is absent, of several the last counts. */
export const Field = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .transform((given) => (Array.isArray(given) ? given.at(-1) : given)?.trim() || undefined);

/** What every address takes. */
export const Asked = z.object({ jurisdiction_id: Field, locale: Field, api_key: Field });

/** By `?locale=`, else by Accept-Language (RFC 9110 §12.5.4): Chinese where it comes before English, or English. */
export function languageOf(request: FastifyRequest, locale: string | undefined): Language {
  const wanted = (locale ?? request.headers['accept-language'] ?? '').toLowerCase().split(',');
  const ranked = wanted
    .map((one) => ({ tag: one.split(';')[0]!.trim(), weight: Number(/;\s*q=([\d.]+)/.exec(one)?.[1] ?? 1) }))
    .filter(({ tag, weight }) => /^(zh|en)\b/.test(tag) && weight > 0)
    .sort((a, b) => b.weight - a.weight);
  return ranked[0]?.tag.startsWith('zh') ? 'zh' : 'en';
}

/** Sends a document; in JSON, a list stands for itself, without its name. */
export function answer(reply: FastifyReply, root: string, value: Value): FastifyReply {
  const format = formatOf(reply.request.url);
  const body = format === 'json' ? JSON.stringify(value) : xmlOf(root, value);
  return reply.header('content-type', TYPES[format]).header('vary', 'accept-language').send(Buffer.from(body));
}

/** Sends what is wrong, all of it; the first decides the status. */
export function refuse(reply: FastifyReply, faults: readonly Fault[]): FastifyReply {
  const errors = faults.map(({ code, description }) => ({ code, description }));
  return answer(reply.code(faults[0]!.code), 'errors', errors);
}

/** By the ending of an address; XML where it has none, as the format that every server has. */
function formatOf(url: string): Format {
  return /\.json(\?|$)/.test(url) ? 'json' : 'xml';
}

/** An instant as GeoReport v2 writes it: ISO 8601 UTC, whole seconds. */
export function instantOf(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import {
  type City,
  element,
  type LocalText,
  type ReportRefusal,
  type Xml,
  xmlOf,
  xmlTextOf,
} from '../../domain/index.ts';
import type { CitizenOptions } from '../deps.ts';

/** Path of GeoReport v2 below `/open311`. */
export const V2 = '/v2';
export const TAGS = ['open311'];
/** No key in the header: the route that needs one takes it as `api_key`. */
export const OPEN = { permission: 'open' } as const;

/** GeoReport v2, "Format Support": the ending of the address selects the format. */
const TYPES = { xml: 'text/xml; charset=utf-8', json: 'application/json; charset=utf-8' } as const;

/** The ending of an address, `…/services.xml`, as a parameter of Fastify's routes. */
export const FORMAT = ':format(^(?:xml|json)$)';
export const FormatSchema = z.object({ format: z.enum(['xml', 'json']) });

/** What is wrong with a request: the HTTP status, and what would be right. */
export interface Fault {
  readonly code: 400 | 403 | 404 | 405 | 429 | 500 | 503;
  readonly description: string;
  /** Why, where the citizen can fix it: an element that GeoReport v2 does not have. */
  readonly reason?: ReportRefusal;
}

/** Thrown where a request is refused; `retryAfterS` is when it may be sent again. */
export class Refused extends Error {
  readonly faults: readonly Fault[];
  readonly retryAfterS: number | null;

  constructor(faults: readonly Fault[], retryAfterS: number | null = null) {
    super(faults.map(({ description }) => description).join('; '));
    this.faults = faults;
    this.retryAfterS = retryAfterS;
  }
}

/** Returns a text of a client as a fault shows it: its beginning. */
export function shown(text: string): string {
  return text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN)}…`;
}

const MOST_SHOWN = 100;

export type Language = keyof LocalText;

/** A value of the query or form. Empty counts as absent; of several values the last counts. */
export const Field = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .transform((given) => (Array.isArray(given) ? given.at(-1) : given)?.trim() || undefined);

/** The parameters that every address takes. */
export const CommonQuery = z.object({ jurisdiction_id: Field, locale: Field, api_key: Field });

/**
 * Returns `zh` where the client prefers Chinese to English by `?locale=`, else by Accept-Language (RFC 9110 §12.5.4);
 * else `en`.
 */
export function languageOf(request: FastifyRequest, locale: string | undefined): Language {
  const wanted = (locale ?? request.headers['accept-language'] ?? '').toLowerCase().split(',');
  const ranked = wanted
    .map((one) => ({ tag: one.split(';')[0]!.trim(), weight: Number(/;\s*q=([\d.]+)/.exec(one)?.[1] ?? 1) }))
    .filter(({ tag, weight }) => /^(zh|en)\b/.test(tag) && weight > 0)
    .sort((a, b) => b.weight - a.weight);
  return ranked[0]?.tag.startsWith('zh') ? 'zh' : 'en';
}

/**
 * Returns what public addresses of this server begin with. It never follows the `Host` of a request, which is whatever
 * the client writes.
 */
export function baseOf({ socket }: FastifyRequest, { publicUrl }: CitizenOptions): string {
  return publicUrl ?? `http://localhost:${socket.localPort}`;
}

/** Returns the fault of a `jurisdiction_id` that is not this city's; it may be left out, as the server has one city. */
export function jurisdictionFault(given: string | undefined, { open311: { jurisdiction } }: City): Fault | null {
  if (given === undefined || given === jurisdiction) return null;
  const right = jurisdiction === null ? 'leave it out' : `write ${jurisdiction}, or leave it out`;
  return { code: 404, description: `jurisdiction_id: "${given}" is not served here; ${right}` };
}

/** Returns the hook that refuses queries for another jurisdiction. */
export function onlyHere(city: () => City) {
  return async ({ query }: FastifyRequest, reply: FastifyReply) => {
    const fault = jurisdictionFault((query as z.output<typeof CommonQuery>).jurisdiction_id, city());
    if (fault !== null) return refuse(reply, [fault]);
  };
}

/** The value of a document. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [name: string]: Value };

export type Format = keyof typeof TYPES;

/** Returns the format of an address: XML where it has no ending, as every GeoReport server has it. */
export function formatOf({ url }: FastifyRequest): Format {
  return /\.json(\?|$)/.test(url) ? 'json' : 'xml';
}

/** Sets what every document has in its headers. */
export function describe(reply: FastifyReply, format: Format): FastifyReply {
  return reply.header('content-type', TYPES[format]).header('vary', 'accept-language');
}

/** Sends a document in the format of the address. `root` names its XML element; JSON has no name for it. */
export function sendDocument(reply: FastifyReply, root: string, value: Value): FastifyReply {
  const format = formatOf(reply.request);
  const body = format === 'json' ? JSON.stringify(value) : xmlOf(elementOf(root, value));
  return describe(reply, format).send(Buffer.from(body));
}

/** Returns one item of a list as it stands in a document of the format. */
export function itemOf(root: string, value: Value, format: Format): string {
  return format === 'json' ? JSON.stringify(value) : xmlTextOf(elementOf(ITEMS[root]!, value));
}

/** Returns the document of a list, from its items. */
export function listOf(root: string, items: readonly string[], format: Format): string {
  if (format === 'json') return `[${items.join(',')}]`;
  if (items.length === 0) return xmlOf(element(root, ''));
  return xmlOf(element(root, PLACE)).split(PLACE).join(items.join(''));
}

/** Stands for the items of a list in its document. */
const PLACE = '\u2026';

const MOST_FAULTS = 50;

/** Sends the faults, up to a bound; the first one sets the status. */
export function refuse(reply: FastifyReply, faults: readonly Fault[]): FastifyReply {
  const errors = faults
    .slice(0, MOST_FAULTS)
    .map(({ code, description, reason }) => ({ code, description, ...(reason && { reason }) }));
  return sendDocument(reply.code(faults[0]!.code), 'errors', errors);
}

/** The element of one item, by the element around it, as GeoReport v2 names them. */
const ITEMS: Readonly<Record<string, string>> = {
  services: 'service',
  attributes: 'attribute',
  values: 'value',
  service_requests: 'request',
  errors: 'error',
  endpoints: 'endpoint',
  formats: 'format',
  media_urls: 'media_url',
  service_request_updates: 'request_update',
};

/** Returns a value as XML: items of a list become elements, null and empty text an empty element. */
export function elementOf(name: string, value: Value): Xml {
  if (value === null) return element(name, '');
  if (typeof value !== 'object') return element(name, String(value));
  if (!isList(value))
    return element(
      name,
      Object.entries(value).map(([key, one]) => elementOf(key, one)),
    );
  return element(
    name,
    value.map((one) => elementOf(ITEMS[name] ?? 'item', one)),
  );
}

const isList = (value: object): value is readonly Value[] => Array.isArray(value);

/** Returns an instant as GeoReport v2 writes it: ISO 8601 UTC in whole seconds. */
export function instantOf(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

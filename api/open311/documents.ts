import { REMOVED, type ShownRequest, wordsOf } from '../../citizens/index.ts';
import { type City, type Service, type Ticket, unknownName } from '../../domain/index.ts';
import { isOpen } from '../../tickets/index.ts';
import { instantOf, type Language, shown, type Value } from './protocol.ts';

/** When this server's endpoint, or its form, last changed. */
const CHANGESET = '2026-11-28T00:00:00Z';

/** Open311 Service Discovery: where the endpoint is, and whom to ask for a key. */
export function discoveryOf({ name, open311 }: City, endpoint: string, language: Language): Value {
  return {
    changeset: CHANGESET,
    contact: open311.contact?.[language] ?? name[language],
    key_service: open311.keyService?.[language] ?? null,
    endpoints: [
      {
        specification: 'http://wiki.open311.org/GeoReport_v2',
        url: endpoint,
        changeset: CHANGESET,
        type: 'production',
        formats: ['text/xml', 'application/json'],
      },
    ],
  };
}

/** Returns the services that citizens may request, by code. */
export function publicServices({ services }: Pick<City, 'services'>): ReadonlyMap<string, Service> {
  return new Map([...services].filter(([, { open311 }]) => open311));
}

/** Returns why a code is no service that citizens may request, with a suggestion; null where it is one. */
export function serviceFault(code: string, services: ReadonlyMap<string, Service>): string | null {
  return services.has(code) ? null : unknownName('service', shown(code), services);
}

/** GeoReport v2, GET Service List. `group` is the responsible department. */
export function serviceOf(service: Service, { departments }: Pick<City, 'departments'>, language: Language): Value {
  const { id, title, description, attributes, keywords, department } = service;
  return {
    service_code: id,
    service_name: title[language],
    description: (description ?? title)[language],
    metadata: attributes.length > 0,
    type: 'realtime',
    keywords: keywords.join(', '),
    group: departments.get(department)?.title[language] ?? department,
  };
}

/** GeoReport v2, GET Service Definition: the questions of a service. */
export function definitionOf({ id, attributes }: Service, language: Language): Value {
  return {
    service_code: id,
    attributes: attributes.map(({ code, title, datatype, required, hint, values }, i) => ({
      variable: true,
      code,
      datatype: datatype === 'asset' ? 'string' : datatype,
      required,
      datatype_description: hint?.[language] ?? null,
      order: i + 1,
      description: title[language],
      ...(values.length === 0 ? {} : { values: values.map((one) => ({ key: one.key, name: one.title[language] })) }),
    })),
  };
}

/** How a request is shown. */
export interface View {
  readonly city: City;
  readonly language: Language;
  /** What public addresses of this server begin with. */
  readonly base: string;
  /** Whether the client asked for `?extensions=true`. */
  readonly extended: boolean;
}

/**
 * GeoReport v2, GET Service Request: what everybody may see of a ticket. It has no reporter, no note but that of the
 * resolution, and coordinates only as exact as the city publishes them.
 */
export function requestOf(request: ShownRequest, view: View): Value {
  const { ticket, address, addressId, mediaUrl, moreMedia = [] } = request;
  const addressOf = (media: string) => (media.startsWith('/') ? base + media : media);
  const { city, language, base, extended } = view;
  const service = city.services.get(ticket.service);
  return {
    service_request_id: ticket.id,
    status: isOpen(ticket.status) ? 'open' : 'closed',
    status_notes: statusNotes(ticket, language),
    service_name: service?.title[language] ?? ticket.service,
    service_code: ticket.service,
    description: descriptionOf(request, language),
    agency_responsible: city.departments.get(ticket.department)?.title[language] ?? ticket.department,
    service_notice: null,
    requested_datetime: instantOf(ticket.openedAt),
    // What is done is done: what is said of it later moves nothing.
    updated_datetime: instantOf(ticket.resolvedAt ?? ticket.updatedAt),
    expected_datetime: instantOf(ticket.dueAt),
    address,
    address_id: addressId,
    zipcode: null,
    lat: rounded(ticket.location?.lat, city),
    long: rounded(ticket.location?.lon, city),
    media_url: mediaUrl === null ? null : addressOf(mediaUrl),
    ...(extended
      ? {
          extended_attributes: {
            ...extensionsOf(ticket, city),
            media_urls: (mediaUrl === null ? [] : [mediaUrl, ...moreMedia]).map(addressOf),
          },
        }
      : {}),
  };
}

function descriptionOf({ ticket, description, removed }: ShownRequest, language: Language): string {
  if (removed) return REMOVED[language];
  return description ?? (language === 'zh' ? ticket.titleZh : ticket.title);
}

function rounded(degrees: number | undefined, { publication }: City): number | null {
  return degrees === undefined ? null : Number(degrees.toFixed(publication.coordinateDecimals));
}

function statusNotes(ticket: Ticket, language: Language): string | null {
  const { parent, relation, history, status } = ticket;
  if (relation === 'report') return JOINED[language](parent!);
  const ended = isOpen(status) ? undefined : history.findLast(({ action }) => action === 'resolved');
  return ended === undefined ? null : wordsOf(ended);
}

/** The note for a citizen whose request repeats another one. */
export const JOINED = {
  en: (parent: string) => `This was already reported as ${parent}. Both requests are handled and closed together.`,
  zh: (parent: string) => `此问题已有记录（${parent}），将一并处理和结案。`,
} as const;

/**
 * The place of an asset is known to a metre. Of what a citizen reported it is published only where coordinates are as
 * exact: else it would say where they stood.
 */
const ASSET_DECIMALS = 5;

function extensionsOf(ticket: Ticket, { publication }: City) {
  const { origin, severity, district, reports, relation, parent, rating, asset } = ticket;
  const isShown = origin !== 'citizen' || publication.coordinateDecimals >= ASSET_DECIMALS;
  return {
    origin,
    severity,
    district,
    reports,
    same_as: relation === 'report' ? parent : null,
    rating: rating?.stars ?? null,
    asset: isShown ? asset : null,
  };
}

import type { City, Ticket } from '../../domain/index.ts';
import { isOpen, type ServiceRequest } from '../../tickets/index.ts';
import { instantOf, type Language } from './answer.ts';
import type { Value } from './xml.ts';

/** How a request is shown. */
export interface Showing {
  readonly city: City;
  readonly language: Language;
  /** What paths of this server begin with. */
  readonly base: string;
  /** Whether `?extensions=true` was asked for. */
  readonly extended: boolean;
}

/** GeoReport v2, GET Service Request: what everybody may see of a ticket. No reporter, no notes but that of the resolution, places as coarse as the city publishes them. */
export function shownRequest({ ticket, mediaUrl, addressId }: ServiceRequest, showing: Showing): Value {
  const { city, language, base, extended } = showing;
  const service = city.services.get(ticket.service);
  return {
    service_request_id: ticket.id,
    status: isOpen(ticket.status) ? 'open' : 'closed',
    status_notes: statusNotes(ticket, language),
    service_name: service?.title[language] ?? ticket.service,
    service_code: ticket.service,
    description: ticket.description ?? (language === 'zh' ? ticket.titleZh : ticket.title),
    agency_responsible: city.departments.get(ticket.department)?.title[language] ?? ticket.department,
    service_notice: null,
    requested_datetime: instantOf(ticket.openedAt),
    updated_datetime: instantOf(ticket.updatedAt),
    expected_datetime: instantOf(ticket.dueAt),
    address: ticket.address,
    address_id: addressId,
    zipcode: null,
    lat: coarse(ticket.location?.lat, city),
    long: coarse(ticket.location?.lon, city),
    media_url: mediaUrl?.startsWith('/') ? base + mediaUrl : mediaUrl,
    ...(extended ? { extended_attributes: extensionsOf(ticket) } : {}),
  };
}

function coarse(degrees: number | undefined, { publication }: City): number | null {
  return degrees === undefined ? null : Number(degrees.toFixed(publication.coordinateDecimals));
}

function statusNotes(ticket: Ticket, language: Language): string | null {
  const { parent, relation, history, status } = ticket;
  if (relation === 'report') return JOINED[language](parent!);
  return isOpen(status) ? null : (history.findLast(({ action }) => action === 'resolved')?.note ?? null);
}

/** What a citizen is told whose request is another one's too. */
export const JOINED = {
  en: (parent: string) => `This was reported already, as ${parent}: it is served and closed together with that.`,
  zh: (parent: string) => `此问题已有记录（${parent}），将一并处理和结案。`,
} as const;

function extensionsOf({ origin, severity, district, reports, relation, parent, rating }: Ticket): Value {
  return {
    origin,
    severity,
    district,
    reports,
    same_as: relation === 'report' ? parent : null,
    rating: rating?.stars ?? null,
  };
}

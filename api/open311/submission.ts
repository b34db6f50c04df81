import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Report, Reporter } from '../../citizens/index.ts';
import {
  type Asset,
  type City,
  districtAt,
  type ReportRefusal,
  type Service,
  type ServiceAttribute,
} from '../../domain/index.ts';
import { Instant } from '../schema.ts';
import { publicServices, serviceFault } from './documents.ts';
import type { Form } from './form.ts';
import { type Fault, shown } from './protocol.ts';

/** A report to pass on, but for its photo, or everything that is wrong with the form. */
type Submission =
  | { readonly report: Omit<Report, 'photos'>; readonly faults: readonly [] }
  | { readonly report: null; readonly faults: readonly Fault[] };

/** The longest texts (GeoReport v2: 4,000 for the description). */
const MAX_TEXT = { description: 4_000, address_string: 1_000 } as const;
const MAX_MEDIA_URL = 2_000;
const MOST_MEDIA_URLS = 10;
const MAX_OTHER_TEXT = 200;
/** Texts that may have several lines. */
const LONG: ReadonlySet<string> = new Set(['description']);
const REPORTER = ['first_name', 'last_name', 'email', 'phone', 'device_id', 'account_id'] as const;

/**
 * Checks a form against the city: service, place, lengths, and the answers to the service's questions (GeoReport v2,
 * POST Service Request).
 */
export function submissionOf(
  { fields: sent, attributes, mediaUrls }: Pick<Form, 'fields' | 'attributes' | 'mediaUrls'>,
  city: City,
): Submission {
  const fields = new Map([...sent].map(([name, text]) => [name, LONG.has(name) ? text : inOneLine(text)]));
  const faults: Fault[] = [];
  const wrong: Wrong = (description, reason) => void faults.push({ code: 400, description, ...(reason && { reason }) });
  const service = serviceIn(fields, city, faults);
  const { answers, faults: unanswered } = answersOf(service, attributes, city);
  const asset = service === null ? null : assetNamed(service, answers, city);
  const place = placeIn(fields, city, wrong, asset);
  checkTexts(fields, wrong);
  checkMedia(mediaUrls, wrong);
  faults.push(...unanswered);
  // An unknown service (404) comes first: other faults may follow from it.
  const sorted = faults.toSorted((a, b) => b.code - a.code);
  if (service === null || sorted.length > 0) return { report: null, faults: sorted };
  const [mediaUrl = null, ...moreMedia] = mediaUrls;
  const report: Omit<Report, 'photos'> = {
    service: service.id,
    ...titlesOf(service),
    description: fields.get('description') ?? null,
    ...place,
    attributes: answers,
    asset: asset?.id ?? null,
    ...thingNamed(service, answers),
    unmeasured: !isMeasured(service, answers),
    mediaUrl,
    ...(moreMedia.length === 0 ? {} : { moreMedia }),
    reporter: reporterIn(fields),
  };
  return { report, faults: [] };
}

function inOneLine(text: string): string {
  return text.replace(/\s+/gu, ' ');
}

type Fields = Form['fields'];
type Wrong = (description: string, reason?: ReportRefusal) => void;

function serviceIn(fields: Fields, city: City, faults: Fault[]): Service | null {
  const code = fields.get('service_code');
  const known = publicServices(city);
  if (code === undefined) {
    const codes = [...known.keys()].join(', ');
    faults.push({ code: 400, description: `service_code: is missing; the city has ${codes}` });
    return null;
  }
  const fault = serviceFault(code, known);
  if (fault !== null) faults.push({ code: 404, description: `service_code: ${fault}`, reason: 'unknown-service' });
  return known.get(code) ?? null;
}

/** A form needs a point, an address text, an address id or an asset. The point must lie in the city. */
function placeIn(
  fields: Fields,
  city: City,
  wrong: Wrong,
  asset: Asset | null,
): Pick<Report, 'location' | 'district' | 'address' | 'addressId'> {
  const [address, addressId] = [fields.get('address_string') ?? null, fields.get('address_id') ?? null];
  const [lat, long] = [fields.get('lat'), fields.get('long')];
  if (lat === undefined && long === undefined && asset !== null) {
    const { location } = asset;
    return { location, district: districtAt(location, city.districts) ?? '', address, addressId };
  }
  const nowhere = { location: null, district: '', address, addressId };
  if (lat === undefined && long === undefined) {
    if (address === null && addressId === null)
      wrong('lat and long, or address_string, or address_id: one of them is required');
    return nowhere;
  }
  const location = { lat: degrees('lat', lat, 90, wrong), lon: degrees('long', long, 180, wrong) };
  if (Number.isNaN(location.lat) || Number.isNaN(location.lon)) return nowhere;
  const district = districtAt(location, city.districts);
  if (district === null)
    wrong(`lat, long: ${location.lat}, ${location.lon} is outside ${city.name.en}`, 'outside-the-city');
  return { ...nowhere, location, district: district ?? '' };
}

function degrees(name: string, text: string | undefined, most: number, wrong: Wrong): number {
  const value = text === undefined ? Number.NaN : Number(text);
  if (Math.abs(value) <= most) return value;
  const found = text === undefined ? 'is missing beside the other' : `"${shown(text)}" is not a number`;
  wrong(`${name}: ${found}; write degrees of WGS 84, between -${most} and ${most}`, 'bad-place');
  return Number.NaN;
}

function checkTexts(fields: Fields, wrong: Wrong): void {
  for (const name of ['description', 'address_string', 'address_id', ...REPORTER] as const) {
    const most = MAX_TEXT[name as keyof typeof MAX_TEXT] ?? MAX_OTHER_TEXT;
    const { length } = fields.get(name) ?? '';
    if (length > most) wrong(`${name}: has ${length} characters; at most ${most}`);
  }
  const email = fields.get('email');
  if (email !== undefined && !/^[^\s@]+@[^\s@]+$/.test(email))
    wrong(`email: "${shown(email)}" is not an e-mail address`);
}

/** Checks addresses of photos elsewhere. */
export function checkMedia(mediaUrls: readonly string[], wrong: Wrong): void {
  if (mediaUrls.length > MOST_MEDIA_URLS) wrong(`media_url: ${mediaUrls.length} of them; at most ${MOST_MEDIA_URLS}`);
  for (const { length } of mediaUrls)
    if (length > MAX_MEDIA_URL) wrong(`media_url: has ${length} characters; at most ${MAX_MEDIA_URL}`);
  if (!mediaUrls.every(isWebAddress)) wrong('media_url: write an address that begins with http:// or https://');
}

function isWebAddress(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

function titlesOf({ title }: Service): Pick<Report, 'title' | 'titleZh'> {
  return { title: `${title.en}, reported by a citizen`, titleZh: `${title.zh}（市民反映）` };
}

function reporterIn(fields: Fields): Reporter | null {
  if (!REPORTER.some((name) => fields.has(name))) return null;
  const name = [fields.get('first_name'), fields.get('last_name')].filter(Boolean).join(' ');
  return {
    name: name || null,
    email: fields.get('email') ?? null,
    phone: fields.get('phone') ?? null,
    deviceId: fields.get('device_id') ?? null,
    accountId: fields.get('account_id') ?? null,
  };
}

const MAX_ANSWER: Readonly<Record<'string' | 'text', number>> = { string: 500, text: 4_000 };

/**
 * Returns the answers to a service's questions by code, and what is wrong with them. Answers that the service does not
 * ask for are left out.
 */
function answersOf(
  service: Service | null,
  given: ReadonlyMap<string, readonly string[]>,
  city: City,
): { readonly answers: Report['attributes']; readonly faults: readonly Fault[] } {
  const answers: Record<string, string | readonly string[]> = {};
  const faults: Fault[] = [];
  for (const attribute of service?.attributes ?? []) {
    const texts = given.get(attribute.code) ?? [];
    const values = attribute.datatype === 'text' ? texts : texts.map(inOneLine);
    const wrong = faultOf(attribute, values) ?? assetFault(attribute, values, service!, city);
    if (wrong !== null)
      faults.push({ code: 400, description: `attribute[${attribute.code}]: ${wrong}`, reason: 'wrong-answer' });
    else if (values.length > 0) answers[attribute.code] = attribute.datatype === 'multivaluelist' ? values : values[0]!;
  }
  return { answers, faults };
}

/** Returns why an answer is no asset that the service is about; null where it is one, or where none is asked for. */
function assetFault(
  { datatype }: ServiceAttribute,
  [id]: readonly string[],
  service: Service,
  { assets }: Pick<City, 'assets'>,
): string | null {
  if (datatype !== 'asset' || id === undefined || belongs(assets.get(id), service)) return null;
  return `"${shown(id)}" is no ${service.asset?.kinds.join(' or ') ?? 'asset'} of this service`;
}

/** Whether an asset is of the service: it lists it, or, where it lists none, is of its kind. */
function belongs(asset: Asset | undefined, service: Service): boolean {
  if (asset === undefined) return false;
  if (asset.services.length > 0) return asset.services.includes(service.id);
  return service.asset?.kinds.includes(asset.kind) ?? false;
}

function assetNamed({ attributes }: Service, answers: Report['attributes'], { assets }: City): Asset | null {
  const asked = attributes.find(({ datatype, code }) => datatype === 'asset' && answers[code] !== undefined);
  return asked === undefined ? null : (assets.get(String(answers[asked.code])) ?? null);
}

/** What identifies the thing by the citizen's answers; a short hash, since words of citizens are not in the log. */
function thingNamed({ attributes }: Service, answers: Report['attributes']): { readonly thing?: string } {
  const named = attributes.flatMap(({ identifies, code }) =>
    identifies && answers[code] !== undefined ? [[code, String(answers[code]).replace(/\s+/g, '').toLowerCase()]] : [],
  );
  if (named.length === 0) return {};
  return { thing: createHash('sha256').update(JSON.stringify(named)).digest('hex').slice(0, 8) };
}

/** Whether the sensors of the service measure what the answers say; without `measured` nobody knows that they do. */
function isMeasured({ measured }: Service, answers: Report['attributes']): boolean {
  const says = (code: string, keys: readonly string[]) => {
    const given = [answers[code] ?? []].flat();
    return given.length > 0 && given.every((one) => keys.includes(one));
  };
  return measured.size > 0 && [...measured].every(([code, keys]) => says(code, keys));
}

function faultOf({ datatype, required, title, values: known }: ServiceAttribute, values: readonly string[]) {
  const [first] = values;
  if (first === undefined) return required ? `is required: ${title.en}` : null;
  if (datatype !== 'multivaluelist' && values.length > 1) return `takes one value, not ${values.length}`;
  switch (datatype) {
    case 'number':
      return z.coerce.number().safeParse(first).success ? null : `"${shown(first)}" is not a number`;
    case 'datetime':
      return Instant.safeParse(first).success
        ? null
        : `"${shown(first)}" is not ISO 8601 with a zone (2026-01-31T12:00:00Z)`;
    case 'asset':
      return null;
    case 'string':
    case 'text':
      return first.length <= MAX_ANSWER[datatype] ? null : `has more than ${MAX_ANSWER[datatype]} characters`;
    default: {
      const keys = known.map(({ key }) => key);
      const unknown = values.find((one) => !keys.includes(one));
      return unknown === undefined ? null : `"${shown(unknown)}" is none of ${keys.join(', ')}`;
    }
  }
}

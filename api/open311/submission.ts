import type { Report, Reporter } from '../../citizens/index.ts';
import type { City, Service } from '../../domain/index.ts';
import { districtAt } from '../../domain/index.ts';
import type { Fault } from './answer.ts';
import { answersOf } from './answers.ts';
import type { Form } from './form.ts';
import { publicServices } from './services.ts';

/** What a form asks for, or everything that keeps it from being asked. */
export type Submission =
  | { readonly report: Report; readonly faults: readonly [] }
  | { readonly report: null; readonly faults: readonly Fault[] };

/** Longest texts (GeoReport v2 names 4,000 for the description). */
const MOST = { description: 4_000, address_string: 1_000, media_url: 2_000 } as const;
const MOST_OF_OTHERS = 200;
const REPORTER = ['first_name', 'last_name', 'email', 'phone', 'device_id', 'account_id'] as const;

/** Checks a form against the city: the service, the place, the service's own questions, what everything may be (GeoReport v2, POST Service Request). */
export function submissionOf({ fields, attributes, photo, faults: before }: Form, city: City): Submission {
  const faults: Fault[] = [...before];
  const wrong = (description: string) => void faults.push({ code: 400, description });
  const service = serviceIn(fields, city, faults);
  const place = placeIn(fields, city, wrong);
  checkTexts(fields, wrong);
  const { answers, faults: unanswered } = answersOf(service?.attributes ?? [], attributes);
  faults.push(...unanswered);
  // An unknown service tells more than anything that follows from it.
  const sorted = faults.toSorted((a, b) => b.code - a.code);
  if (service === null || sorted.length > 0) return { report: null, faults: sorted };
  const report: Report = {
    service: service.id,
    ...titlesOf(service),
    description: fields.get('description') ?? null,
    ...place,
    attributes: answers,
    mediaUrl: fields.get('media_url') ?? null,
    photo,
    reporter: reporterIn(fields),
  };
  return { report, faults: [] };
}

type Fields = Form['fields'];
type Wrong = (description: string) => void;

function serviceIn(fields: Fields, city: City, faults: Fault[]): Service | null {
  const code = fields.get('service_code');
  const known = publicServices(city);
  const codes = [...known.keys()].join(', ');
  if (code === undefined) faults.push({ code: 400, description: `service_code: is missing; the city has ${codes}` });
  else if (!known.has(code))
    faults.push({ code: 404, description: `service_code: there is no service "${code}"; the city has ${codes}` });
  return known.get(code ?? '') ?? null;
}

/** At least one of a point, an address in words, and the id of an address. A point has to lie in the city: nobody else's department would come. */
function placeIn(
  fields: Fields,
  city: City,
  wrong: Wrong,
): Pick<Report, 'location' | 'district' | 'address' | 'addressId'> {
  const [address, addressId] = [fields.get('address_string') ?? null, fields.get('address_id') ?? null];
  const [lat, long] = [fields.get('lat'), fields.get('long')];
  const nowhere = { location: null, district: '', address, addressId };
  if (lat === undefined && long === undefined) {
    if (address === null && addressId === null)
      wrong('lat and long, or address_string, or address_id: one of them is required');
    return nowhere;
  }
  const location = { lat: degrees('lat', lat, 90, wrong), lon: degrees('long', long, 180, wrong) };
  if (Number.isNaN(location.lat) || Number.isNaN(location.lon)) return nowhere;
  const district = districtAt(location, city.districts);
  if (district === null) wrong(`lat, long: ${location.lat}, ${location.lon} lies outside of ${city.name.en}`);
  return { ...nowhere, location, district: district ?? '' };
}

function degrees(name: string, text: string | undefined, most: number, wrong: Wrong): number {
  const value = text === undefined ? Number.NaN : Number(text);
  if (Math.abs(value) <= most) return value;
  const found = text === undefined ? 'is missing beside the other' : `"${text}" is not a number`;
  wrong(`${name}: ${found}; write degrees of WGS 84, between -${most} and ${most}`);
  return Number.NaN;
}

function checkTexts(fields: Fields, wrong: Wrong): void {
  for (const name of ['description', 'address_string', 'address_id', 'media_url', ...REPORTER] as const) {
    const most = MOST[name as keyof typeof MOST] ?? MOST_OF_OTHERS;
    const { length } = fields.get(name) ?? '';
    if (length > most) wrong(`${name}: has ${length} characters; at most ${most}`);
  }
  const [email, mediaUrl] = [fields.get('email'), fields.get('media_url')];
  if (email !== undefined && !/^[^\s@]+@[^\s@]+$/.test(email)) wrong(`email: "${email}" is not an e-mail address`);
  if (mediaUrl !== undefined && !isWebAddress(mediaUrl))
    wrong('media_url: write an address that begins with http:// or https://');
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

import {
  type CapCategory,
  createZone,
  DAY_MS,
  type District,
  END_CAUSES,
  element,
  isoOf,
  type LocalText,
  MINUTE_MS,
  type Severity,
  type Xml,
  xmlOf,
} from '../../domain/index.ts';
import { type AlertData, isAlertEvent } from '../../events/index.ts';
import { alertPage } from '../pages.ts';
import type { Message } from '../receiver.ts';
import type { Format, FormatDeps, FormatInput, Reference } from './index.ts';

const NAMESPACE = 'urn:oasis:names:tc:emergency:cap:1.2';

const SEVERITY: Readonly<Record<Severity, string>> = {
  critical: 'Extreme',
  high: 'Severe',
  medium: 'Moderate',
  low: 'Minor',
  info: 'Minor',
};

/** Severities that are sent where the filter has no list of severities. */
const SEVERE: readonly Severity[] = ['high', 'critical'];

/** The fields of a message outside its `info` elements. */
interface Header {
  readonly id: string;
  readonly time: string;
  readonly status: 'Actual' | 'Test';
  readonly earlier: readonly Reference[];
  readonly isOver: boolean;
  /** Why it is over, where that was not seen; null otherwise. */
  readonly note: string | null;
}

/** The fields of both `info` elements that come from the service of an alert. */
interface About {
  /** The name of the service, or, where the alert has none, of the rule. */
  readonly event: LocalText;
  readonly category: CapCategory;
  /** ISO 8601 UTC, after the time of the message. */
  readonly expires: string;
}

/**
 * Creates the format Common Alerting Protocol 1.2 (OASIS CAP-v1.2): alerts of severity high and critical, or of those
 * that the filter lists. An alert of a higher severity is an Update, and one that resolves a Cancel, of the messages
 * that this webhook was sent before; one that ended with its rule or device says so and is no AllClear. An alert that
 * it was not sent is not cancelled. Scope is Restricted: nobody has checked the readings.
 */
export function createCap({ city, incidentOf, publicUrl }: FormatDeps): Format {
  const sender = `lamppost@${new URL(publicUrl).hostname.replace(/[[\]:]/g, '-')}`;

  function messageOf({ id, time, status, earlier, isOver, note }: Header, infos: readonly Xml[]): Message {
    const { timezone } = city();
    const references = earlier.map((one) => `${sender},${one.id},${capTime(one.time, timezone)}`);
    const begun = references.length === 0 ? 'Alert' : 'Update';
    const alert = element('alert', [
      element('identifier', id),
      element('sender', sender),
      element('sent', capTime(time, timezone)),
      element('status', status),
      element('msgType', isOver ? 'Cancel' : begun),
      element('scope', 'Restricted'),
      element('restriction', 'Automatic readings of sensors, for the services of the city'),
      ...(note === null ? [] : [element('note', note)]),
      ...(references.length === 0 ? [] : [element('references', references.join(' '))]),
      ...infos,
    ]);
    return {
      contentType: 'application/cap+xml; charset=utf-8',
      body: xmlOf({ ...alert, namespace: NAMESPACE }, { indented: true }),
    };
  }

  function infoOf(data: AlertData, { event, category, expires }: About, language: keyof LocalText): Xml {
    const { name, timezone, districts } = city();
    const isSeenOver = data.state === 'resolved' && data.because === undefined;
    const isForecast = data.evidence.window.fn === 'forecast';
    const title = language === 'en' ? data.title : data.titleZh;
    const parameters = {
      rule: data.rule,
      group: data.group,
      value: data.value,
      department: data.department,
      ticket: data.ticket,
    };
    const expected = isForecast ? 'Expected' : 'Immediate';
    // The rule or the device is gone: what it measured may go on.
    const urgency = data.because === undefined ? expected : 'Unknown';
    return element('info', [
      element('language', language === 'en' ? 'en' : 'zh-CN'),
      element('category', category),
      element('event', event[language]),
      element('responseType', isSeenOver ? 'AllClear' : 'Assess'),
      element('urgency', isSeenOver ? 'Past' : urgency),
      element('severity', SEVERITY[data.severity]),
      element('certainty', isForecast ? 'Likely' : 'Observed'),
      element('onset', capTime(data.since, timezone)),
      element('expires', capTime(expires, timezone)),
      element('senderName', name[language]),
      element('headline', title.slice(0, 160)),
      element('description', title),
      element('web', alertPage(data, publicUrl)),
      ...Object.entries(parameters)
        .filter(([, value]) => value !== null)
        .map(([key, value]) => element('parameter', [element('valueName', key), element('value', String(value))])),
      areaOf(districts.get(data.district) ?? null, name, language),
    ]);
  }

  /** Returns what an alert is about. It expires when its ticket is due; where that is past or unknown, in a day. */
  function aboutOf(data: AlertData, time: string): About {
    const incident = incidentOf(data);
    const service = incident === null ? undefined : city().services.get(incident.service);
    const dueAt = incident?.dueAt ?? time;
    return {
      event: service?.title ?? { en: data.rule, zh: data.rule },
      category: service?.cap?.category ?? 'Other',
      expires: Date.parse(dueAt) > Date.parse(time) ? dueAt : isoOf(Date.parse(time) + DAY_MS),
    };
  }

  return {
    refersBack: true,
    accepts({ event, earlier }: Omit<FormatInput, 'webhook'>, isChosen) {
      if (!isAlertEvent(event)) return false;
      if (event.data.state === 'resolved') return earlier.length > 0;
      return isChosen || SEVERE.includes(event.data.severity);
    },
    render({ event, earlier }) {
      if (!isAlertEvent(event)) throw new TypeError(`${event.type} is no alert`);
      const { because } = event.data;
      const note = because === undefined ? null : END_CAUSES[because];
      const header = { id: event.id, time: event.time, status: 'Actual', earlier, note } as const;
      const about = aboutOf(event.data, event.time);
      const infos = (['en', 'zh'] as const).map((language) => infoOf(event.data, about, language));
      return messageOf({ ...header, isOver: event.data.state === 'resolved' }, infos);
    },
    ping: ({ id, time }) => messageOf({ id, time, status: 'Test', earlier: [], isOver: false, note: null }, []),
  };
}

/** Returns local time with its offset (CAP §3.3.2): UTC is `-00:00`, and `Z` is not allowed. */
export function capTime(iso: string, timezone: string): string {
  const ms = Date.parse(iso);
  const offset = createZone(timezone).offsetAt(ms) / MINUTE_MS;
  const local = isoOf(ms + offset * MINUTE_MS).slice(0, 19);
  const two = (n: number) => String(n).padStart(2, '0');
  const amount = Math.abs(offset);
  return `${local}${offset > 0 ? '+' : '-'}${two(Math.floor(amount / 60))}:${two(Math.floor(amount % 60))}`;
}

/** Returns the area of an alert: its district with the outer borders, or, where it has none, the name of the city. */
function areaOf(district: District | null, city: LocalText, language: keyof LocalText): Xml {
  const title = district?.title ?? city;
  const borders = district === null ? [] : outerRings(district.geometry);
  return element('area', [element('areaDesc', title[language]), ...borders.map((ring) => element('polygon', ring))]);
}

type Ring = readonly (readonly [lon: number, lat: number])[];

/** GeoJSON has longitude first, CAP latitude (§3.3.3); in both the last point is the first. CAP has no holes. */
function outerRings({ type, coordinates }: District['geometry']): string[] {
  const polygons = (type === 'Polygon' ? [coordinates] : coordinates) as readonly (readonly Ring[])[];
  return polygons.map(([outer]) => outer!.map(([lon, lat]) => `${lat},${lon}`).join(' '));
}

import { type City, createZone, DROP_REASONS, type LocalText } from '../../domain/index.ts';
import { isAlertEvent, isSessionEvent, isTicketEvent, type LamppostEvent } from '../../events/index.ts';
import { renderValue } from '../../tickets/index.ts';
import { FIELD_WORDS, SEVERITY_WORDS, STATUS_WORDS, whatHappened } from './words.ts';

/** What mail says of the city. */
export type MailCity = Pick<City, 'name' | 'timezone' | 'departments' | 'districts'>;

/** An event for people, in one language. */
export interface Facts {
  /** Such as "Ticket opened". */
  readonly what: string;
  readonly title: string;
  /** Local time of the city. */
  readonly time: string;
  readonly isCritical: boolean;
  /** Of the department that answers for it; null where none does. */
  readonly department: string | null;
  readonly fields: readonly (readonly [label: string, value: string])[];
}

type Field = readonly [label: keyof typeof FIELD_WORDS, value: string | null];

/** What there is to say of an event. */
export function factsOf(event: LamppostEvent, city: MailCity, language: keyof LocalText): Facts {
  const fields = fieldsOf(event, city, language).filter((field): field is readonly [Field[0], string] =>
    Boolean(field[1]),
  );
  const department = 'department' in event.data ? event.data.department : null;
  return {
    what: whatHappened(event)[language],
    title: titleOf(event, language),
    time: localTime(event.time, city.timezone),
    isCritical: 'severity' in event.data && event.data.severity === 'critical',
    department: department === null ? null : nameOf(city.departments, department, language),
    fields: fields.map(([label, value]) => [FIELD_WORDS[label][language], value]),
  };
}

function titleOf(event: Pick<LamppostEvent, 'data'>, language: keyof LocalText): string {
  const { data } = event;
  if ('matchers' in data) return data.comment;
  if ('session' in data) return data.session;
  return language === 'en' ? data.title : data.titleZh;
}

function fieldsOf(event: LamppostEvent, city: MailCity, language: keyof LocalText): Field[] {
  const time = (iso: string) => localTime(iso, city.timezone);
  if (isAlertEvent(event)) {
    const { severity, department, district, value, since, ticket } = event.data;
    return [
      ['severity', SEVERITY_WORDS[severity][language]],
      ['department', department && nameOf(city.departments, department, language)],
      ['district', nameOf(city.districts, district, language)],
      ['value', value === null ? null : renderValue(value)],
      ['since', time(since)],
      ['ticket', ticket],
    ];
  }
  if (isTicketEvent(event)) {
    const { severity, status, department, district, address, dueAt, history, id } = event.data;
    return [
      ['ticket', id],
      ['status', STATUS_WORDS[status][language]],
      ['severity', SEVERITY_WORDS[severity][language]],
      ['department', nameOf(city.departments, department, language)],
      ['district', nameOf(city.districts, district, language)],
      ['address', address],
      ['due', time(dueAt)],
      ['note', history.at(-1)?.note ?? null],
    ];
  }
  if (isSessionEvent(event)) {
    const { session, messages, reason } = event.data;
    return [
      ['session', session],
      ['messages', String(messages)],
      ['reason', DROP_REASONS[reason]],
    ];
  }
  const { endsAt, alerts } = event.data;
  return [['ends', time(endsAt)], ...alerts.map(({ rule, group }): Field => ['alert', `${rule} ${group}`])];
}

function nameOf(
  known: ReadonlyMap<string, { readonly title: LocalText }>,
  id: string,
  language: keyof LocalText,
): string {
  return known.get(id)?.title[language] ?? id;
}

/** `2026-01-31 08:05`, by the clocks of the city. */
function localTime(iso: string, timezone: string): string {
  const ms = Date.parse(iso);
  const local = ms + createZone(timezone).offsetAt(ms);
  return new Date(local).toISOString().slice(0, 16).replace('T', ' ');
}

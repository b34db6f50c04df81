import type { Device, Rule, Service, Subject, Ticket, Transition } from '../../../domain/index.ts';
import { openTicket, type TicketCity } from '../../../tickets/index.ts';

const text = (en: string, zh: string) => ({ en, zh });

/** Returns a service with only what it must have, and with what is given. */
export function serviceOf(id: string, given: Partial<Service> = {}): Service {
  return {
    id,
    title: text('Air', '空气'),
    description: null,
    department: 'environment',
    open311: true,
    keywords: [],
    attributes: [],
    deadlineMs: 7_200_000,
    acknowledgeMs: null,
    calendar: null,
    warnPercent: null,
    escalation: [],
    resolution: 'auto',
    reopenMs: 0,
    closeMs: null,
    recheckMs: null,
    remindMs: null,
    notFixedMs: 0,
    offers: [],
    gathering: null,
    command: null,
    asset: null,
    measured: new Map(),
    ...given,
  };
}

/** Returns a city of one district, a few parties and one service with this policy. */
export function cityWith(service: Partial<Service> = {}, more: Partial<TicketCity> = {}): TicketCity {
  return { ...city, services: new Map([['air-quality', serviceOf('air-quality', service)]]), ...more };
}

const party = (id: string, kind: 'department' | 'contractor' | 'community' = 'department') =>
  [id, { id, title: text(id, id), kind }] as const;

/** A city of one district, one service and a few departments and parties. */
export const city: TicketCity = {
  services: new Map([['air-quality', serviceOf('air-quality')]]),
  departments: new Map([
    party('environment'),
    party('waste'),
    party('mayor'),
    party('cleaners', 'contractor'),
    party('neighbours', 'community'),
  ]),
  calendars: new Map(),
  inhibitions: [],
  assets: new Map(),
  districts: new Map([
    ['harbour', { id: 'harbour', title: text('Harbour', '港区'), geometry: { type: 'Polygon', coordinates: [] } }],
  ]),
};

export const device: Device = {
  id: 'air-7',
  profile: 'air-quality',
  district: 'harbour',
  name: 'Pier 7',
  location: { lat: 31.2, lon: 121.5 },
};

export const subject: Subject = { kind: 'device', device };

const when = {
  kind: 'threshold',
  metric: 'pm25',
  fn: 'mean',
  windowMs: 900_000,
  op: 'above',
  threshold: 75,
  clear: 60,
  compare: null,
} as const;

export const rule: Rule = {
  id: 'pm25-unhealthy',
  version: '0123456789ab',
  title: 'Fine dust above 75 at {{device.name}}, {{district}}',
  titleZh: '{{district}}{{device.name}}细颗粒物超过75',
  forEach: 'device',
  where: {},
  profiles: ['air-quality'],
  when,
  quorum: null,
  forMs: 600_000,
  keepFiringForMs: 300_000,
  latenessMs: null,
  active: null,
  severity: 'high',
  steps: [],
  onNoData: 'keep',
  noDataAfterMs: 0,
  noDataGraceMs: 0,
  noDataForMs: 0,
  flapping: null,
  limit: 100,
  ticket: { service: 'air-quality', deadlineMs: 14_400_000 },
  source: 'id: pm25-unhealthy\n',
  origin: 'file:rules/pm25-unhealthy.yaml',
};

/** 2026-01-01T00:00:00Z, plus minutes. */
const minute = (minutes: number) => Date.UTC(2026, 0, 1) + minutes * 60_000;

/** Returns a transition of the rule above. */
export function transition(id: string, to: Transition['to'], changes: Partial<Transition> = {}): Transition {
  const atMs = changes.atMs ?? minute(Number(id.split('.')[0]));
  const value = changes.value === undefined ? 91.234 : changes.value;
  const { metric, fn, op, threshold } = when;
  return {
    id,
    rule: rule.id,
    group: device.id,
    from: 'pending',
    to,
    atMs,
    sinceMs: minute(0),
    value,
    severity: 'high',
    evidence: {
      ruleVersion: rule.version,
      window: { metric, fn, op, threshold, fromMs: atMs - 900_000, toMs: atMs, count: 1, value },
      readings: value === null ? [] : [[atMs, value]],
    },
    ...changes,
  };
}

/** Returns an open ticket, opened by the transition of this id. */
export function ticketOf(id: string, changes: Partial<Ticket> = {}): Ticket {
  const service = city.services.get('air-quality')!;
  const opened = openTicket({
    transition: transition(id, 'firing'),
    service,
    resolveMs: 14_400_000,
    rule,
    subject,
    title: 'T',
    titleZh: 'Z',
  });
  return { ...opened, ...changes };
}

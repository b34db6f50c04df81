import {
  type AlertLabels,
  type City,
  type Clock,
  type Device,
  isoOf,
  LamppostError,
  nearest,
  type Page,
  requireName,
  SEVERITIES,
  type Ticket,
} from '../domain/index.ts';
import { calendarOf } from './deadlines.ts';
import { type ShownSilence, type Silence, type SilenceStore, silenceState } from './silence-store.ts';

/** What somebody says of a new silence. */
export type WantedSilence = Omit<Silence, 'id' | 'author' | 'createdAt'>;

/**
 * The `startsAt` of a silence that starts when it is decided. A repeated request asks for the same then, whenever it
 * comes; a node of an older version takes it as one that has started, too.
 */
export const FROM_NOW = isoOf(0);

/** Reads silences, and checks, creates and ends them. `Caller` says who asks for it. */
export interface Silences<Caller> {
  /** Returns a page, newest first; `ended`: with those that have ended. Throws `invalid` on a bad `after`. */
  list(query: { readonly limit: number; readonly after: string | null; readonly ended: boolean }): Page<ShownSilence>;
  get(id: string): ShownSilence | null;
  /**
   * Stores a new silence. Throws `invalid` where it would end in the past, a matcher is empty (it would match all), or,
   * with a suggestion, a name is not one of the city: it would silence nothing.
   */
  add(silence: WantedSilence, caller: Caller): Promise<ShownSilence>;
  /** Ends it now; false where it had ended. */
  end(id: string, caller: Caller): Promise<boolean>;
  /** Returns the ids of the silences that match the alert of a ticket now. */
  matching(ticket: Ticket): readonly string[];
}

interface Parts<Caller> {
  readonly store: Pick<SilenceStore, 'list' | 'get' | 'of'>;
  /** Resolve once the engine has decided. */
  readonly write: {
    add(silence: WantedSilence, caller: Caller): Promise<Silence>;
    end(id: string, caller: Caller): Promise<boolean>;
  };
  readonly clock: Clock;
  readonly city: () => City;
  readonly ruleIds: () => readonly string[];
  readonly device: (id: string) => Device | null;
  /** Returns the ids of some devices that come after a text, in their order. */
  readonly devicesAfter: (text: string) => readonly string[];
}

/** Returns the service of silences. */
export function createSilences<Caller>(parts: Parts<Caller>): Silences<Caller> {
  const { store, write, clock, city, device } = parts;
  const clockOf = (id: string) => calendarOf(id, city());
  const shown = (silence: Silence) => ({ ...silence, state: silenceState(silence, clock.now(), clockOf) });
  return {
    list(query) {
      const { items, next } = store.list({ ...query, nowMs: clock.now() });
      return { items: items.map(shown), next };
    },
    get(id) {
      const silence = store.get(id);
      return silence === null ? null : shown(silence);
    },
    async add(wanted, caller) {
      checkEnd(wanted, clock.now());
      checkNames(wanted, parts);
      return shown(await write.add(wanted, caller));
    },
    end: write.end,
    matching(ticket) {
      const labels = labelsNow(ticket, device);
      return labels === null ? [] : store.of(labels, clock.now(), clockOf).map(({ id }) => id);
    },
  };
}

/** Returns the labels of a ticket's alert as far as they are known now; null where it has none. */
function labelsNow(ticket: Ticket, deviceOf: (id: string) => Device | null): AlertLabels | null {
  const { rule, group, severity, service, department, district } = ticket;
  if (rule === null || group === null) return null;
  const device = deviceOf(group);
  const { profile = null, tags = {} } = device ?? {};
  return { rule, group, severity, service, department, district, device: device?.id ?? null, profile, tags };
}

function checkEnd({ endsAt }: WantedSilence, nowMs: number): void {
  if (Date.parse(endsAt) > nowMs) return;
  throw new LamppostError('invalid', `endsAt: ${endsAt} is in the past; a silence ends in the future`);
}

function checkNames(
  { matchers, calendar }: Pick<Silence, 'matchers' | 'calendar'>,
  { city, ruleIds, device: deviceOf, devicesAfter }: Omit<Parts<unknown>, 'store' | 'write' | 'clock'>,
): void {
  const { districts, profiles, services, departments, calendars } = city();
  const ofCity = { district: districts, profile: profiles, service: services, department: departments };
  const known = { ...ofCity, rule: ruleIds(), severity: SEVERITIES };
  for (const [key, names] of Object.entries(known)) {
    for (const name of matchers[key as keyof typeof known] ?? []) requireName(key, name, names);
  }
  for (const id of matchers.device ?? []) {
    if (deviceOf(id) !== null) continue;
    // A city has too many devices to compare them all: those that begin as it does are.
    const near = nearest(id, devicesAfter(id.slice(0, Math.floor(id.length / 2))));
    requireName('device', id, near === null ? [] : [near]);
  }
  if (calendar !== null) requireName('calendar', calendar, calendars);
}

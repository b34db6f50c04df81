import { randomUUID } from 'node:crypto';
import {
  type AlertLabels,
  type City,
  type Clock,
  type Device,
  isoOf,
  LamppostError,
  type Page,
  requireName,
  type Ticket,
} from '../domain/index.ts';
import { calendarOf } from './deadlines.ts';
import { type ShownSilence, type Silence, type SilenceStore, silenceState } from './silence-store.ts';

/** Reads silences, and checks, creates and ends them. */
export interface Silences {
  /** Returns a page, newest first; `ended`: with those that have ended. Throws `invalid` on a bad `after`. */
  list(query: { readonly limit: number; readonly after: string | null; readonly ended: boolean }): Page<ShownSilence>;
  get(id: string): ShownSilence | null;
  /**
   * Stores a new silence. Throws `invalid`, with a suggestion, for a name that the city does not have: it would
   * silence nothing.
   */
  add(silence: Omit<Silence, 'id' | 'createdAt'>): Promise<ShownSilence>;
  /** Ends it now; false where it had ended. */
  end(id: string): Promise<boolean>;
  /** Returns the ids of the silences that match the alert of a ticket now. */
  matching(ticket: Ticket): readonly string[];
}

interface Parts {
  readonly store: Pick<SilenceStore, 'list' | 'get' | 'of'>;
  /** Writes silences, in the thread that owns the file. */
  readonly write: {
    addSilence(silence: Silence): Promise<void>;
    endSilence(id: string): Promise<boolean>;
  };
  readonly clock: Clock;
  readonly city: () => City;
  readonly ruleIds: () => readonly string[];
  readonly device: (id: string) => Device | null;
  /** Returns a new id. */
  readonly newId?: () => string;
}

/** Returns the service of silences. */
export function createSilences(parts: Parts): Silences {
  const { store, write, clock, city, device, newId = () => `s-${randomUUID().slice(0, 13)}` } = parts;
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
    async add(wanted) {
      checkNames(wanted, parts);
      const silence = { ...wanted, id: newId(), createdAt: isoOf(clock.now()) };
      await write.addSilence(silence);
      return shown(silence);
    },
    end: (id) => write.endSilence(id),
    matching(ticket) {
      const labels = labelsNow(ticket, device);
      return labels === null ? [] : store.of(labels, clock.now(), clockOf).map(({ id }) => id);
    },
  };
}

/** Returns the labels of a ticket's alert as far as they are known now; null where it has none. */
function labelsNow(ticket: Ticket, deviceOf: Parts['device']): AlertLabels | null {
  const { rule, group, severity, service, department, district } = ticket;
  if (rule === null || group === null) return null;
  const device = deviceOf(group);
  const { profile = null, tags = {} } = device ?? {};
  return { rule, group, severity, service, department, district, device: device?.id ?? null, profile, tags };
}

function checkNames(
  { matchers, calendar }: Pick<Silence, 'matchers' | 'calendar'>,
  { city, ruleIds, device: deviceOf }: Parts,
): void {
  const { districts, profiles, services, departments, calendars } = city();
  const known = { district: districts, profile: profiles, service: services, department: departments, rule: ruleIds() };
  for (const [key, names] of Object.entries(known)) {
    for (const name of matchers[key as keyof typeof known] ?? []) requireName(key, name, names);
  }
  for (const id of matchers.device ?? []) {
    if (deviceOf(id) === null)
      throw new LamppostError('invalid', `unknown device "${id}": no such device is registered`);
  }
  if (calendar !== null) requireName('calendar', calendar, calendars);
}

import { randomBytes, randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { ApiDeps } from '../api/index.ts';
import { type AlertLabels, type City, type Clock, isoOf, LamppostError, type Ticket } from '../domain/index.ts';
import type { Registry } from '../registry/index.ts';
import type { RuleRepository } from '../rules/index.ts';
import {
  calendarOf,
  createSilenceStore,
  createWaitingReader,
  type Silence,
  silenceState,
  type TicketReader,
} from '../tickets/index.ts';
import type { Threads } from './threads/start.ts';

interface Parts {
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly registry: Pick<Registry, 'get'>;
  readonly engine: Pick<Threads['engine'], 'act' | 'openTicket' | 'splitTicket' | 'addSilence' | 'endSilence'>;
  readonly city: () => City;
  readonly clock: Clock;
  readonly tickets: TicketReader;
  readonly rules: Pick<RuleRepository, 'list'>;
}

/** What the API reads of tickets and silences, and asks the engine's thread to do. */
export function createTicketDeps(parts: Parts): Pick<ApiDeps, 'tickets' | 'silences' | 'held'> {
  const { state, engine, city, clock, tickets } = parts;
  const silences = createSilenceStore(state);
  const held = createWaitingReader(state);
  const clockOf = (id: string) => calendarOf(id, city());
  const shown = (silence: Silence) => ({ ...silence, state: silenceState(silence, clock.now(), clockOf) });
  return {
    held: {
      list: held.list,
      of: held.of,
      silencedBy(ticket) {
        const labels = labelsOf(ticket, parts);
        return labels === null ? [] : silences.of(labels, clock.now(), clockOf).map(({ id }) => id);
      },
    },
    tickets: {
      ...tickets,
      act: (act) => engine.act(act),
      open: (request) => engine.openTicket({ ...request, id: `o-${randomBytes(6).toString('hex')}` }),
      split: (split) => engine.splitTicket(split),
    },
    silences: {
      list(query) {
        const { items, next } = silences.list({ ...query, nowMs: clock.now() });
        return { items: items.map(shown), next };
      },
      get(id) {
        const silence = silences.get(id);
        return silence === null ? null : shown(silence);
      },
      async add(wanted) {
        checkNames(wanted, parts);
        const silence = { ...wanted, id: `s-${randomUUID().slice(0, 13)}`, createdAt: isoOf(clock.now()) };
        await engine.addSilence(silence);
        return shown(silence);
      },
      end: (id) => engine.endSilence(id, clock.now()),
    },
  };
}

/** The labels of a ticket's alert as far as they are known now; null where it has none. */
function labelsOf(ticket: Ticket, { registry }: Pick<Parts, 'registry'>): AlertLabels | null {
  const { rule, group, severity, service, department, district } = ticket;
  if (rule === null || group === null) return null;
  const device = registry.get(group);
  const { profile = null, tags = {} } = device ?? {};
  return { rule, group, severity, service, department, district, device: device?.id ?? null, profile, tags };
}

/** A silence with a typing error would silence nothing, unseen. */
function checkNames(
  { matchers, calendar }: Pick<Silence, 'matchers' | 'calendar'>,
  { city, rules, registry }: Parts,
): void {
  const { districts, profiles, services, departments, calendars } = city();
  const known = { district: districts, profile: profiles, service: services, department: departments };
  const refuse = (key: string, name: string, all: Iterable<string>) => {
    throw new LamppostError('invalid', `${key}: unknown "${name}"; there are ${[...all].join(', ')}`);
  };
  for (const [key, all] of Object.entries(known)) {
    const unknown = matchers[key as keyof typeof known]?.find((name) => !all.has(name));
    if (unknown !== undefined) refuse(key, unknown, all.keys());
  }
  const ids = new Set(rules.list().map(({ id }) => id));
  const rule = matchers.rule?.find((id) => !ids.has(id));
  if (rule !== undefined) refuse('rule', rule, ids);
  const device = matchers.device?.find((id) => registry.get(id) === null);
  if (device !== undefined) throw new LamppostError('invalid', `device: no device "${device}" is registered`);
  if (calendar !== null && !calendars.has(calendar)) refuse('calendar', calendar, calendars.keys());
}

import fc from 'fast-check';
import {
  type AlertLabels,
  type Calendar,
  createCalendarClock,
  LamppostError,
  type Matchers,
  type Rule,
  SEVERITIES,
  type Severity,
  type Subject,
  type Ticket,
} from '../../../../domain/index.ts';
import { ACTIONS, type ActionRequest, type Actor, type TicketCity } from '../../../../tickets/index.ts';
import { createInvariantCheck } from '../../../../tickets/invariants.ts';
import { openState } from '../../events/state.ts';
import * as scene from '../scene.ts';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 0, 1);

const GROUPS = ['a', 'b', 'c'] as const;

/** Ten minutes of each twenty. */
const OFTEN: Calendar = {
  id: 'often',
  title: { en: 'o', zh: 'o' },
  zone: 'UTC',
  spans: Array.from({ length: 72 }, (_, i) => ({
    weekdays: [1, 2, 3, 4, 5, 6, 7],
    fromMin: 20 * i,
    toMin: 20 * i + 10,
  })),
  holidays: [],
  workdays: [],
};

/** Services of every kind: of one alert or many, confirmed or not, offered, reminded, rechecked. */
const SERVICES = ['plain', 'storm', 'careful', 'offered'] as const;
const city: TicketCity = {
  ...scene.city,
  services: new Map(
    [
      scene.serviceOf('plain', {
        reopenMs: 20 * MINUTE,
        recheckMs: 15 * MINUTE,
        closeMs: 60 * MINUTE,
        remindMs: 60 * MINUTE,
        notFixedMs: 60 * MINUTE,
      }),
      scene.serviceOf('storm', { gathering: { by: ['district'], waitMs: MINUTE }, closeMs: 30 * MINUTE }),
      scene.serviceOf('careful', {
        resolution: 'confirm',
        acknowledgeMs: 10 * MINUTE,
        warnPercent: 50,
        reopenMs: 5 * MINUTE,
      }),
      scene.serviceOf('offered', {
        acknowledgeMs: 30 * MINUTE,
        offers: [
          { to: 'neighbours', forMs: 5 * MINUTE },
          { to: 'environment', forMs: 5 * MINUTE },
        ],
      }),
    ].map((service) => [service.id, service]),
  ),
  calendars: new Map([['often', OFTEN]]),
  inhibitions: [
    {
      source: { rule: ['plain'] },
      target: { rule: ['careful', 'storm'] },
      equal: ['device'],
      via: null,
      lateMs: 30 * MINUTE,
    },
  ],
};

const BECAUSE = ['rule-changed', 'rule-removed', 'rule-left', 'device-revoked'] as const;
const ACTORS: readonly (string | null)[] = [null, 'environment', 'waste', 'neighbours', 'cleaners'];

const alertOf = {
  kind: fc.constant('alert' as const),
  service: fc.constantFrom(...SERVICES),
  group: fc.constantFrom(...GROUPS),
  severity: fc.constantFrom(...SEVERITIES),
  /** What a firing alert does: it ends by itself or by an edit, or it rises. */
  next: fc.constantFrom('ends', 'ends', 'ends', 'edited', 'rises'),
  because: fc.constantFrom(...BECAUSE),
};
const alert = fc.record(alertOf);
const act = fc.record({
  kind: fc.constant('act' as const),
  /** Of the tickets so far, counted from the newest. */
  back: fc.nat(7),
  action: fc.constantFrom(...ACTIONS, 'split' as const),
  department: fc.constantFrom(...ACTORS),
  to: fc.constantFrom('waste', 'mayor', 'cleaners', 'environment'),
  severity: fc.constantFrom(...SEVERITIES),
});
const say = fc.record({
  kind: fc.constant('say' as const),
  back: fc.nat(7),
  what: fc.constantFrom('words', 'not-fixed', 'reply'),
});
const report = fc.record({ kind: fc.constant('report' as const), service: fc.constantFrom(...SERVICES) });
const silenceOf = {
  kind: fc.constant('silence' as const),
  matchers: fc.oneof<fc.Arbitrary<Matchers>[]>(
    fc.constantFrom(...GROUPS).map((group) => ({ device: [group] })),
    fc.constantFrom(...SEVERITIES).map((severity) => ({ severity: [severity] })),
  ),
  calendar: fc.constantFrom(null, null, 'often'),
  minutes: fc.integer({ min: 1, max: 60 }),
};
const silence = fc.record(silenceOf);
const timeOf = { kind: fc.constant('time' as const), minutes: fc.constantFrom(1, 1, 5, 20, 90, 600) };
const time = fc.record(timeOf);

/** Random acts, alerts, edits and time. */
export const histories = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: alert },
    { weight: 6, arbitrary: act },
    { weight: 1, arbitrary: report },
    { weight: 1, arbitrary: say },
    { weight: 1, arbitrary: silence },
    { weight: 4, arbitrary: time },
  ),
  { minLength: 5, maxLength: 60 },
);
/** So few that they meet each other. */
const few = {
  service: fc.constantFrom('plain', 'careful'),
  group: fc.constantFrom('a', 'b'),
  severity: fc.constantFrom('low', 'high'),
} as const;

/** Alerts under silences and causes, which come and go. */
export const held: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ ...alertOf, ...few, next: fc.constantFrom('ends', 'rises') }) },
    { weight: 1, arbitrary: fc.record({ ...silenceOf, minutes: fc.constantFrom(10, 60) }) },
    { weight: 4, arbitrary: fc.record({ ...timeOf, minutes: fc.constantFrom(1, 5, 20) }) },
  ),
  { minLength: 5, maxLength: 60 },
);
type Step = typeof histories extends fc.Arbitrary<readonly (infer S)[]> ? S : never;

/** What a history led to. */
interface Played {
  /** What was impossible after its first bad step. */
  readonly impossible: readonly string[];
  /** The actions in the histories of its tickets. */
  readonly actions: ReadonlySet<string>;
}

/** Returns a function that plays a history over a state file in memory, which is empty again after it. */
export function createPlayer(): (steps: readonly Step[]) => Played {
  const state = openState();
  const check = createInvariantCheck(state.db);
  return (steps) => {
    state.db.exec('begin');
    try {
      return play(steps, state, check);
    } finally {
      state.db.exec('rollback');
    }
  };
}

function play(steps: readonly Step[], state: ReturnType<typeof openState>, check: () => string[]): Played {
  const firing = new Map<string, Severity>();
  const clock = createCalendarClock(OFTEN);
  let now = T0;
  let n = 0;
  state.at(now, city);
  const ids = () =>
    state.db
      .prepare('select id from tickets order by n desc limit 8')
      .all()
      .map(({ id }) => String(id));

  function fire({ service, group, severity, next, because }: Extract<Step, { kind: 'alert' }>): void {
    const name = `${service} ${group}`;
    const before = firing.get(name);
    const rises = before !== undefined && next === 'rises';
    const to = before === undefined || rises ? 'firing' : 'resolved';
    const level = rises ? SEVERITIES[Math.min(SEVERITIES.indexOf(before) + 1, 4)]! : (before ?? severity);
    if (to === 'firing') firing.set(name, level);
    else firing.delete(name);
    const rule: Rule = { ...scene.rule, id: service, ticket: { service, deadlineMs: 60 * MINUTE } };
    const subject: Subject = { kind: 'device', device: { ...scene.device, id: group } };
    const edited = to === 'resolved' && next === 'edited' ? { because } : {};
    const from = before === undefined ? 'pending' : 'firing';
    const of = { rule: service, group, from, atMs: now, sinceMs: now, severity: level, ...edited } as const;
    state.apply(scene.transition(`${++n}.0`, to, of), rule, city, subject);
  }

  function ask({ back, action, department, to, severity }: Extract<Step, { kind: 'act' }>): void {
    const ticket = ids()[back];
    if (ticket === undefined) return;
    const actor: Actor = { kind: 'key', id: 'k', role: 'operator', department };
    attempt(() => {
      const { service } = state;
      if (action === 'split') return service.split({ ticket, actor, department: to, note: 'n' });
      const request: ActionRequest = { ticket, action, actor, severity, note: 'n' };
      const named = action === 'assign' || action === 'hand-over' ? { to } : {};
      return service.act({ ...request, ...named });
    });
  }

  /** What citizens say of any ticket, and what they get. */
  function speak({ back, what }: Extract<Step, { kind: 'say' }>): void {
    const ticket = ids()[back];
    if (ticket === undefined) return;
    const actor: Actor = { kind: 'key', id: 'k', role: 'operator', department: null };
    const saying = { ticket, hash: null, statement: `c-${++n}` };
    attempt(() => {
      if (what === 'reply') return state.service.act({ ticket, action: 'comment', actor, note: 'n', public: true });
      const { reporters } = state.service;
      return what === 'words' ? reporters.write(saying) : reporters.notFixed(saying);
    });
  }

  function attempt(doIt: () => readonly Ticket[]): void {
    state.db.exec('savepoint act');
    try {
      state.effects.publish(doIt());
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      state.db.exec('rollback to act');
    }
    state.db.exec('release act');
  }

  function request(service: string): void {
    const of = { place: `${++n}`, origin: 'citizen', by: 'reporter', service, title: 'S', titleZh: 'S' } as const;
    const rest = { description: null, district: 'harbour', severity: 'medium', address: null } as const;
    const near = { location: { lat: 31.2, lon: 121.5 }, same: { withinM: 50 } };
    state.effects.publish(state.service.open({ ...of, ...rest, ...near }));
  }

  function one(step: Step): void {
    if (step.kind === 'alert') fire(step);
    else if (step.kind === 'act') ask(step);
    else if (step.kind === 'say') speak(step);
    else if (step.kind === 'report') request(step.service);
    else if (step.kind === 'time') {
      now += step.minutes * MINUTE;
      state.due(now);
    } else {
      const [startsAt, endsAt] = [now, now + step.minutes * MINUTE].map((ms) => new Date(ms).toISOString()) as [
        string,
        string,
      ];
      const { matchers, calendar } = step;
      const rest = { calendar, comment: 'c', author: 'k', createdAt: startsAt, startsAt, endsAt };
      state.service.silences.add({ id: `s-${++n}`, matchers, ...rest });
    }
    now += 1_000;
    state.at(now, city);
  }

  /** Returns the alerts that wait for a silence which does not match them any more. */
  function heldByNothing(): string[] {
    const rows = state.db.prepare(`select cause, labels from ticket_waits where reason = 'silenced'`).all();
    return rows.flatMap(({ cause, labels: text }) => {
      const labels = JSON.parse(String(text)) as AlertLabels;
      const severity = firing.get(`${labels.rule} ${labels.group}`);
      const holding =
        severity === undefined ? [] : state.service.silences.of({ ...labels, severity }, now, () => clock);
      return holding.some(({ id }) => id === cause) ? [] : [`${labels.rule} of ${labels.group} waits for ${cause}`];
    });
  }

  for (const [i, step] of steps.entries()) {
    one(step);
    if (step.kind !== 'time') state.due(now);
    const found = [...check(), ...heldByNothing()];
    if (found.length > 0) return { impossible: [`after step ${i + 1} (${step.kind})`, ...found], actions: new Set() };
  }
  const rows = state.db.prepare('select distinct action from ticket_changes').all();
  return { impossible: [], actions: new Set(rows.map(({ action }) => String(action))) };
}

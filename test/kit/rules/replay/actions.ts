import fc from 'fast-check';
import { HOUR_MS, isoOf, MINUTE_MS, SIGN_IN } from '../../../../domain/index.ts';
import { ACTIONS } from '../../../../tickets/index.ts';
import { administrations, type Made, nothingMade } from './administration.ts';

const pick = fc.constantFrom;

/** What somebody does to a ticket or silence that there may be: `back` says which of those before. */
const commands = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ service: pick('repair', 'lights', 'visit', 'none'), district: pick('east', 'west') })
      .map((of) => ({ do: 'ticket.open', ...of, title: 'A', titleZh: '甲', severity: 'low', ...NOWHERE })),
  },
  {
    weight: 10,
    arbitrary: fc
      .record({ action: pick(...ACTIONS), note: pick('n', ''), to: pick(undefined, undefined, 'care', 'roads', 'no') })
      .map((of) => ({ do: 'ticket.act', ...of })),
  },
  { weight: 2, arbitrary: pick('care', 'roads').map((department) => ({ do: 'ticket.split', department, note: 'n' })) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        matchers: pick({ district: ['east'] }, { rule: ['r1', 'r2'] }),
        forMs: pick(5_000, MINUTE_MS, HOUR_MS),
      })
      .map((of) => ({ do: 'silence.add', ...of, calendar: null, comment: 'c' })),
  },
  {
    weight: 5,
    arbitrary: fc
      .record({
        service: pick('repair', 'lights', 'none'),
        district: pick('east', 'west'),
        location: pick({ lat: 0.5, lon: 0.5 }, { lat: 0.5001, lon: 0.5 }, { lat: 0.7, lon: 0.5 }, null),
        sameWithinM: pick(0, 100),
        again: pick(false, false, true),
      })
      .map((of) => ({ do: 'citizen.request', ...of, title: 'A', titleZh: '甲' })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        stars: fc.integer({ min: 1, max: 5 }),
        statement: pick(null, 'c-rated'),
        wrong: pick(false, false, true),
        closed: fc.boolean(),
      })
      .map((of) => ({ do: 'citizen.rate', ...of })),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'silence.end' }) },
  { weight: 8, arbitrary: administrations.map((writes) => ({ do: 'administer' as const, writes })) },
  { weight: 1, arbitrary: fc.constant({ do: 'note', action: 'POST /x', target: '/x' }) },
);
const NOWHERE = { description: null, location: null, address: null };

export const acts = fc.array(
  fc.record({
    command: commands,
    back: fc.nat({ max: 12 }),
    by: pick('anna', 'bo'),
    role: pick('operator', 'operator', 'admin', 'viewer'),
    department: pick(null, null, 'care', 'roads'),
    key: pick(null, null, null, 'k1', 'k2'),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The hash of the token of the reporter of a ticket, as the log has it. */
const tokenOf = (ticket: string) => Buffer.from(ticket).toString('hex');

type Act = (typeof acts extends fc.Arbitrary<infer T> ? T : never)[number];

/** What actions of later records refer to. */
export interface Acted {
  readonly atMs: number;
  /** Ids that tickets and silences of earlier records have, unless they were refused. */
  readonly opened: string[];
  readonly silenced: string[];
  /** Names of what citizens wrote. */
  readonly statements: string[];
  readonly made: Made;
}

export const nobodyActed = (): Omit<Acted, 'atMs'> => ({
  ...{ opened: [], silenced: [], statements: [] },
  made: nothingMade(),
});

/** Returns the records of actions: block `seq` is the next entry of the journal. */
export function recordsOf(items: readonly Act[], state: Acted, seq: number) {
  const records: object[] = [];
  for (const { command, back, by, role, department, key } of items) {
    const add = (what: object, who: object = { actor: { kind: 'key', id: by, role, department }, key }) =>
      records.push({ id: `${seq}-${records.length}`, address: null, ...who, command: what });
    const name = `${seq}-${records.length}`;
    const ticket = state.opened.at(-1 - back) ?? `t-${1 + back}-0`;
    if (command.do === 'citizen.request') add(requestOf(command as Requested, state, name));
    else if (command.do === 'citizen.rate')
      for (const one of ratingOf(command as Rated, state, name, ticket)) add(one, CITY);
    else if ('writes' in command) {
      for (const write of command.writes) {
        const what = write({ name: `${seq}-${records.length}`, back, atMs: state.atMs, made: state.made });
        add(what, { actor: adminOf(by, what), key: null });
      }
    } else if (command.do === 'silence.add') add(silenceOf(command as Silenced, state, name));
    else {
      if (command.do === 'ticket.open') state.opened.push(`o-${name}`);
      add({ ticket, silence: state.silenced.at(-1 - (back % 3)) ?? 's-none', ...command });
    }
  }
  return records;
}

/** Now and then somebody who may do none of it. */
function adminOf(id: string, { do: what }: { readonly do: string }) {
  if (what === 'person.vouch') return SIGN_IN;
  return { kind: 'key', role: what.length % 7 === 0 && id === 'bo' ? 'viewer' : 'admin', department: null, id };
}

const CITY = { actor: { kind: 'key', id: 'all', role: 'operator', department: null }, key: null };
interface Requested {
  readonly again: boolean;
  readonly [field: string]: unknown;
}
type Rated = Act['command'] & { readonly wrong: boolean; readonly closed: boolean };
type Silenced = Act['command'] & { readonly forMs: number };

function requestOf({ again, ...wanted }: Requested, state: Acted, name: string) {
  const statement = again ? (state.statements.at(-1) ?? 'c-first') : `c-${name}`;
  state.opened.push(`r-${name}`);
  state.statements.push(statement);
  return { ...wanted, statement, token: tokenOf(`r-${name}`) };
}

/** A rating of some ticket, or of a request that is made and closed before. */
function ratingOf({ wrong, closed, ...wanted }: Rated, state: Acted, name: string, other: string) {
  const ticket = closed ? `r-${name}` : other;
  const rating = { ...wanted, ticket, token: tokenOf(wrong ? 'nobody' : ticket) };
  if (!closed) return [rating];
  const ends = (['resolve', 'close'] as const).map((action) => ({ do: 'ticket.act', ticket, action }));
  const asked = { do: 'citizen.request', service: 'repair', district: 'east', location: null, sameWithinM: 0 } as const;
  return [requestOf({ ...asked, title: 'A', titleZh: '甲', again: false }, state, name), ...ends, rating];
}

function silenceOf({ forMs, ...wanted }: Silenced, state: Acted, name: string) {
  state.silenced.push(`s-${name}`);
  return { ...wanted, startsAt: isoOf(state.atMs), endsAt: isoOf(state.atMs + forMs) };
}

import { HOUR_MS, type RuleControl, SECOND_MS } from '../../../domain/index.ts';
import { cityControl, type Entry, native } from '../ingest/intake.ts';

const START = Date.UTC(2026, 2, 2, 8, 58);

const rule = (id: string, when: object, more: object = {}) => ({
  id,
  title: `${id} {{value}}`,
  when,
  severity: 'low',
  ticket: { service: 'repair' },
  ...more,
});

/** One rule of each kind that keeps state from block to block. */
const rules = (above: number) => [
  rule(
    'high',
    { metric: 'a', above, clear: 5 },
    { for: '30s', keep_firing_for: '30s', severity: { medium: above, critical: 50 } },
  ),
  rule('silent', { absent: '90s' }, { for: '10s' }),
  rule('stuck', { metric: 'b', flat: { for: '60s', within: 0 } }),
  rule('leap', { metric: 'b', jump: { by: 15, within: '60s' } }),
  rule('flood', { metric: 'b', mean: '60s', above: 20, quorum: { at_least: '60%', of: 'district' } }),
  rule('crowd', { metric: 'a', above: 60 }, { limit: 2 }),
  rule('restless', { metric: 'a', above: 40 }, { flapping: { times: 2, within: '60s' } }),
  rule('office', { metric: 'a', min: '30s', above: 1 }, { active: 'office', for_each: 'city' }),
  rule('gone', { metric: 'a', above: 0 }, { on_no_data: 'resolve', no_data_after: '60s' }),
  rule('odd', { any: [{ metric: 'a', above: 90 }, { not: { metric: 'b', above: -40 } }] }),
];

const calendars = { office: { title: { en: 'Office', zh: '上班' }, weekdays: ['mon'], from: '09:00', to: '09:04' } };
const city = (above: number, more: readonly { id: string }[] = []) =>
  cityControl({ rules: [...rules(above), ...more], calendars });
const bin = (id: string, district: string) => ({ id, profile: 'bin', district });
const IDS = ['d1', 'd2', 'd3', 'd4'];

/**
 * The readings of the four bins `n` times ten seconds after the beginning; d3 is offline for two minutes, then sends
 * what it stored.
 */
function readingsOf(n: number): { id: string; ts: number; a: number; b: number }[] {
  const at = (turn: number) => START + turn * 10 * SECOND_MS;
  const of = (id: string, i: number, turn: number) => ({
    id,
    ts: at(turn),
    a: [3, 20, 70, 95][Math.floor(turn / (5 + i)) % 4]!,
    b: i === 1 ? 7 : [0, 25, 30, -45][Math.floor(turn / 9) % 4]! + (turn % 3),
  });
  return IDS.flatMap((id, i) => {
    if (id !== 'd3' || n < 12 || n > 24) return [of(id, i, n)];
    return n < 24 ? [] : Array.from({ length: 13 }, (_, turn) => of(id, i, 12 + turn));
  });
}

/** Other blocks, by number. */
const EVENTS: Readonly<Record<number, Pick<Entry & { body: unknown }, 'kind' | 'body'>>> = {
  14: { kind: 'devices', body: { version: 2, registered: [bin('d2', 'west')], revoked: [] } },
  20: { kind: 'city', body: city(15) },
  26: { kind: 'rule', body: apiRule(1, 65) },
  31: { kind: 'devices', body: { version: 3, registered: [], revoked: ['d4'] } },
  33: { kind: 'rule', body: apiRule(2, 10) },
  38: { kind: 'rule', body: apiRule(3, null) },
  40: { kind: 'devices', body: { version: 4, registered: [bin('d4', 'east')], revoked: [] } },
};

function apiRule(number: number, above: number | null): RuleControl {
  const text = above === null ? null : JSON.stringify(rule('extra', { metric: 'a', above }));
  return {
    id: 'extra',
    number,
    text,
    version: text === null ? null : `v${number}`,
    by: 'k1',
    at: '2026-03-02',
    note: '',
  };
}

/**
 * Seven and a half minutes of four bins in two districts, a block every few seconds, with ten rules: changes of the
 * city, of a rule of the API and of devices, a device that was offline, a repeated message, and an hour of downtime.
 */
export function scenario(): Entry[] {
  const entries: Entry[] = [
    { kind: 'city', atMs: START, body: city(10) },
    {
      kind: 'devices',
      atMs: START,
      body: { version: 1, registered: IDS.map((id, i) => bin(id, i < 3 ? 'east' : 'west')), revoked: [] },
    },
  ];
  for (let n = 0; n < 45; n++) {
    // After the 28th the server is down for an hour.
    const atMs = START + n * 10 * SECOND_MS + (n > 28 ? HOUR_MS : 0);
    const event = EVENTS[n];
    if (event !== undefined) entries.push({ ...event, atMs } as Entry);
    const sent = n === 17 ? [...readingsOf(16), ...readingsOf(n)] : readingsOf(n);
    const messages = sent.map(({ id, ts, a, b }) => native(id, { ts, metrics: { a, b } }, atMs));
    entries.push({ kind: 'messages', atMs, messages }, { kind: 'tick', atMs: atMs + 5 * SECOND_MS, body: {} });
  }
  return entries;
}

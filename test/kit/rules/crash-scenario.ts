import type { Command } from '../../../actions/index.ts';
import {
  type ClockControl,
  HOUR_MS,
  type LoginsFailing,
  type NoticesControl,
  type RuleControl,
  SECOND_MS,
  type SessionDrop,
} from '../../../domain/index.ts';
import { hashSecret } from '../../../registry/index.ts';
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

const hash = (text: string) => hashSecret(text).toString('base64url');
const keyOf = (name: string, expiresMs: number | null) => ({
  ...{ do: 'key.add', name, role: 'viewer', department: null, hash: hash(name), expiresMs, note: '' },
});
/** A time so many seconds after the beginning. */
const after = (seconds: number) => START + seconds * SECOND_MS;

/** Devices and keys as records: what is registered, changed, comes due while the server is up, and while it is down. */
const ACTIONS: Readonly<Record<number, readonly object[]>> = {
  3: [
    {
      do: 'device.register',
      devices: [
        { ...bin('d8', 'east'), hash: hash('1') },
        { ...bin('d9', 'west'), hash: hash('2') },
      ],
    },
    { do: 'device.register', devices: [{ ...bin('d8', 'east'), hash: hash('3') }] },
    keyOf('screen', after(150)),
  ],
  7: [
    { do: 'device.rotate', device: 'd8', hash: hash('4'), oldUntilMs: after(95) },
    { do: 'device.change', device: 'd9', version: 1, change: { district: 'east', tags: { owner: 'port' } } },
    { do: 'device.change', device: 'd9', version: 1, change: { district: 'west' } },
  ],
  12: [
    { do: 'device.suspend', device: 'd9' },
    { do: 'device.claim-code', device: 'd8', hash: hash('code'), untilMs: after(4_000) },
    { do: 'device.claim', device: 'd8', code: hash('guess'), hash: hash('5') },
    { do: 'device.claim', device: 'd8', code: hash('code'), hash: hash('6') },
  ],
  19: [{ do: 'device.rotate', device: 'd9', hash: hash('7'), oldUntilMs: after(2_000) }, keyOf('late', after(3_000))],
  24: [
    { do: 'device.resume', device: 'd9' },
    { do: 'device.replace', device: 'd8', hash: hash('8'), change: {} },
  ],
  35: [{ do: 'device.revoke', device: 'd8' }, { do: 'device.revoke', device: 'd8' }, keyOf('screen', null)],
};

function actionsOf(n: number): (typeof EVENTS)[number] {
  const actor = { kind: 'key', id: 'admin', role: 'admin', department: null };
  const items = ACTIONS[n]!.map((command, i) => ({ id: `${n}-${i}`, actor, address: null, key: null, command }));
  return { kind: 'actions', body: { items, anchor: null } };
}

/** By how much the wall clock is set, for a while. */
const STEP_MS = 2 * HOUR_MS;

const WEBHOOK = {
  url: 'https://a.example/',
  format: 'cloudevents',
  filter: {},
  concurrency: 4,
  party: null,
  description: '',
} as const;
const MAIL = {
  to: 'duty@city.example',
  party: 'care',
  filter: {},
  language: 'en',
  digest: null,
  quietHours: null,
  critical: 'at-once',
} as const;

function acted(...commands: readonly Command[]) {
  return { kind: 'actions', body: { items: commands.map(recordOf), anchor: null } } as const;
}

function recordOf(command: Command, i: number) {
  const actor = { kind: 'key', id: 'anna', role: 'admin', department: null };
  return { id: `${command.do} ${i}`, actor, address: '192.0.2.1', key: `${command.do} ${i}`, command };
}

function clockStep(byMs: number) {
  const body: ClockControl = { byMs, fromMs: START, wallMs: START + byMs, doubt: null };
  return { kind: 'clock', body } as const;
}

/** A session that lost messages, said twice, as after a crash; and logins that failed. */
const DROP: SessionDrop = {
  ...{ id: 'drop-1', session: 'panel/1', user: 'panel', department: null, reason: 'queue-full', messages: 3 },
  ...{ fromMs: START, toMs: START + SECOND_MS },
};
const LOGINS: LoginsFailing = {
  ...{ id: 'logins-1', source: '192.0.2.9', user: null, failures: 200, fromMs: START, toMs: START + SECOND_MS },
};
const noticed = (control: NoticesControl) => ({ kind: 'notices', body: control }) as const;

/** Other blocks, by number. */
const EVENTS: Readonly<Record<number, Pick<Entry & { body: unknown }, 'kind' | 'body'>>> = {
  14: { kind: 'devices', body: { version: 2, registered: [bin('d2', 'west')], revoked: [] } },
  20: { kind: 'city', body: city(15) },
  26: { kind: 'rule', body: apiRule(1, 65) },
  31: { kind: 'devices', body: { version: 3, registered: [], revoked: ['d4'] } },
  29: acted(
    { do: 'webhook.add', settings: WEBHOOK, after: null, drawn: { secret: 'v1.sealed', authorization: 'v1.also' } },
    { do: 'rule.create', text: textOf(10), note: 'it exists' },
    { do: 'subscription.add', subscription: { channel: 'email', settings: MAIL } },
  ),
  33: acted(
    { do: 'rule.create', text: textOf(70).replace('extra', 'spare'), note: '' },
    { do: 'rule.change', rule: 'extra', ifMatch: null, text: textOf(10), note: 'n' },
    { do: 'rule.change', rule: 'spare', ifMatch: ['of-yesterday'], text: textOf(1), note: 'too late' },
  ),
  35: acted(
    { do: 'quarantine.discard', ids: ['3-0', '4-1'], note: 'a test' },
    { do: 'webhook.change', webhook: 'wh-69-0', settings: { concurrency: 2 }, drawn: { authorization: null } },
    { do: 'webhook.rotate', webhook: 'wh-69-0', drawn: { secret: 'v1.another' } },
    { do: 'webhook.disable', webhook: 'wh-none' },
  ),
  36: acted({ do: 'webhook.enable', webhook: 'wh-69-0', missed: 'skip' }),
  38: acted({ do: 'rule.remove', rule: 'extra', ifMatch: null, note: '' }),
  39: { kind: 'city', body: { ...city(12), action: recordOf({ do: 'city.reload', version: city(12).version }, 0) } },
  41: clockStep(STEP_MS),
  43: clockStep(-STEP_MS),
  30: noticed({ drops: [DROP], logins: [LOGINS] }),
  34: noticed({ drops: [DROP], logins: [] }),
  40: { kind: 'devices', body: { version: 4, registered: [bin('d4', 'east')], revoked: [] } },
};

function textOf(above: number): string {
  return JSON.stringify(rule('extra', { metric: 'a', above }));
}

function apiRule(number: number, above: number | null): RuleControl {
  const text = above === null ? null : textOf(above);
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
 * city, of rules of the API, of devices, keys and receivers, a device that was offline, a repeated message, an hour of
 * downtime, and a wall clock that is set two hours ahead and back.
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
    const offsetMs = n >= 41 && n < 43 ? STEP_MS : 0;
    const atMs = START + n * 10 * SECOND_MS + (n > 28 ? HOUR_MS : 0) + offsetMs;
    const event = EVENTS[n];
    if (event !== undefined) entries.push({ ...event, atMs, offsetMs } as Entry);
    if (ACTIONS[n] !== undefined) entries.push({ ...actionsOf(n), atMs, offsetMs } as Entry);
    const sent = n === 17 ? [...readingsOf(16), ...readingsOf(n)] : readingsOf(n);
    const messages = sent.map(({ id, ts, a, b }) => native(id, { ts, metrics: { a, b } }, atMs));
    entries.push({ kind: 'messages', atMs, offsetMs, messages });
    entries.push({ kind: 'tick', atMs: atMs + 5 * SECOND_MS, offsetMs, body: {} });
  }
  return entries;
}

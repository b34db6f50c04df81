import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { DAY_MS, HOUR_MS, isoOf, MINUTE_MS } from '../../../../domain/index.ts';

const pick = fc.constantFrom;

/** What later records may name, oldest first: ids that were made, unless the record was refused. */
export interface Made {
  readonly keys: string[];
  readonly people: string[];
  readonly webhooks: string[];
  readonly subscriptions: string[];
  readonly commands: string[];
}

export const nothingMade = (): Made => ({ keys: [], people: [], webhooks: [], subscriptions: [], commands: [] });

/** Where a command is in the log, and which of those made before it names. */
interface At {
  readonly name: string;
  readonly atMs: number;
  readonly back: number;
  readonly made: Made;
}

type Write = (at: At) => { readonly do: string };

const last = (ids: readonly string[], { back }: At) => ids.at(-1 - (back % Math.min(ids.length, 3))) ?? 'none';
const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const until = (forMs: number | null, { atMs }: At) => (forMs === null ? null : atMs + forMs);
const spans = pick(null, 5_000, MINUTE_MS, HOUR_MS, DAY_MS);
const versions = pick(undefined, undefined, undefined, 1, 2);

function make(kind: keyof Made, prefix: string, at: At): void {
  at.made[kind].push(`${prefix}-${at.name}`);
}

const keys: fc.Arbitrary<Write> = fc.oneof(
  fc
    .record({ role: pick('viewer', 'operator', 'admin', 'citizen-app'), department: pick(null, 'care'), forMs: spans })
    .map(({ forMs, ...of }) => (at: At) => {
      make('keys', 'key', at);
      return { do: 'key.add', name: 'K', note: '', ...of, hash: hashOf(at.name), expiresMs: until(forMs, at) };
    }),
  fc.record({ version: versions, forMs: spans }).map(({ version, forMs }) => (at: At) => {
    const change = { name: at.name, expiresMs: until(forMs, at) };
    return { do: 'key.change', key: last(at.made.keys, at), version, change };
  }),
  spans.map((forMs) => (at: At) => {
    return { do: 'key.rotate', key: last(at.made.keys, at), hash: hashOf(at.name), oldUntilMs: until(forMs, at) };
  }),
  pick('key.confirm', 'key.revoke').map((what) => (at: At) => ({ do: what, key: last(at.made.keys, at) })),
);

const roles = pick(
  [{ role: 'operator', department: 'care' }],
  [{ role: 'admin', department: null }],
  [
    { role: 'viewer', department: null },
    { role: 'dispatcher', department: 'roads' },
  ],
);
const described = fc.record({
  name: pick('Ann', 'Bo'),
  email: pick('a@x.org', 'B@x.org', 'c@x.org'),
  language: pick('en', 'zh'),
  roles,
});
const people: fc.Arbitrary<Write> = fc.oneof(
  described.map((of) => (at: At) => {
    make('people', 'p', at);
    return { do: 'person.add', ...of };
  }),
  fc.tuple(versions, described, pick('name', 'email', 'roles')).map(([version, of, field]) => (at: At) => {
    return { do: 'person.change', person: last(at.made.people, at), version, set: { [field]: of[field] } };
  }),
  described.map((of) => (at: At) => {
    make('people', 'p', at);
    return { do: 'person.vouch', issuer: 'https://id', subject: of.email, ...of };
  }),
  pick('remove', 'suspend', 'resume', 'sign-out').map((what) => (at: At) => {
    return { do: `person.${what}`, person: last(at.made.people, at) };
  }),
  pick('person.password', 'person.totp').map((what) => (at: At) => {
    return { do: what, person: last(at.made.people, at), hash: at.name, secret: at.name };
  }),
);

const filter = pick<object[]>({}, { types: ['city.ticket.opened'] }, { departments: ['care'], severities: ['high'] });
const sender = fc.record({
  url: pick('https://a.example/', 'https://b.example/'),
  format: pick('cloudevents', 'cap'),
  filter: fc.oneof(filter, fc.constant(null)),
  concurrency: pick(1, 4),
  party: pick(null, 'care'),
  description: pick('', 'd'),
});
const webhooks: fc.Arbitrary<Write> = fc.oneof(
  fc.tuple(sender, pick(null, 0, 5)).map(([settings, after]) => (at: At) => {
    make('webhooks', 'wh', at);
    return { do: 'webhook.add', settings, after, drawn: { secret: at.name, authorization: null } };
  }),
  sender.map((settings) => (at: At) => {
    return { do: 'webhook.change', webhook: last(at.made.webhooks, at), settings, drawn: {} };
  }),
  pick('rotate', 'remove', 'disable', 'enable', 'enable', 'ping').map((what) => (at: At) => {
    const missed = at.back % 2 === 0 ? 'deliver' : 'skip';
    return { do: `webhook.${what}`, webhook: last(at.made.webhooks, at), missed, drawn: { secret: at.name } };
  }),
);

const mail = { to: 'a@x.org', party: 'care', language: 'both', digest: null, quietHours: null, critical: 'at-once' };
const subscriptions: fc.Arbitrary<Write> = fc.oneof(
  fc.tuple(filter, fc.boolean()).map(([of, mailed]) => (at: At) => {
    const over = { channel: 'webhook', webhook: last(at.made.webhooks, at), party: 'care', filter: of };
    make('subscriptions', 'sub', at);
    return {
      do: 'subscription.add',
      subscription: mailed ? { channel: 'email', settings: { ...mail, filter: of } } : over,
    };
  }),
  pick('en', 'zh').map((language) => (at: At) => {
    return { do: 'subscription.change', subscription: last(at.made.subscriptions, at), settings: { language } };
  }),
  pick('remove', 'disable', 'enable').map((what) => (at: At) => {
    return { do: `subscription.${what}`, subscription: last(at.made.subscriptions, at), missed: 'skip' };
  }),
);

const devices = pick('d6', 'd6', 'd6', 'd7', 'd1');
const metrics = pick('a', 'b', 'no');
const registry: fc.Arbitrary<Write> = fc.oneof(
  fc
    .record({ id: pick('d6', 'd6', 'd7'), profile: pick('bin', 'bin', 'bin', 'no'), district: pick('east', 'west') })
    .map((one) => (at: At) => {
      return { do: 'device.register', devices: [{ ...one, tags: {}, hash: hashOf(at.name) }] };
    }),
  fc.tuple(devices, versions, pick('east', 'west'), pick(null, 'N')).map(([device, version, district, name]) => () => {
    return { do: 'device.change', device, version, change: { district, name } };
  }),
  fc.tuple(devices, spans).map(([device, forMs]) => (at: At) => {
    return { do: 'device.rotate', device, hash: hashOf(at.name), oldUntilMs: until(forMs, at) };
  }),
  fc.tuple(devices, pick('confirm', 'suspend', 'resume', 'resume', 'revoke')).map(([device, what]) => () => {
    return { do: `device.${what}`, device };
  }),
  fc.tuple(devices, metrics, pick(-60_000, 0, HOUR_MS)).map(([device, metric, aheadMs]) => (at: At) => {
    return { do: 'device.calibrate', device, calibration: { metric, offset: 2, from: isoOf(at.atMs + aheadMs) } };
  }),
  fc.tuple(devices, spans).map(([device, forMs]) => (at: At) => {
    return { do: 'device.claim-code', device, hash: hashOf('code'), untilMs: at.atMs + (forMs ?? HOUR_MS) };
  }),
  devices.map((device) => (at: At) => ({ do: 'device.claim', device, code: hashOf('code'), hash: hashOf(at.name) })),
);

const orders: fc.Arbitrary<Write> = fc.oneof(
  fc
    .tuple(devices, pick('dim', 'dim', 'no'), pick(3, 3, 999), spans)
    .map(([device, command, level, forMs]) => (at: At) => {
      make('commands', 'c', at);
      const more = { parameters: { level }, validUntilMs: until(forMs, at), qos: 1, ticket: null };
      return { do: 'command.send', device, command, ...more };
    }),
  devices.map((device) => (at: At) => ({ do: 'command.cancel', device, id: last(at.made.commands, at) })),
  fc.tuple(devices, pick(null, 1, 2), fc.boolean(), versions).map(([device, on, patch, version]) => () => {
    return { do: 'desired.set', device, set: { on }, patch, version };
  }),
);

const rules: fc.Arbitrary<Write> = fc.oneof(
  pick(5, 20, 35).map((above) => ({ back }: At) => {
    const rule = { id: `y${back % 2}`, title: 'Y', when: { metric: 'a', last: true, above }, severity: 'low' };
    return {
      do: back % 3 === 0 ? 'rule.create' : 'rule.change',
      rule: rule.id,
      ifMatch: null,
      note: '',
      text: JSON.stringify(rule),
    };
  }),
  fc.constant(({ back }: At) => ({ do: 'rule.remove', rule: `y${back % 2}`, ifMatch: null, note: 'n' })),
);

/** What administrators ask for, several things after one another: what is good and what is refused. */
export const administrations: fc.Arbitrary<Write[]> = fc.array(
  fc.oneof(keys, people, webhooks, subscriptions, registry, registry, orders, rules),
  { minLength: 2, maxLength: 8, size: 'max' },
);

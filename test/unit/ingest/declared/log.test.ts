import { expect, test } from 'vitest';
import type { Outcome } from '../../../../ingest/index.ts';
import { cityControl, intakeBench, type Sent } from '../../../kit/ingest/intake.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const FEATURES = { topic: 'geo/{network}', rows: 'features', device: 'id', flatten: 'properties' };
const ROOM = { topic: 'room/{device}', values: { a: 'x.a', b: { at: 'x.b', quality: "x.state == 'ok'" } } };

const cityOf = (formats: object) => cityControl({ files: { 'formats.yaml': formats } });
const bin = (id: string) => ({ id, profile: 'bin', district: 'east' });
const feature = (id: string, properties: object) => ({ type: 'Feature', id, properties });
const sent = (identity: string, topic: string, value: unknown): Sent => ({
  ...{ identity, topic, payload: typeof value === 'string' ? value : JSON.stringify(value), receivedAt: NOW },
});

function bench(formats: object, ...ids: string[]) {
  const intake = intakeBench();
  intake.city(cityOf(formats), NOW);
  intake.devices(ids.map(bin), [], NOW);
  return intake;
}

const refusalsOf = ({ refusals }: Outcome) =>
  refusals.map(({ device, holder, scope, reason, path, count }) => [device, holder, scope, reason, path, count]);
const talliesOf = ({ tallies }: Outcome) =>
  tallies.map(({ device, decoded, quarantined, stored, refused }) => [device, decoded, quarantined, stored, refused]);

test('declared formats - one message brings readings of several devices, each counted for its own', () => {
  const intake = bench({ geo: FEATURES }, 's1', 's2');
  const body = { features: [feature('s1', { a: 1 }), feature('s2', { a: 2, b: 3 }), feature('s3', { a: 4 })] };
  const outcome = intake.send([sent('key-1', 'geo/north', body)]);
  expect(intake.rows(outcome)).toEqual([
    ['s1', 'a', NOW, 1],
    ['s2', 'a', NOW, 2],
    ['s2', 'b', NOW, 3],
  ]);
  expect(talliesOf(outcome)).toEqual([
    ['key-1', 1, 0, 0, 0],
    ['s1', 0, 0, 1, 0],
    ['s2', 0, 0, 2, 0],
    ['key-1', 0, 0, 0, 1],
  ]);
  expect(refusalsOf(outcome)).toEqual([['s3', 'key-1', 'reading', 'unknown-device', '$.features[2]', 1]]);
});

test('declared formats - what was refused of one device is replayed alone once it is registered', () => {
  const intake = bench({ geo: FEATURES }, 's1');
  const message = sent('key-1', 'geo/north', { features: [feature('s1', { a: 1 }), feature('s2', { a: 2 })] });
  const [refusal] = intake.send([message]).refusals;
  intake.devices([bin('s2')], [], NOW);
  const { position, device, topic, receivedAt, raw } = refusal!;
  const entry = { ordinal: 0, scope: 'reading' as const, reading: refusal!.reading!, path: refusal!.path };
  const item = { position, device, topic, receivedAt, payload: raw.toString('base64'), entries: [entry] };
  const outcome = intake.replay({ items: [item] }, NOW);
  expect(intake.rows(outcome)).toEqual([['s2', 'a', NOW, 2]]);
  expect(outcome.replays.map(({ tally }) => [tally.device, tally.stored, tally.refused])).toEqual([['s2', 1, 0]]);
});

test('declared formats - what is replayed before its device is registered stays refused', () => {
  const intake = bench({ geo: FEATURES }, 's1');
  const message = sent('key-1', 'geo/north', { features: [feature('s1', { a: 1 }), feature('s2', { a: 2 })] });
  const { position, device, topic, receivedAt, raw, reading, path } = intake.send([message]).refusals[0]!;
  const entry = { ordinal: 0, scope: 'reading' as const, reading: reading!, path };
  const item = { position, device, topic, receivedAt, payload: raw.toString('base64'), entries: [entry] };
  const outcome = intake.replay({ items: [item] }, NOW);
  expect(intake.rows(outcome)).toEqual([]);
  const [replayed] = outcome.replays;
  expect([replayed!.tally.stored, replayed!.tally.refused]).toEqual([0, 1]);
  expect(replayed!.refusals.map((one) => one.reason)).toEqual(['unknown-device']);
});

test('declared formats - a device that names another one in its payload is refused, and so is a replay of it', () => {
  const intake = bench({ geo: FEATURES }, 's1', 's2');
  const outcome = intake.send([sent('s1', 'geo/north', { features: [feature('s2', { a: 2 })] })]);
  expect(refusalsOf(outcome)).toEqual([['s1', 's1', 'message', 'not-your-device', '$', 1]]);
  const { position, topic, receivedAt, raw } = outcome.refusals[0]!;
  const entry = { ordinal: 0, scope: 'message' as const, reading: null, path: '$' };
  const item = { position, device: 's1', topic, receivedAt, payload: raw.toString('base64'), entries: [entry] };
  const again = intake.replay({ items: [item] }, NOW);
  expect(intake.rows(again)).toEqual([]);
  expect(again.replays[0]!.refusals.map(({ reason }) => reason)).toEqual(['not-your-device']);
});

test('declared formats - of a device that sends for itself and another one, only its own is taken', () => {
  const intake = bench({ geo: FEATURES }, 's1', 's2');
  const body = { features: [feature('s1', { a: 1 }), feature('s2', { a: 2 })] };
  const outcome = intake.send([sent('s1', 'geo/north', body)]);
  expect(intake.rows(outcome)).toEqual([['s1', 'a', NOW, 1]]);
  expect(refusalsOf(outcome)).toEqual([['s1', 's1', 'reading', 'not-your-device', '$.features[1]', 1]]);
});

test('declared formats - each block is read with the format of its place in the log, also once more', () => {
  const intake = bench({ room: ROOM }, 'd1');
  const first = intake.send([sent('d1', 'room/d1', { x: { a: 1 } })]);
  intake.city(cityOf({ room: { ...ROOM, values: { a: 'y' } } }), NOW);
  const later = NOW + 1_000;
  const second = intake.send([
    { ...sent('d1', 'room/d1', { y: 7 }), receivedAt: later },
    { ...sent('d1', 'room/d1', { x: { a: 2 } }), receivedAt: later },
  ]);
  expect(intake.rows(first)).toEqual([['d1', 'a', NOW, 1]]);
  expect(intake.rows(second)).toEqual([['d1', 'a', later, 7]]);
  expect(refusalsOf(second)).toEqual([['d1', 'd1', 'message', 'wrong-shape', '$', 1]]);
  intake.restart();
  intake.catchUp();
  expect(intake.rows(intake.again(first.block.seq))).toEqual([['d1', 'a', NOW, 1]]);
});

test('declared formats - the name of a format is a topic of each device, and keys post to http/', () => {
  const intake = bench({ room: ROOM, geo: FEATURES }, 'd1', 's1');
  const outcome = intake.send([
    sent('d1', 'devices/d1/room', { x: { a: 1 } }),
    sent('key-1', 'http/geo', { features: [feature('s1', { a: 2 })] }),
  ]);
  expect(intake.rows(outcome).map(([device, , , value]) => [device, value])).toEqual([
    ['d1', 1],
    ['s1', 2],
  ]);
});

test('declared formats - a value of bad quality is refused with its place, the others are taken', () => {
  const intake = bench({ room: ROOM }, 'd1');
  const outcome = intake.send([sent('d1', 'room/d1', { x: { a: 1, b: 2, state: 'broken' } })]);
  expect(intake.rows(outcome)).toEqual([['d1', 'a', NOW, 1]]);
  expect(refusalsOf(outcome)).toEqual([['d1', 'd1', 'reading', 'bad-quality', '$.x.b', 1]]);
});

test('declared formats - the same identity once more is a duplicate', () => {
  const intake = bench({ room: { ...ROOM, id: ['boot', 'n'] } }, 'd1');
  const at = (n: number, a: number) => sent('d1', 'room/d1', { boot: 7, n, x: { a } });
  const outcome = intake.send([at(1, 5), at(1, 5), at(2, 6)]);
  expect(outcome.tallies.map(({ duplicate }) => duplicate)).toEqual([1]);
});

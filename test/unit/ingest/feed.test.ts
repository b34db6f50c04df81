import { expect, test } from 'vitest';
import { liveOf, type Outcome, rejectionsOf } from '../../../ingest/index.ts';
import { cityControl, intakeBench, native } from '../../kit/ingest/intake.ts';

const T0 = 1_699_999_200_000;
const AT = new Date(T0).toISOString();
/** The ids of the metrics by their index: the bench's city lists them in this order. */
const metrics = { indexOf: (id: string) => 'abc'.indexOf(id), idOf: (index: number) => 'abc'[index]! };

function bench() {
  const intake = intakeBench();
  intake.city(cityControl());
  const device = (id: string, district: string) => ({ id, profile: 'bin', district });
  intake.devices([device('d', 'east'), device('e', 'west')]);
  return intake;
}

const parsed = (publications: ReturnType<typeof liveOf>) =>
  publications.map(({ topic, payload }) => [topic, JSON.parse(String(payload))]);

test('feed - valid readings are published live, one publication a device and timestamp, at QoS 0 and not retained', () => {
  const sent = [
    native('d', { ts: T0, metrics: { a: 1 } }, T0),
    native('d', { ts: T0, metrics: { b: 2 } }, T0),
    native('d', { ts: T0 - 1_000, metrics: { a: 3 } }, T0),
    native('e', { ts: T0, metrics: { a: 4, b: 500 } }, T0),
  ];
  const live = liveOf([bench().send(sent)], metrics);
  expect(parsed(live)).toEqual([
    ['live/east/d', { ts: AT, metrics: { a: 1, b: 2 } }],
    ['live/east/d', { ts: new Date(T0 - 1_000).toISOString(), metrics: { a: 3 } }],
    ['live/west/e', { ts: AT, metrics: { a: 4 } }],
  ]);
  for (const { qos, retain } of live) expect({ qos, retain }).toEqual({ qos: 0, retain: false });
});

test('feed - the refusals of one message are one publication to its device', () => {
  const bad = native('d', { ts: T0, metrics: { a: 500, x: 1 } }, T0);
  const published = rejectionsOf([bench().send([bad, native('d', 'no JSON', T0)])]);
  expect(parsed(published)).toMatchObject([
    [
      'devices/d/rejections',
      {
        topic: 'devices/d/readings',
        receivedAt: AT,
        refused: [
          { scope: 'reading', reason: 'out-of-range', path: '$.metrics.a' },
          { scope: 'reading', reason: 'unknown-metric', path: '$.metrics.x' },
        ],
      },
    ],
    ['devices/d/rejections', { refused: [{ scope: 'message', reason: 'malformed', path: '$' }] }],
  ]);
});

test('feed - at most 200 messages of one call are reported as refused', () => {
  const sent = Array.from({ length: 201 }, () => native('d', 'no JSON', T0));
  expect(rejectionsOf([bench().send(sent)])).toHaveLength(200);
});

test('feed - a block that was read before publishes nothing again', () => {
  const outcome = bench().send([native('d', { ts: T0, metrics: { a: 1, x: 1 } }, T0)]);
  const again: Outcome = { ...outcome, fresh: false };
  expect([liveOf([outcome], metrics), rejectionsOf([outcome])].map((one) => one.length)).toEqual([1, 1]);
  expect([...liveOf([again], metrics), ...rejectionsOf([again])]).toEqual([]);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { listSql, type QuarantineFilter, rejectionsOf, replaySql } from '../../../ingest/index.ts';
import { native } from '../../kit/ingest/intake.ts';
import { quarantineBench, widened } from '../../kit/ingest/quarantine.ts';
import { runs } from '../../kit/runs.ts';

const T0 = 1_699_999_200_000;
const message = (payload: unknown, device = 'd') => native(device, payload, T0);
const faults = (n: number) => `[${Array.from({ length: n }, () => '{"metrics":{"x":0}}').join()}]`;
const sum = (counts: readonly { readonly count: number }[]) => counts.reduce((total, { count }) => total + count, 0);

describe('a message with many faults', () => {
  test('12,000 faults of one kind are one entry, and one short report to the device', () => {
    const bench = quarantineBench();
    const outcome = bench.send([message(faults(12_000))]);
    const [one, ...others] = bench.listed();
    expect(others).toEqual([]);
    expect(one).toMatchObject({ reason: 'unknown-metric', path: '$[0].metrics.x', count: 12_000, bytes: 240_001 });
    expect(one!.paths).toEqual([0, 1, 2, 3, 4].map((i) => `$[${i}].metrics.x`));
    expect(bench.counts()).toMatchObject({ decoded: 1, refused: 12_000 });
    const [report] = rejectionsOf([outcome]);
    expect(JSON.parse(String(report!.payload)).refused).toMatchObject([{ count: 12_000 }]);
    expect(report!.payload.length).toBeLessThan(1_000);
  });

  test('up to 32 faults are entries of their own; from 33 on they are summed up by reason and field', () => {
    const bench = quarantineBench();
    bench.send([message(faults(32))]);
    expect(bench.listed().map(({ count }) => count)).toEqual(Array(32).fill(1));
    bench.send([message(`[${'{"metrics":{"a":-1,"x":0}},'.repeat(20)}7]`)]);
    const added = bench.listed().slice(0, 3);
    expect(added.map(({ reason, count }) => [reason, count])).toEqual([
      ['wrong-shape', 1],
      ['out-of-range', 20],
      ['unknown-metric', 20],
    ]);
  });

  test('thousands of different fields make a bounded number of entries, and a report below 64 KiB', () => {
    const bench = quarantineBench();
    const metrics = Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`${i}\u0001${'\u0001'.repeat(9)}`, 0]));
    const outcome = bench.send([message({ metrics })]);
    expect(bench.listed().length).toBeLessThan(100);
    expect(sum(bench.listed())).toBe(9_000);
    const [report] = rejectionsOf([outcome]);
    expect(report!.payload.length).toBeLessThan(65_536);
    const { refused, omitted = 0 } = JSON.parse(String(report!.payload));
    expect(refused.reduce((all: number, { count = 1 }) => all + count, omitted)).toBe(9_000);
  });

  test('32,768 values and faults of one message are read; one more refuses it as a whole', () => {
    const bench = quarantineBench();
    const values = (n: number) => `[{"metrics":{"a":1}}${',0'.repeat(n - 1)}]`;
    bench.send([message(values(32_768)), message(values(32_769))]);
    expect(bench.counts()).toMatchObject({ decoded: 1, stored: 1, refused: 32_767, quarantined: 1 });
    expect(bench.listed()[0]).toMatchObject({ scope: 'message', detail: expect.stringContaining('more than 32768') });
  });

  test('a replay takes exactly the readings that an entry stands for, and moves them in the ledger', () => {
    const bench = quarantineBench();
    const items = Array.from({ length: 500 }, (_, i) => ({ ts: T0 - i, metrics: { a: i % 2 ? 1 : -1, x: i } }));
    bench.send([message(items)]);
    expect(bench.counts()).toMatchObject({ stored: 250, refused: 750 });
    bench.intake.city(widened, T0);
    const unknown = bench.listed().find(({ reason }) => reason === 'unknown-metric')!;
    const [outcome] = bench.replay([unknown.id]);
    expect(outcome!.readings.length).toBe(101);
    expect(bench.counts()).toMatchObject({ stored: 351, refused: 649, duplicate: 0 });
    expect(bench.listed().map(({ reason, count }) => [reason, count])).toEqual([
      ['out-of-range', 250],
      ['out-of-range', 399],
    ]);
    expect(bench.replay([unknown.id])).toEqual([]);
  });

  test('readings that are replayed while their device is revoked are still found by the next replay', () => {
    const bench = quarantineBench();
    bench.send([message([{ metrics: { a: 1 } }, { metrics: { x: 2 } }])]);
    bench.send([message(`[${Array.from({ length: 40 }, (_, i) => `{"ts":${T0 - i},"metrics":{"x":3}}`)}]`)]);
    bench.intake.devices([], ['d']);
    bench.replay(bench.listed().map(({ id }) => id));
    expect(bench.listed().map(({ reason, count }) => [reason, count])).toEqual([
      ['unknown-device', 40],
      ['unknown-device', 1],
    ]);
    bench.intake.devices([{ id: 'd', profile: 'bin', district: 'east' }]);
    bench.intake.city(widened, T0);
    bench.replay(bench.listed().map(({ id }) => id));
    expect(bench.listed()).toEqual([]);
    // One of the forty has the time at which the first message came.
    expect(bench.counts()).toMatchObject({ decoded: 2, stored: 42, replaced: 1, refused: 0 });
  });

  test('whatever is sent and replayed, the ledger counts what the quarantine holds, and no reading gets lost', () => {
    const field = fc.constantFrom('a', 'x', 'y');
    const reading = fc.oneof(
      { weight: 6, arbitrary: fc.record({ metrics: fc.dictionary(field, fc.integer({ min: -20, max: 20 })) }) },
      { weight: 1, arbitrary: fc.constantFrom(7, null, { ts: 'x', metrics: { a: 1, x: 2 } }, { other: 1 }) },
    );
    const payload = fc.array(reading, { minLength: 1, maxLength: 90, size: 'max' });
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 8 }), (payloads, picks) => {
        const bench = quarantineBench();
        for (const one of payloads) {
          bench.send([message(one.map((item, i) => (isTimeless(item) ? { ts: T0 - i, ...item } : item)))]);
        }
        bench.intake.city(widened, T0);
        const received = () => {
          const { stored, duplicate, refused } = bench.counts();
          return stored! + duplicate! + refused!;
        };
        const before = received();
        for (const pick of picks) {
          const entries = bench.listed().filter(({ scope }) => scope === 'reading');
          if (entries.length > 0) bench.replay([entries[pick % entries.length]!.id]);
          const after = bench.listed();
          expect(sum(after.filter(({ scope }) => scope === 'reading'))).toBe(bench.counts().refused || 0);
          expect(after.filter(({ scope }) => scope === 'message').length).toBe(bench.counts().quarantined || 0);
          if (payloads.length > 0) expect(received()).toBe(before);
        }
      }),
      { numRuns: runs(60) },
    );
  });
});

function isTimeless(item: unknown): item is { metrics: object } {
  return typeof item === 'object' && item !== null && 'metrics' in item && !('ts' in item);
}

describe('the list', () => {
  const FILTERS: QuarantineFilter[] = [
    {},
    { device: 'd' },
    { reason: 'malformed' },
    { device: 'd', reason: 'malformed' },
    { format: 'native', fromMs: 1, toMs: 2 },
    { device: 'd', discarded: true },
  ];

  test.each(FILTERS)('finds its keys in an index and sorts at most the entries of one message: %j', (filter) => {
    const { db } = quarantineBench();
    for (const [sql, values] of [
      [listSql(filter), { position: 5, ordinal: 0 }],
      [replaySql(filter), { after: 1, last: 5 }],
    ] as const) {
      const { device, reason } = filter;
      const given = { ...values, ...(device && { device }), ...(reason && { reason }) };
      const plan = db.prepare(`explain query plan ${sql}`).all(given);
      const steps = plan.map(({ detail }) => String(detail));
      expect(steps.filter((step) => step.startsWith('SCAN'))).toEqual([]);
      expect(steps.filter((step) => step.includes('TEMP B-TREE')).every((step) => step.includes('LAST TERM'))).toBe(
        true,
      );
    }
  });

  test('has pages of at most a mebibyte, which end before their limit and are continued', () => {
    const bench = quarantineBench();
    bench.send(Array.from({ length: 1_500 }, () => message('no JSON')));
    // Texts were not always short.
    bench.db.exec("update quarantine set detail = replace(hex(zeroblob(1500)), '0', 'x')");
    const page = bench.reader.list({ limit: 1_000, after: null });
    expect(JSON.stringify(page).length).toBeLessThan(2 ** 20 + 1_000);
    expect(page.items.length).toBeLessThan(400);
    expect(bench.listed()).toHaveLength(1_500);
    const few = bench.reader.list({ limit: 7, after: null });
    expect([few.items.length, few.next]).toEqual([7, few.items.at(-1)!.id]);
  });

  test('looks at 10,000 entries a page at most, also where none of them matches', () => {
    const bench = quarantineBench();
    bench.send([message('no JSON')]);
    bench.send(Array.from({ length: 10_001 }, () => ({ ...message('no JSON'), topic: 'x' })));
    const filter = { format: 'native', limit: 10 };
    const first = bench.reader.list({ ...filter, after: null });
    expect(first).toMatchObject({ items: [], next: '2-0' });
    expect(bench.reader.list({ ...filter, after: first.next })).toMatchObject({ items: [{ id: '0-0' }], next: null });
  });

  test('one entry has its payload, and the first thousand values that it decodes to', () => {
    const bench = quarantineBench();
    bench.send([message(faults(3_000))]);
    const one = bench.reader.get(bench.listed()[0]!.id)!;
    expect(Buffer.from(one.raw, 'base64').toString()).toBe(faults(3_000));
    const { readings, more } = one.decoded as { readings: unknown[]; more: boolean };
    expect([readings.length, more]).toEqual([1_000, true]);
  });
});

describe('a payload that is nested deeply', () => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  const topics = ['readings', 'senml', 'sensor-community'].map((leaf) => `devices/d/${leaf}`);
  const uplinks = ['application/1/device/d/event/up', 'v3/app/devices/d/up'];

  test.each([65, 120_000])('%i levels: is refused with a reason, in every format, and can be looked at', (levels) => {
    const bench = quarantineBench();
    const payloads = [
      deep(levels),
      '['.repeat(levels),
      `{"ts":${deep(levels)},"metrics":{"a":${deep(levels)},"x":1}}`,
      `[{"n":"a","v":${deep(levels)}},{"n":"b","v":1}]`,
      `{"sensordatavalues":[{"value_type":"a","value":${deep(levels)}}]}`,
      `{"deviceInfo":{},"object":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`,
      `{"end_device_ids":{"dev_eui":"00"},"uplink_message":{"decoded_payload":{"a":${deep(levels)}}}}`,
    ];
    for (const topic of [...topics, ...uplinks]) {
      bench.send(payloads.map((payload) => ({ identity: 'd', topic, payload, receivedAt: T0 })));
    }
    const all = bench.listed();
    expect(all.length).toBeGreaterThan(30);
    for (const { id } of all) {
      const entry = bench.reader.get(id)!;
      expect(JSON.stringify(entry).length).toBeGreaterThan(100);
      expect(entry.detail).not.toMatch(/stack|RangeError/);
    }
  });

  test('CBOR: too many levels, and more items than there are, are refused with a reason', () => {
    const bench = quarantineBench();
    const bytes = [
      Buffer.alloc(100_000, 0x81),
      Buffer.alloc(100_000, 0xc1),
      Buffer.from('9affffffff', 'hex'),
      Buffer.from('bb7fffffffffffffff', 'hex'),
    ];
    // As text they would be other bytes.
    const sent = bytes.map((payload) => ({
      identity: 'd',
      topic: 'devices/d/senml-cbor',
      payload: payload.toString('latin1'),
      receivedAt: T0,
    }));
    bench.send(sent);
    expect(bench.listed().map(({ reason }) => reason)).toEqual(Array(4).fill('malformed'));
  });
});

describe('the space of the quarantine', () => {
  const junk = (device: string, bytes = 1_000) => message(`!${'x'.repeat(bytes - 1)}`, device);

  test('a device past its own limit loses its oldest messages; they are counted, and the ledger does not change', () => {
    const bench = quarantineBench({ bytes: 1e9, holderBytes: 20_000 }, ['d', 'e']);
    bench.send([junk('e'), message(faults(40), 'd'), message({ metrics: { x: 1 } }, 'd')]);
    for (let i = 0; i < 30; i++) bench.send([junk('d')]);
    const { bytes, dropped } = bench.reader.usage('d');
    expect(bytes).toBeLessThanOrEqual(20_000);
    expect(bytes).toBeGreaterThan(17_000);
    const kept = bench.listed({ device: 'd' });
    expect(dropped).toEqual({ messages: 30 - kept.length, readings: 41 });
    expect(bench.listed({ device: 'e' })).toHaveLength(1);
    expect(bench.counts()).toMatchObject({ quarantined: 31, refused: 41 });
    expect(kept.at(-1)!.id).toBe(`${33 - kept.length}-0`);
    expect(bench.reader.usage().bytes).toBe(bytes + bench.reader.usage('e').bytes);
    expect(bench.reader.usage().dropped).toEqual(dropped);
  });

  test('past the limit of all, the device with the most loses its oldest', () => {
    const bench = quarantineBench({ bytes: 40_000, holderBytes: 1e9 }, ['d', 'e']);
    for (let i = 0; i < 5; i++) bench.send([junk('e')]);
    for (let i = 0; i < 60; i++) bench.send([junk('d')]);
    expect(bench.listed({ device: 'e' })).toHaveLength(5);
    expect(bench.reader.usage().bytes).toBeLessThanOrEqual(40_000);
    expect(bench.reader.usage('d').dropped.messages).toBe(60 - bench.listed({ device: 'd' }).length);
  });

  test('what is sent in the name of devices that were never registered is charged to the key that sent it', () => {
    const bench = quarantineBench({ bytes: 1e9, holderBytes: 20_000 });
    const uplink = (i: number) => ({ ...junk('ns-1'), topic: `application/1/device/00000000000000${i}/event/up` });
    bench.send(Array.from({ length: 80 }, (_, i) => uplink(10 + i)));
    const { bytes, dropped } = bench.reader.usage('ns-1');
    expect(bytes).toBeLessThanOrEqual(20_000);
    expect(dropped.messages).toBe(80 - bench.listed().length);
  });

  test('entries that are replayed or expire give back their space, to the last byte', () => {
    const bench = quarantineBench();
    bench.send([message(faults(100)), junk('d'), message({ metrics: { x: 1, y: 2 } })]);
    bench.intake.city(widened, T0);
    bench.replay(bench.listed().map(({ id }) => id));
    const sizes = 'select sum(bytes) as n from quarantine_message';
    expect(bench.reader.usage('d').bytes).toBe(Number(bench.db.prepare(sizes).get()!.n));
    expect(bench.listed().map(({ reason }) => reason)).toEqual(['unknown-metric', 'malformed']);
    expect(bench.store.expire(T0 + 1)).toBe(2);
    expect(bench.reader.usage()).toEqual({ bytes: 0, dropped: { messages: 0, readings: 0 } });
    expect(bench.db.prepare('select count(*) as n from quarantine_raw').get()).toEqual({ n: 0 });
  });

  test('a replay of what was dropped meanwhile counts for nothing', () => {
    const bench = quarantineBench({ bytes: 1e9, holderBytes: 5_000 });
    bench.send([message({ metrics: { x: 1 } })]);
    const pages = [...bench.reader.chosen(['0-0'])];
    for (let i = 0; i < 9; i++) bench.send([junk('d')]);
    const before = bench.counts();
    bench.intake.city(widened, T0);
    bench.settle(bench.intake.replay({ items: pages[0]! }, T0));
    expect(bench.counts()).toEqual(before);
  });
});

describe('devices that a network server invents', () => {
  const uplink = (device: string, object: object) => ({
    ...message('', 'ns'),
    identity: 'ns',
    topic: `application/1/device/${device}/event/up`,
    payload: JSON.stringify({ deviceInfo: { devEui: device }, object, fCnt: 1, devAddr: '01020304', data: 'AQ==' }),
  });
  const rows = ({ db }: ReturnType<typeof quarantineBench>) =>
    Object.fromEntries(
      db
        .prepare('select device, decoded, quarantined, stored, refused from ledger order by device')
        .all()
        .map(({ device, ...counts }) => [device, Object.values(counts)]),
    );

  test('are counted for the key that sends them: a thousand names add no row to the ledger', () => {
    const bench = quarantineBench();
    bench.send(Array.from({ length: 1_000 }, (_, i) => uplink(`f${i}`.padStart(16, '0'), { a: 1 })));
    expect(rows(bench)).toEqual({ ns: [0, 1_000, 0, 0] });
    expect(bench.listed({ device: 'f7'.padStart(16, '0') })).toHaveLength(1);
  });

  test('move to the device in the ledger, and what they take of the quarantine too, once it is registered', () => {
    const bench = quarantineBench();
    const id = '00000000000000ff';
    bench.send([uplink(id, { a: 1 }), uplink('00000000000000fe', { a: 1 })]);
    bench.replay([bench.listed({ device: id })[0]!.id]);
    expect(rows(bench), 'still unknown').toEqual({ ns: [0, 2, 0, 0] });
    bench.intake.devices([{ id, profile: 'lost', district: 'east' }]);
    bench.replay([bench.listed({ device: id })[0]!.id]);
    expect(rows(bench), 'of a profile that is not there').toEqual({ [id]: [0, 1, 0, 0], ns: [0, 1, 0, 0] });
    expect(bench.db.prepare('select holder from quarantine_message order by holder').all()).toEqual([
      { holder: id },
      { holder: 'ns' },
    ]);
    bench.intake.devices([{ id, profile: 'bin', district: 'east' }]);
    bench.replay([bench.listed({ device: id })[0]!.id]);
    expect(rows(bench)[id]!.slice(0, 2)).toEqual([1, 0]);
    expect(rows(bench).ns).toEqual([0, 1, 0, 0]);
    expect(Number(bench.db.prepare('select sum(bytes) as bytes from quarantine_holder').get()?.bytes)).toBe(
      Number(bench.db.prepare('select sum(bytes) as bytes from quarantine_message').get()?.bytes),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Calibration, calibrated } from '../../../domain/index.ts';
import { cityControl, intakeBench, native } from '../../kit/ingest/intake.ts';

const T0 = Date.parse('2026-03-01T12:00:00Z');
const HOUR = 3_600_000;
const iso = (ms: number) => new Date(ms).toISOString();

const made = (metric: string, how: Partial<Calibration> = {}): Calibration => ({
  ...{ id: '5-0', metric, gain: 1, offset: 0, points: null, from: iso(T0), until: null },
  ...{ certificate: null, note: null, by: 'admin', at: iso(T0), ...how },
});

describe('calibrations', () => {
  test('gain and offset are exact to twelve digits; points are joined by straight lines, and on beyond the outermost', () => {
    expect(calibrated(made('a', { gain: 1.1, offset: -0.3 }), 20)).toBe(21.7);
    expect(calibrated(made('a', { offset: 0.2 }), 0.1)).toBe(0.3);
    const points: Calibration['points'] = [
      [0, 1],
      [10, 9],
      [20, 29],
    ];
    const at = (value: number) => calibrated(made('a', { points }), value);
    expect([0, 10, 20].map(at)).toEqual([1, 9, 29]);
    expect([5, 15, -10, 30].map(at)).toEqual([5, 19, -7, 49]);
  });

  test('a line of two points is the gain and offset that it has', () => {
    const number = fc.double({ min: -1e3, max: 1e3, noNaN: true });
    fc.assert(
      fc.property(number, fc.double({ min: 0.01, max: 10, noNaN: true }), number, (offset, gain, value) => {
        const points: Calibration['points'] = [
          [-100, -100 * gain + offset],
          [100, 100 * gain + offset],
        ];
        const line = calibrated(made('a', { points }), value);
        expect(line).toBeCloseTo(calibrated(made('a', { gain, offset }), value), 6);
      }),
    );
  });

  const bench = (...calibrations: Calibration[]) => {
    const intake = intakeBench();
    intake.city(cityControl(), T0);
    intake.devices([{ id: 'd', profile: 'bin', district: 'east', calibrations }], [], T0);
    return intake;
  };
  const sent = (metrics: object, ts = T0) => native('d', { ts, metrics }, T0);

  test('the corrected value is stored, and beside it what was measured, which the ledger does not count', () => {
    const intake = bench(made('a', { offset: 5 }));
    const outcome = intake.send([sent({ a: 10, b: 1 })]);
    expect(intake.rows(outcome)).toEqual([
      ['d', 'a', T0, 15],
      ['d', 'a.raw', T0, 10],
      ['d', 'b', T0, 1],
    ]);
    expect(outcome.tallies).toMatchObject([{ stored: 2, refused: 0 }]);
  });

  test('the range is that of the corrected value', () => {
    const intake = bench(made('a', { offset: -5 }));
    expect(intake.rows(intake.send([sent({ a: 104 })]))[0]).toEqual(['d', 'a', T0, 99]);
    const refused = intake.send([sent({ a: 4 }, T0 + 1)]).refusals;
    expect(refused).toMatchObject([{ reason: 'out-of-range', detail: '4 found, -1 u; a lies within 0 to 100 u' }]);
  });

  test('a calibration is for the readings of its span, and of several the one that was made last counts', () => {
    const first = made('a', { offset: 1, from: iso(T0 - 2 * HOUR), until: iso(T0) });
    const second = made('a', { id: '6-0', offset: 2, from: iso(T0 - HOUR) });
    const intake = bench(first, second);
    const at = (ms: number) => intake.rows(intake.send([sent({ a: 10 }, T0 + ms)])).map(([, , , value]) => value);
    expect(at(-3 * HOUR)).toEqual([10]);
    expect(at(-2 * HOUR)).toEqual([11, 10]);
    expect(at(-HOUR)).toEqual([12, 10]);
    expect(at(0)).toEqual([12, 10]);
  });

  test('a message that comes again after a calibration is a duplicate; another value replaces, corrected', () => {
    const intake = bench();
    intake.send([sent({ a: 10 })]);
    intake.devices([{ id: 'd', profile: 'bin', district: 'east', calibrations: [made('a', { offset: 5 })] }]);
    expect(intake.send([sent({ a: 10 })]).tallies).toMatchObject([{ stored: 0, duplicate: 1 }]);
    const { replaced, tallies } = intake.send([sent({ a: 20 })]);
    expect(tallies).toMatchObject([{ stored: 1, replaced: 1 }]);
    expect([replaced.length, replaced.value[0], replaced.value[1]]).toEqual([2, 25, 20]);
    const twice = [sent({ a: 1 }, T0 + 1), sent({ a: 1 }, T0 + 1)];
    expect(intake.send(twice).tallies).toMatchObject([{ stored: 1, duplicate: 1 }]);
  });

  test('what was measured of a value that is replaced goes with it, also where the new one is not corrected', () => {
    const intake = bench(made('a', { offset: 5 }));
    intake.send([sent({ a: 10 })]);
    const later = made('a', { offset: 5, from: iso(T0 + HOUR) });
    intake.devices([{ id: 'd', profile: 'bin', district: 'east', calibrations: [later] }]);
    const { replaced } = intake.send([sent({ a: 20 })]);
    expect([replaced.length, replaced.value[0], replaced.value[1]]).toEqual([2, 20, 20]);
    expect(intake.rows(intake.send([sent({ a: 20 }, T0 + 1)]))).toEqual([['d', 'a', T0 + 1, 20]]);
  });

  test('a block that is read again after a restart is corrected as the first time', () => {
    const intake = bench(made('a', { offset: 5 }));
    const before = intake.send([sent({ a: 10 })]);
    intake.persist();
    intake.devices([{ id: 'd', profile: 'bin', district: 'east' }]);
    intake.persist();
    const rows = intake.rows(before);
    intake.restart();
    expect(intake.rows(intake.again(before.block.seq))).toEqual(rows);
    expect(intake.rows(intake.send([sent({ a: 11 }, T0 + 1)]))).toEqual([['d', 'a', T0 + 1, 11]]);
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applied, convert, knownUnits, unitFault } from '../../../city-model/units.ts';
import { runs } from '../../kit/runs.ts';

/** Converts a value; returns the fault of `convert` where that is not possible. */
function inUnit(value: number, from: string, to: string): number | string {
  const conversion = convert(from, to);
  return typeof conversion === 'string' ? conversion : applied(conversion, value);
}

test.each<[number, string, number, string]>([
  // temperature
  [100, 'Cel', 373.15, 'K'],
  [0, 'K', -273.15, 'Cel'],
  [294.65, 'KEL', 21.5, 'CEL'],
  [140, '[degF]', 60, 'Cel'],
  [32, '°F', 0, '°C'],
  [-40, 'FAH', -40, '℃'],
  [223.15, 'K', -50, 'Cel'],
  // pressure
  [1013.25, 'hPa', 101325, 'Pa'],
  [98754.28, 'Pa', 987.5428, 'hPa'],
  [101.3, 'kPa', 1013, 'mbar'],
  [1, 'bar', 1000, 'hPa'],
  [1, 'atm', 1013.25, 'hPa'],
  [760, 'mm[Hg]', 1013.250144354, 'hPa'],
  [1013, 'MBR', 1013, 'A97'],
  // concentration
  [12.5, 'ug/m3', 12.5, 'GQ'],
  [12.5, 'µg/m³', 0.0125, 'mg/m3'],
  [12.5, 'μg/m³', 0.0125, 'GP'],
  [1.25e-8, 'kg/m3', 12.5, 'ug/m3'],
  [1, 'mg/L', 1, 'g/m3'],
  // ratio
  [0.57, '/', 57, '%'],
  [0.57, '1', 57, 'P1'],
  [57, '%RH', 57, '%'],
  [57, '%', 57, '%EL'],
  [0.57, '/', 57, '%RH'],
  [1, 'lon', 1, 'deg'],
  [420, 'ppm', 0.042, '%'],
  [5, 'ppb', 0.005, 'ppm'],
  // sound
  [6.5, 'Bspl', 65, 'dB'],
  [65, 'dB(A)', 65, '2N'],
  // speed
  [100, 'km/h', 27.7777777777778, 'm/s'],
  [69.4444444444444, 'MTS', 250, 'KMH'],
  [30, '[mi_i]/h', 48.28032, 'km/h'],
  [30, 'HM', 48.28032, 'km/h'],
  [10, 'kn', 18.52, 'km/h'],
  // length
  [57, 'cm', 0.57, 'm'],
  [57, 'MMT', 5.7, 'CMT'],
  [1, '[mi_i]', 1.609344, 'km'],
  [12, '[in_i]', 1, '[ft_i]'],
  // the others
  [90, 'min', 1.5, 'h'],
  [230_000, 'mV', 230, 'V'],
  [0.06, 'kW', 60, 'W'],
  [3.6, 'MJ', 1, 'kWh'],
  [3_600_000, 'W.s', 1, 'kW.h'],
  [2, 'klx', 2000, 'lx'],
  [1, 'm3/s', 3600, 'm3/h'],
  [12, 'L/min', 0.2, 'l/s'],
  [2, '1/s', 120, '1/min'],
  [90, 'deg', 1.5707963267949, 'rad'],
  [1, 'S/m', 10, 'mS/cm'],
  [30, 'dBm', 0, 'dBW'],
])('units - %d %s is %d %s', (value, from, expected, to) => {
  expect(inUnit(value, from, to)).toBe(expected);
});

test.each([
  ['Pa', 'Cel', 'wrong-unit', '"Pa" measures pressure, Cel measures temperature'],
  ['C', 'Cel', 'wrong-unit', '"C" measures electric charge, Cel measures temperature'],
  [
    'ppb',
    'ug/m3',
    'wrong-unit',
    '"ppb" measures ratio, ug/m3 measures mass concentration; parts by volume become a mass only with the gas, its temperature and pressure',
  ],
  ['%EL', '%RH', 'wrong-unit', '"%EL" measures the charge of a battery, %RH measures relative humidity'],
  ['lat', 'lon', 'wrong-unit', '"lat" measures latitude, lon measures longitude'],
  ['dB[SPL]', 'dBA', 'wrong-unit', '"dB[SPL]" measures unweighted sound level, dBA measures A-weighted sound level'],
  ['furlong', 'm', 'unknown-unit', 'no conversion from "furlong" to m is known'],
  ['m', 'furlong', 'unknown-unit', 'no conversion from m to "furlong" is known'],
  ['', 'm', 'unknown-unit', 'no conversion from "" to m is known'],
  ['cel', 'Cel', 'unknown-unit', 'no conversion from "cel" to Cel is known'],
  ['toString', 'm', 'unknown-unit', 'no conversion from "toString" to m is known'],
])('units - from %s to %s is %s, with both named', (from, to, reason, detail) => {
  expect(convert(from, to)).toBe(reason);
  expect(unitFault(from, to)).toBe(detail);
});

test('units - a unit that is not in the table converts to itself', () => {
  expect(inUnit(0.1 + 0.2, 'furlong', 'furlong')).toBe(0.1 + 0.2);
});

test('units - a very long name is unknown and is not repeated in full', () => {
  expect(convert('m'.repeat(100_000), 'm')).toBe('unknown-unit');
  expect(unitFault('m'.repeat(100_000), 'm').length).toBeLessThan(100);
});

test('units - no name stands for two units', () => {
  expect(new Set(knownUnits).size).toBe(knownUnits.length);
});

const unit = fc.constantFrom(...knownUnits);
const reading = fc
  .double({ min: -1e6, max: 1e6, noNaN: true })
  .filter((value) => value === 0 || Math.abs(value) > 1e-12);

test('units - converting back returns the value, in every unit of the quantity', () => {
  fc.assert(
    fc.property(unit, unit, reading, (from, to, value) => {
      const there = convert(from, to);
      const back = convert(to, from);
      if (typeof there === 'string' || typeof back === 'string') {
        expect(back).toBe(there);
        return;
      }
      // Scales with different zeros are exact to 1e-9 of a degree.
      const scale = there.offset === 0 ? 1e-13 * Math.abs(value) : 1e-8;
      expect(Math.abs(applied(back, applied(there, value)) - value)).toBeLessThanOrEqual(scale);
    }),
    { numRuns: runs(20_000) },
  );
});

test('units - converting over a third unit gives the same value', () => {
  fc.assert(
    fc.property(unit, unit, unit, reading, (a, b, c, value) => {
      const [ab, bc, ac] = [convert(a, b), convert(b, c), convert(a, c)];
      if (typeof ab === 'string' || typeof bc === 'string' || typeof ac === 'string') return;
      const scale = Math.max(1e-8 * Math.max(1, Math.abs(ac.factor)), 1e-13 * Math.abs(value * ac.factor));
      expect(Math.abs(applied(bc, applied(ab, value)) - applied(ac, value))).toBeLessThanOrEqual(scale);
    }),
    { numRuns: runs(20_000) },
  );
});

test('units - a whole number of hundredths stays one: binary rounding errors reach no limit and no page', () => {
  fc.assert(
    fc.property(fc.integer({ min: -100_000, max: 100_000 }), (hundredths) => {
      expect(inUnit(hundredths, 'cm', 'm')).toBe(Number(`${hundredths}e-2`));
      expect(inUnit(Number(`${hundredths}e-2`), '/', '%')).toBe(hundredths);
      expect(inUnit(Number(`${hundredths + 27315}e-2`), 'K', 'Cel')).toBe(Number(`${hundredths}e-2`));
    }),
  );
});

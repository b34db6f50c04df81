import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseCity } from '../../../city-model/index.ts';
import { type City, type MetricTable, REASONS, type Rejection } from '../../../domain/index.ts';
import { Checked, checkReading, compileChecks, formatOf, type ProfileChecks } from '../../../ingest/index.ts';
import { cityControl } from '../../kit/ingest/intake.ts';
import { runs } from '../../kit/runs.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const PAST = 86_400_000;
const AHEAD = 300_000;
const METRICS = { a: { min: 0, max: 100 }, b: { min: -50, max: 50 }, 'x-1_y': { min: -1e300, max: 1e300 } };

const { city } = parseCity(cityControl({ metrics: METRICS, profiles: { bin: Object.keys(METRICS) } })) as {
  city: City;
};
const names: string[] = [];
const table: MetricTable = {
  indexOf: (id) => (names.includes(id) ? names.indexOf(id) : names.push(id) - 1),
  idOf: (index) => names[index]!,
};
const checks: ProfileChecks = compileChecks(city, table).get('bin')!;

/** The checks of the same city, written independently as a zod schema. */
const values = Object.fromEntries(
  Object.entries(METRICS).map(([id, { min, max }]) => [id, z.number().min(min).max(max)]),
) as Record<keyof typeof METRICS, z.ZodNumber>;
const Value = (name: string): z.ZodType<number> =>
  Object.hasOwn(values, name) ? values[name as keyof typeof METRICS] : z.never();
const Time = z
  .union([z.number().transform(Math.round), z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))])
  .refine((ms) => ms >= NOW - PAST && ms <= NOW + AHEAD);

interface Found {
  readonly ts: number;
  readonly good: readonly [string, number][];
  readonly rejections: readonly Rejection[];
}

/** Returns the result of intake for a payload; null where all of it is refused. */
function read(payload: unknown): Found[] | Rejection {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const decoded = formatOf('d', 'devices/d/readings').format!.decode(Buffer.from(text), NOW);
  if ('reason' in decoded) return decoded;
  const out = new Checked();
  return decoded.readings.map((raw) => {
    out.rejections = [];
    checkReading(raw, checks, NOW, out);
    const good = Array.from({ length: out.length }, (_, i): [string, number] => [
      table.idOf(out.metric[i]!),
      out.value[i]!,
    ]);
    return { ts: out.ts, good, rejections: [...out.rejections] };
  });
}

/** Returns the value at a path; its parent must exist. */
function pointsInto(path: string, payload: unknown): boolean {
  let rest = path.slice(1);
  let at = payload;
  while (rest !== '') {
    if (typeof at !== 'object' || at === null) return false;
    const index = /^\[(\d+)\]/.exec(rest);
    // A name may contain dots: the longest one that exists is taken.
    const name = Object.keys(at)
      .filter((key) => rest === `.${key}` || rest.startsWith(`.${key}.`) || rest.startsWith(`.${key}[`))
      .sort((x, y) => y.length - x.length)[0];
    if (index !== null && Array.isArray(at)) {
      at = at[Number(index[1])];
      rest = rest.slice(index[0].length);
    } else if (name !== undefined) {
      at = (at as Record<string, unknown>)[name];
      rest = rest.slice(name.length + 1);
    } else return false;
  }
  return true;
}

const names_ = fc.constantFrom(
  'a',
  'a',
  'b',
  'b',
  'x-1_y',
  'A',
  '',
  'a.b',
  '__proto__',
  'constructor',
  'toString',
  '0',
);
const anyValue = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: -120, max: 120, noNaN: true }) },
  { weight: 3, arbitrary: fc.constantFrom(0, -0, 100, -50, 50, 100.00000000000001, 1e308, -1e308, 5e-324, 2 ** 53) },
  { weight: 3, arbitrary: fc.constantFrom<unknown[]>(null, true, '', '12', 'NaN', 'Infinity', [], [1], {}, { a: 1 }) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
/** `__proto__` as an own key, as JSON.parse creates it. */
const metrics = fc.array(fc.tuple(names_, anyValue), { minLength: 1, maxLength: 6 }).map((pairs) => {
  const made: Record<string, unknown> = {};
  for (const [name, value] of pairs)
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  return made;
});
const iso = (ms: number) => new Date(ms).toISOString();
const times = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: NOW - PAST, max: NOW + AHEAD }) },
  { weight: 3, arbitrary: fc.integer({ min: NOW - PAST, max: NOW + AHEAD }).map(iso) },
  { weight: 2, arbitrary: fc.constantFrom(NOW - PAST, NOW - PAST - 1, NOW + AHEAD, NOW + AHEAD + 1, NOW + 0.4) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown[]>(
      null,
      '',
      true,
      {},
      [],
      [NOW],
      String(NOW),
      '2026-03-01',
      '2026-03-01T12:00:00',
      '2026-02-30T12:00:00Z',
      '2026-03-01T25:00:00Z',
      '2026-03-01T12:00:00+01:00',
      'yesterday',
      -1,
      0,
      1e300,
      NOW / 1000,
    ),
  },
);
const reading = fc.oneof(
  { weight: 1, arbitrary: fc.record({ metrics }) },
  { weight: 4, arbitrary: fc.record({ ts: times, metrics }) },
);

describe('validation', () => {
  test('accepts the values that a zod schema of the city accepts, and reports for every other what is wrong and where', () => {
    const seenReasons = new Map<string, number>();
    fc.assert(
      fc.property(fc.oneof(reading, fc.array(reading, { minLength: 1, maxLength: 3 })), (made) => {
        // As received: JSON has no -0.
        const payload = JSON.parse(JSON.stringify(made)) as typeof made;
        const items: { ts?: unknown; metrics: Record<string, unknown> }[] = Array.isArray(payload)
          ? payload
          : [payload];
        const found = read(payload) as Found[];
        expect(found).toHaveLength(items.length);
        found.forEach(({ ts, good, rejections }, i) => {
          const { ts: given, metrics: sent } = items[i]!;
          const at = 'ts' in items[i]! ? Time.safeParse(given) : { success: true, data: NOW };
          const expected = Object.entries(sent).filter(
            ([name, value]) => at.success && Value(name).safeParse(value).success,
          );
          expect(good).toEqual(expected);
          if (good.length > 0) expect(ts).toBe(at.data);
          // Every value is either valid or refused.
          expect(good.length + rejections.length).toBe(Object.keys(sent).length);
          for (const { reason, path, detail } of rejections) {
            seenReasons.set(reason, (seenReasons.get(reason) ?? 0) + 1);
            expect(Object.hasOwn(REASONS, reason), reason).toBe(true);
            expect(detail).not.toBe('');
            expect(path.startsWith(Array.isArray(payload) ? `$[${i}].` : '$.'), path).toBe(true);
            expect(pointsInto(path, payload), path).toBe(true);
          }
          expectPaths(rejections, at.success);
        });
      }),
      { numRuns: runs(3_000) },
    );
    const expected = ['unknown-metric', 'not-a-number', 'out-of-range', 'bad-timestamp', 'too-old', 'in-the-future'];
    for (const reason of expected) expect(seenReasons.get(reason), reason).toBeGreaterThan(runs(50));
  });

  test.each([
    ['1e999', 'a', 'not-a-number'],
    ['-1e999', 'a', 'not-a-number'],
    ['"12"', 'a', 'not-a-number'],
    ['null', 'b', 'not-a-number'],
    ['{"__proto__": 5}', 'b', 'not-a-number'],
    ['101', 'a', 'out-of-range'],
    ['1', '__proto__', 'unknown-metric'],
    ['1', 'constructor', 'unknown-metric'],
    ['1', 'hasOwnProperty', 'unknown-metric'],
  ])('the value %s of "%s" is refused as %s', (value, name, reason) => {
    const [{ good, rejections }] = read(`{"ts": ${NOW}, "metrics": {"${name}": ${value}}}`) as [Found];
    expect(good).toEqual([]);
    expect(rejections).toMatchObject([{ reason, path: `$.metrics.${name}` }]);
  });

  test.each([
    ['', 'malformed', '$'],
    ['{"ts": 1', 'malformed', '$'],
    ['NaN', 'malformed', '$'],
    ['\u0000\u00ff', 'malformed', '$'],
    ['null', 'wrong-shape', '$'],
    ['7', 'wrong-shape', '$'],
    ['"text"', 'wrong-shape', '$'],
    ['[]', 'wrong-shape', '$'],
    ['[[]]', 'wrong-shape', '$[0]'],
    ['{}', 'wrong-shape', '$.metrics'],
    ['{"metrics": {}}', 'wrong-shape', '$.metrics'],
    ['{"metrics": [1]}', 'wrong-shape', '$.metrics'],
    ['{"metrics": {"a": 1}, "unit": "u"}', 'wrong-shape', '$.unit'],
    ['{"metrics": {"a": 1}, "__proto__": {"ts": 1}}', 'wrong-shape', '$.__proto__'],
  ])('the payload %s is refused whole as %s at %s', (payload, reason, path) => {
    expect(read(payload)).toMatchObject({ reason, path, detail: expect.stringMatching(/\w/) });
  });

  test('of an array the valid readings are taken, and the others refused at their places', () => {
    const payload = [{ ts: NOW, metrics: { a: 1 } }, 5, { ts: NOW, metrics: { a: 2 } }];
    expect(read(payload)).toMatchObject([{ good: [['a', 1]] }, { good: [['a', 2]] }]);
  });

  test('the refusal of a timestamp in seconds says that milliseconds are expected', () => {
    const [{ rejections }] = read({ ts: NOW / 1000, metrics: { a: 1 } }) as [Found];
    expect(rejections[0]).toMatchObject({ reason: 'too-old', detail: expect.stringContaining('milliseconds') });
  });

  test('metrics get the same indexes whichever city comes first, and profiles are independent', () => {
    const both = compileChecks(parseCity(cityControl()).city!, table);
    const out = new Checked();
    checkReading({ path: '$', ts: NOW, metrics: { a: 1, c: 0.5 }, units: null }, both.get('pole')!, NOW, out);
    expect(Array.from({ length: out.length }, (_, i) => table.idOf(out.metric[i]!))).toEqual(['c']);
    expect(out.rejections).toMatchObject([{ reason: 'unknown-metric', path: '$.metrics.a' }]);
  });
});

/** A fault of the time is reported at the time, once per value; any other fault at its value. */
function expectPaths(rejections: readonly Rejection[], timeIsGood: boolean): void {
  for (const { path } of rejections) expect(path.endsWith('.ts') && !path.includes('.metrics'), path).toBe(!timeIsGood);
}

import { expect, test } from 'vitest';
import { HOUR_MS } from '../../../domain/index.ts';
import { createRuleEngine } from '../../../rules/engine/index.ts';
import { columns, device, inForce, metricTable, rule, timeline } from '../../kit/rules/engine.ts';
import { rule as ruleOf } from '../../kit/rules/reference/kit.ts';

const ids = (count: number) => Array.from({ length: count }, (_, i) => `a${i}`);

function fleet(count: number, ...rules: Parameters<typeof timeline>) {
  const city = timeline(...rules);
  for (const id of ids(count)) city.device(0, device(id));
  return city;
}

test('limit - a rule that matches a whole fleet fires its limit alarm instead of ten thousand alerts', () => {
  const city = fleet(10_000, rule({ limit: 100 }));
  const lines = ids(10_000).flatMap((id) => city.reading(1, 80, { id }));
  expect(lines.filter((line) => line.includes('→ firing'))).toHaveLength(101);
  expect(lines.filter((line) => line.includes('~limit'))).toEqual(['dust ~limit: inactive → firing at 101']);
  expect(lines.filter((line) => line.includes('→ pending'))).toHaveLength(9_900);
});

test('limit - held alerts fire in order of group when the rule is within its limit again', () => {
  const city = fleet(4, rule({ limit: 2 }));
  for (const id of ids(4)) city.reading(1, 80, { id });
  expect(city.reading(2, 10, { id: 'a3' })).toEqual(['dust a3: pending → cancelled at 10']);
  expect(city.reading(3, 10, { id: 'a0' })).toEqual([
    'dust a0: firing → resolved at 10',
    'dust ~limit: firing → resolved at 2',
    'dust a2: pending → firing at 80',
  ]);
  expect(city.reading(4, 80, { id: 'a3' })).toEqual([
    'dust a3: inactive → pending at 80',
    'dust ~limit: inactive → firing at 3',
  ]);
});

test('limit - its alarm and held alerts survive a restart', () => {
  const before = fleet(4, rule({ limit: 2 }));
  for (const id of ids(4)) before.reading(1, 80, { id });
  const after = fleet(4, rule({ limit: 2 }));
  after.engine.restore(before.engine.takeDirty());
  expect(after.reading(2, 10, { id: 'a0' })).toEqual(['dust a0: firing → resolved at 10']);
  expect(after.reading(3, 10, { id: 'a1' })).toEqual([
    'dust a1: firing → resolved at 10',
    'dust ~limit: firing → resolved at 2',
    'dust a2: pending → firing at 80',
    'dust a3: pending → firing at 80',
  ]);
});

test('limit - ends with its rule', () => {
  const city = fleet(2, rule({ limit: 1 }));
  for (const id of ids(2)) city.reading(1, 80, { id });
  expect(city.configure(2)).toEqual([
    'dust a0: firing → resolved at 80',
    'dust a1: pending → cancelled at 80',
    'dust ~limit: firing → resolved at 0',
  ]);
});

test('limit - the alarm of a changed rule ends before the new version fires its own', () => {
  const read = { kind: 'not', of: { kind: 'absent', metric: null, absentMs: 60_000 } } as const;
  const crowded = (version: string) =>
    ruleOf({
      ...{ id: 'read', version, when: read, forEach: 'district', quorum: { devices: 1 }, limit: 1 },
      keepFiringForMs: version === 'v1' ? 0 : 1,
    });
  const city = timeline(crowded('v1'));
  city.device(0, device('a0'));
  city.device(0, device('a1', { district: 'hills' }));
  expect(city.configure(2, crowded('v2'))).toEqual([
    'read hills: pending → cancelled at 1',
    'read ~limit: firing → resolved at 0',
    'read hills: inactive → pending at 1',
    'read ~limit: inactive → firing at 2',
  ]);
});

test('fault - only a rule that cannot be compiled is disabled, with an alarm', () => {
  const broken = rule({ id: 'broken', when: { fn: 'nonsense' as 'mean' } });
  const engine = createRuleEngine({ metrics: metricTable(), gaps: false });
  const [alarm, ...rest] = engine.configure(inForce([broken, rule()]), { seq: 1, atMs: 0 });
  expect(rest).toEqual([]);
  expect(alarm).toMatchObject({ rule: 'broken', group: '~fault', to: 'firing', severity: 'critical', value: null });
  expect(alarm!.evidence.detail).toBe('there is no function "nonsense"');
  expect(engine.explain('broken', 'a0')!.reason).toBe('rule-fault');
});

test('fault - an error at a reading disables only its rule, and the others use the reading', () => {
  const broken = rule({ id: 'broken', when: { threshold: null as unknown as number } });
  const city = fleet(2, broken, rule());
  expect(city.reading(1, 80, { id: 'a0' })).toEqual([
    'broken ~fault: inactive → firing at null',
    'dust a0: inactive → firing at 80',
  ]);
  expect(city.reading(2, 80, { id: 'a1' })).toEqual(['dust a1: inactive → firing at 80']);
  expect(city.configure(3, rule())).toEqual(['broken ~fault: firing → resolved at null']);
});

test('gap - a start says that the server was down, however short that was', () => {
  const metrics = metricTable();
  const known = device('a0');
  const absent = { ...rule({ id: 'silent' }), when: { kind: 'absent' as const, metric: 'pm25', absentMs: 10_000 } };
  const start = 1_790_000_000_000;
  const firedAfter = (afterDown: boolean) => {
    const engine = createRuleEngine({ metrics });
    engine.configure(inForce([absent]), { seq: 1, atMs: start });
    engine.deviceChanged(known, { seq: 2, atMs: start });
    engine.step(columns([[known, metrics.indexOf('pm25'), start, 1]]), { seq: 3, atMs: start });
    engine.tick({ seq: 4, atMs: start + 4_000 });
    const begun = engine.tick({ seq: 5, atMs: start + 13_000, afterDown });
    const ticks = Array.from({ length: 20 }, (_, i) => engine.tick({ seq: 6 + i, atMs: start + 14_000 + i * 1_000 }));
    return [...begun, ...ticks.flat()].map(({ atMs }) => atMs - start);
  };
  expect(firedAfter(true)).toEqual([19_000]);
  expect(firedAfter(false)).toEqual([10_000]);
});

test('gap - time in which the server was down does not count', () => {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics });
  const known = device('a0');
  const absent = { ...rule({ id: 'silent' }), when: { kind: 'absent' as const, metric: 'pm25', absentMs: 900_000 } };
  const start = 1_790_000_000_000;
  engine.configure(inForce([absent]), { seq: 1, atMs: start });
  engine.deviceChanged(known, { seq: 2, atMs: start });
  engine.step(columns([[known, metrics.indexOf('pm25'), start, 1]]), { seq: 3, atMs: start });
  const night = start + 8 * HOUR_MS;
  expect(engine.tick({ seq: 4, atMs: night })).toEqual([]);
  const ticks = Array.from({ length: 901 }, (_, i) => engine.tick({ seq: 5 + i, atMs: night + (i + 1) * 1000 })).flat();
  expect(ticks.map(({ to, atMs, value }) => [to, atMs, value])).toEqual([['firing', night + 900_000, 900]]);
});

import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import { DAY_MS, HOUR_MS, type Rule } from '../../../domain/index.ts';
import { parseRule } from '../../../rules/language/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const city = parseCity(sample).city!;
const HEAD = 'id: r\ntitle: T\n';

function parse(text: string) {
  return parseRule(`${HEAD}${text}`, city, { path: 'r', origin: 'api:me' });
}

function ruleOf(when: string, more = 'severity: low'): Rule {
  const { rule, problems } = parse(`when: ${when}\n${more}\n`);
  expect(formatProblems(problems)).toBe('');
  return rule!;
}

const plain = { kind: 'threshold', fn: 'last', windowMs: 0, compare: null };

test.each<[string, object]>([
  [
    '{ metric: fill, sum: 1h, above: 900 }',
    { ...plain, metric: 'fill', fn: 'sum', windowMs: HOUR_MS, op: 'above', threshold: 900, clear: 900 },
  ],
  [
    '{ metric: fill, outside: [5, 90], clear: [10, 80] }',
    { ...plain, metric: 'fill', op: 'outside', threshold: [5, 90], clear: [10, 80] },
  ],
  ['{ metric: fill, equals: 0 }', { ...plain, metric: 'fill', op: 'equals', threshold: 0, clear: 0 }],
  [
    '{ metric: pm25, mean: 15m, compare: { with: pm10, as: ratio }, above: 1 }',
    {
      ...plain,
      metric: 'pm25',
      fn: 'mean',
      windowMs: 900_000,
      op: 'above',
      threshold: 1,
      clear: 1,
      compare: { with: { metric: 'pm10' }, as: 'ratio', withinMs: 900_000 },
    },
  ],
  [
    '{ metric: temperature, compare: { with: peers }, above: 5 }',
    {
      ...plain,
      metric: 'temperature',
      op: 'above',
      threshold: 5,
      clear: 5,
      compare: { with: 'peers', as: 'difference', withinMs: HOUR_MS },
    },
  ],
  ['{ absent: 15m }', { kind: 'absent', metric: null, absentMs: 900_000 }],
  ['{ metric: fill, absent: 15m }', { kind: 'absent', metric: 'fill', absentMs: 900_000 }],
  [
    '{ metric: level, flat: { for: 6h, within: 0.1 } }',
    { kind: 'flat', metric: 'level', windowMs: 21_600_000, within: 0.1 },
  ],
  [
    '{ metric: level, jump: { by: 3, within: 10m, direction: up } }',
    { kind: 'jump', metric: 'level', windowMs: 600_000, by: 3, clear: 3, direction: 'up' },
  ],
  [
    '{ metric: laeq, mean: 15m, anomaly: {} }',
    {
      kind: 'anomaly',
      metric: 'laeq',
      fn: 'mean',
      windowMs: 900_000,
      seasonMs: DAY_MS,
      deviations: 4,
      trainMs: 14 * DAY_MS,
      leastSpread: expect.any(Number),
      measure: { kind: 'level', max: 140 },
    },
  ],
  [
    '{ metric: fill, forecast: { within: 12h, reset: 30 }, above: 95, clear: 90 }',
    {
      kind: 'forecast',
      metric: 'fill',
      method: 'trend',
      withinMs: DAY_MS / 2,
      overMs: DAY_MS,
      reset: 30,
      seasonMs: DAY_MS,
      op: 'above',
      threshold: 95,
      clear: 90,
    },
  ],
  [
    '{ all: [{ metric: fill, above: 90 }, { not: { metric: battery, below: 5 } }] }',
    {
      kind: 'all',
      of: [
        { ...plain, metric: 'fill', op: 'above', threshold: 90, clear: 90 },
        { kind: 'not', of: { ...plain, metric: 'battery', op: 'below', threshold: 5, clear: 5 } },
      ],
    },
  ],
])('rule language - %s is read', (when, expected) => {
  expect(ruleOf(when).when).toEqual(expected);
});

test('rule language - a quorum makes its district the group', () => {
  const rule = ruleOf('{ metric: level, mean: 15m, above: 3, quorum: { at_least: 60%, of: district } }');
  expect(rule).toMatchObject({ forEach: 'district', quorum: { percent: 60 }, origin: 'api:me' });
});

test('rule language - steps of severity become steps', () => {
  const rule = ruleOf('{ metric: pm25, mean: 15m, above: 75 }', 'severity: { high: 75, critical: 150 }');
  expect(rule).toMatchObject({ severity: 'high', steps: [{ at: 150, severity: 'critical' }] });
});

test('rule language - the other fields of a rule are read', () => {
  const more =
    'severity: low\nlateness: 10m\nactive: working-hours\non_no_data: alert\nno_data_after: 1h\nflapping: { times: 4, within: 1h }\nlimit: 5';
  expect(ruleOf('{ metric: fill, above: 90 }', more)).toMatchObject({
    latenessMs: 600_000,
    active: 'working-hours',
    onNoData: 'alert',
    noDataAfterMs: HOUR_MS,
    flapping: { times: 4, withinMs: HOUR_MS },
    limit: 5,
    profiles: ['waste-bin'],
  });
});

test.each<[string, string]>([
  ['when: { metric: fill, above: 90, absent: 5m }', '3:23 above does not go with absent; it takes metric, absent'],
  ['when: { metric: fill, outside: [90, 5] }', '3:23 a band is [low, high], the lower first'],
  ['when: { metric: fill, outside: [5, 90], clear: 50 }', '3:41 for outside, clear is a band [low, high]'],
  ['when: { metric: fill, equals: 1, clear: 2 }', '3:34 equals has no clear: it ends when the value changes'],
  ['when: { metric: pm25, compare: { with: pm2 }, above: 1 }', '3:34 unknown metric "pm2": did you mean "pm25"?'],
  [
    'when: { metric: fill, compare: { with: fill }, above: 1 }',
    '3:34 a metric cannot be compared with itself; write peers for other devices',
  ],
  [
    'when: { metric: pm25, above: 1, compare: { with: laeq } }',
    '3:9 no profile of this rule measures all of pm25, laeq',
  ],
  [
    'when: { metric: fill, above: 9 }\nactive: working-hour',
    '4:1 unknown calendar "working-hour": did you mean "working-hours"?',
  ],
  [
    'when: { metric: level, last: true, above: 3 }\nfor_each: district',
    '3:24 last cannot be used over all devices of a district or the city; with quorum each device is judged by itself; use one of mean, min, max, sum, count, p10, p50, p90, p95, stddev, faults',
  ],
  [
    'when: { metric: level, above: 3, quorum: { at_least: 3, of: district } }\nfor_each: city',
    '4:1 a quorum of a district is for_each: district; leave for_each out, or write the same',
  ],
  ['when: { metric: fill, jump: { by: 5, within: 10m, clear: 6 } }', '3:51 clear must be at or under by (5)'],
  ['when: { metric: fill, anomaly: { train: 1d } }', '3:34 training takes at least two seasons and at most 60d'],
  [
    'when: { metric: fill, forecast: { within: 1h, season: 1d }, above: 9 }',
    '3:47 season goes with method: holt_winters',
  ],
  [
    'when: { absent: 5m }\non_no_data: alert',
    '4:1 a condition with absent is about silence itself; leave on_no_data out',
  ],
  [
    'when: { metric: fill, above: 9 }\nno_data_after: 1h',
    '4:1 it is about on_no_data: resolve or alert, which is missing',
  ],
])('rule language - %s is a mistake with a suggestion', (text, expected) => {
  const { rule, problems } = parse(`${text}\nseverity: low\n`);
  expect(rule).toBeNull();
  const lines = problems.map(({ line, column, message }) => `${line}:${column} ${message}`);

  expect(lines).toEqual([expected]);
});

test.each([
  ['severity: { high: 80, critical: 150 }', 'the lowest step must be the threshold: above: 75'],
  ['severity: { high: 75, critical: 70 }', 'a higher severity needs a step further above'],
])('rule language - %s does not fit its threshold', (severity, expected) => {
  const { problems } = parse(`when: { metric: pm25, above: 75 }\n${severity}\n`);
  expect(problems.map(({ message }) => message)).toEqual([expected]);
});

const parsedOf = (when: string) =>
  parseRule(`id: a\ntitle: a\nwhen: ${when}\nseverity: low`, city, { path: 'a.yaml', origin: 'file:a.yaml' });

test.each<[string, string]>([
  ['{ metric: rain, mean: 1h, above: 3 }', 'mean makes no sense for rain, which is a counter; use delta'],
  [
    '{ metric: wind_direction, max: 1h, above: 3 }',
    'max makes no sense for wind_direction, which is an angle; use mean',
  ],
  ['{ metric: laeq, sum: 1h, above: 3 }', 'sum makes no sense for laeq, which is a level; use mean (Leq)'],
  ['{ metric: wind_direction, above: 3 }', 'wind_direction is an angle; use sector: [from, to], clockwise'],
  ['{ metric: wind_direction, sector: [10, 400] }', 'a direction lies between 0 and 360 degrees'],
  ['{ metric: wind_direction, sector: [340, 20], clear: [350, 20] }', 'clear must hold the sector'],
  [
    '{ metric: wind_direction, jump: { by: 5, within: 1h } }',
    'jump makes no sense for wind_direction, which is an angle; use delta',
  ],
  ['{ metric: wind_direction, compare: { with: peers }, above: 9 }', 'directions have no median; use another metric'],
  ['{ metric: rain, sector: [1, 2] }', 'a sector is about the mean or last of an angle'],
  ['{ metric: laeq, forecast: { within: 1h, method: holt_winters }, above: 9 }', 'holt_winters takes means of numbers'],
])('kinds - %s is refused with what would make sense', (when, message) => {
  expect(
    parsedOf(when)
      .problems.map((one) => one.message)
      .join('\n'),
  ).toContain(message);
});

test('kinds - a sector is outside of the rest of the turn, and the kind is part of the version', () => {
  const rule = parsedOf('{ metric: wind_direction, mean: 10m, sector: [340, 20], clear: [330, 30] }').rule!;
  expect(rule.when).toMatchObject({
    op: 'outside',
    threshold: [20, 340],
    clear: [30, 330],
    measure: { kind: 'angle' },
  });
  const text = 'id: a\ntitle: a\nwhen: { metric: rain, max: 1h, above: 3 }\nseverity: low';
  const versionIn = (one: typeof city) => parseRule(text, one, { path: 'a', origin: 'a' }).rule?.version;
  const rain = city.metrics.get('rain')!;
  const plain = { ...city, metrics: new Map([...city.metrics, ['rain', { ...rain, kind: 'gauge' as const }]]) };
  expect(versionIn(city)).not.toBe(versionIn(plain));
});

test('kinds - a rule on a presence says true or false, and no other rule does', () => {
  const presence = { ...city.metrics.get('fill')!, kind: 'presence' as const, unit: '1', min: 0, max: 1 };
  const other = { ...city, metrics: new Map([...city.metrics, ['fill', presence]]) };
  const parsedIn = (one: typeof city, when: string) =>
    parseRule(`id: a\ntitle: a\nwhen: ${when}\nseverity: low`, one, { path: 'a', origin: 'a' });
  expect(parsedIn(other, '{ metric: fill, equals: true }').rule!.when).toMatchObject({ op: 'equals', threshold: 1 });
  const faults = [
    parsedIn(city, '{ metric: fill, equals: true }'),
    parsedIn(other, '{ metric: fill, delta: 1h, above: 3 }'),
    parsedIn(other, '{ metric: fill, flat: { for: 1h, within: 0 } }'),
  ];
  expect(faults.map(({ problems }) => problems[0]?.message)).toEqual([
    'fill is a number here: write equals: 1',
    expect.stringContaining('delta makes no sense for fill, which is a presence; use mean'),
    expect.stringContaining('use equals: true with for: 6h'),
  ]);
});

test('kinds - a rule on a state names its values, and what makes no sense is refused with what does', () => {
  const values = ['open', 'closed', 'fault'].map((name, code) => ({ code, name }));
  const state = { ...city.metrics.get('fill')!, kind: 'state' as const, unit: '1', min: 0, max: 2, values };
  const other = { ...city, metrics: new Map([...city.metrics, ['fill', state]]) };
  const parsedIn = (when: string, more = 'severity: low') =>
    parseRule(`id: a\ntitle: a\nwhen: ${when}\n${more}`, other, { path: 'a', origin: 'a' });
  const measure = { kind: 'state', max: 2, values };
  const base = { kind: 'threshold', metric: 'fill', measure };
  expect(parsedIn('{ metric: fill, is: [open, fault] }').rule!.when).toMatchObject({
    ...base,
    op: 'is',
    states: [0, 2],
  });
  expect(parsedIn('{ metric: fill, is_not: closed }').rule!.when).toMatchObject({ ...base, op: 'is_not', states: [1] });
  expect(parsedIn('{ metric: fill, share: 1h, of: open, above: 50 }').rule!.when).toMatchObject({
    ...base,
    ...{ fn: 'share', windowMs: HOUR_MS, op: 'above', threshold: 50, states: [0] },
  });
  expect(parsedIn('{ metric: fill, changes: 1h, above: 10 }').rule!.when).toMatchObject({ ...base, fn: 'changes' });
  const grown = { ...state, max: 3, values: [...values, { code: 3, name: 'half' }] };
  const inGrown = { ...city, metrics: new Map([...city.metrics, ['fill', grown]]) };
  const text = 'id: a\ntitle: a\nwhen: { metric: fill, is: [open, fault] }\nseverity: low';
  const versionIn = (of: typeof city) => parseRule(text, of, { path: 'a', origin: 'a' }).rule!.version;
  expect(versionIn(inGrown)).toBe(versionIn(other));
  const messageOf = (when: string) => parsedIn(when).problems.map(({ message }) => message);
  expect(messageOf('{ metric: fill, is: opne }')).toEqual(['unknown value of fill "opne": did you mean "open"?']);
  expect(messageOf('{ metric: fill, equals: 1 }')).toEqual(['fill is a state; use is: or is_not: with its values']);
  expect(messageOf('{ metric: pm25, is: open }')).toEqual(['is goes with a state, and pm25 is a gauge']);
  expect(messageOf('{ metric: pm25, changes: 1h, above: 3 }')).toEqual([
    'changes makes no sense for pm25, which is a gauge; use mean, last or delta: only a state has changes and share',
  ]);
  expect(messageOf('{ metric: fill, share: 1h, above: 50 }')).toEqual(['share needs of: the values whose time counts']);
  expect(messageOf('{ metric: fill, share: 1h, of: open, above: 100 }')).toEqual([
    'can never match: the share is 0 to 100 percent',
  ]);
  expect(messageOf('{ metric: fill, mean: 1h, above: 1 }')[0]).toContain('which is a state; use last, changes');
  expect(messageOf('{ metric: fill, flat: { for: 1h, within: 0 } }')[0]).toContain('use changes: 6h with below: 1');
  expect(messageOf('{ metric: fill, is: open, above: 1 }')).toContain(
    'use exactly one of above, below, outside, equals, sector, is, is_not',
  );
  expect(messageOf('{ metric: fill, is: open, compare: { with: peers } }')).toEqual([
    'of a state, only changes and share can be compared, with peers',
  ]);
});

test('kinds - a rule on a text is refused with what makes sense, and that it comes can be asked', () => {
  const text = { ...city.metrics.get('fill')!, kind: 'text' as const, unit: '1', min: 0, max: 1e15 };
  const other = { ...city, metrics: new Map([...city.metrics, ['fill', text]]) };
  const messagesOf = (when: string) =>
    parseRule(`id: a\ntitle: a\nwhen: ${when}\nseverity: low`, other, { path: 'a', origin: 'a' }).problems.map(
      ({ message }) => message,
    );
  expect(messagesOf('{ absent: 1h, metric: fill }')).toEqual([]);
  expect(messagesOf('{ metric: fill, count: 1h, above: 10 }')).toEqual([]);
  const instead = 'use absent: 1h (whether it comes), or make it a state whose values count';
  expect(messagesOf('{ metric: fill, above: 5 }')).toEqual([`fill is a text, which is kept and shown; ${instead}`]);
  expect(messagesOf('{ metric: fill, mean: 1h, above: 5 }')).toEqual([
    'mean makes no sense for fill, which is a text; use last, first or count; what has a few values that count is a state',
  ]);
  expect(messagesOf('{ metric: fill, jump: { by: 1, within: 1h } }')).toEqual([
    `jump makes no sense for fill, which is a text; ${instead}`,
  ]);
});

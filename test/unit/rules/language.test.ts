import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import type { CityControl } from '../../../domain/index.ts';
import { parseRules } from '../../../rules/language/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const city = parseCity(sample).city!;

const files = (...texts: string[]): CityControl => ({
  version: 'rules',
  files: texts.map((text, i) => ({ path: `rules/${'abc'[i]}.yaml`, text })),
});

const HEAD = 'id: r\ntitle: T\nseverity: low\n';
const ruleOf = (text: string) => {
  const { rules, problems } = parseRules(files(text), city);
  expect(formatProblems(problems)).toBe('');
  return rules[0]!;
};

test('rule language - the sample city has exactly 25 rules without mistakes', () => {
  const { rules, problems } = parseRules(sample, city);
  expect(formatProblems(problems)).toBe('');
  expect(rules).toHaveLength(25);
  expect(new Set(rules.map(({ version }) => version)).size).toBe(25);
  for (const { id, source } of rules) expect(source).toContain(`id: ${id}\n`);
});

test('rule language - the sample rules cover every function, both sides, and rules that fire at once', () => {
  const { rules } = parseRules(sample, city);
  const thresholds = rules.flatMap(({ when }) => (when.kind === 'threshold' ? [when] : []));
  expect([...new Set(thresholds.map(({ fn }) => fn))]).toEqual(expect.arrayContaining(['last', 'mean', 'min', 'max']));
  expect([...new Set(thresholds.map(({ op }) => op))]).toEqual(expect.arrayContaining(['above', 'below']));
  expect(rules.filter(({ forMs, ticket }) => forMs === 0 && ticket).map(({ id }) => id)).toEqual(
    expect.arrayContaining(['bin-full', 'water-flood', 'lamp-out']),
  );
  const airQuality = rules.filter(({ where }) => where.profile?.includes('air-quality'));
  expect(airQuality).toHaveLength(7);
  for (const { title, titleZh } of rules) expect(titleZh).not.toBe(title);
});

test('rule language - the sample rules show every kind of condition, and most fields of a rule', () => {
  const { rules } = parseRules(sample, city);
  const written = rules.map(({ source }) => source).join('\n');
  for (const word of ['absent', 'flat', 'jump', 'all', 'compare', 'quorum', 'anomaly', 'forecast', 'outside', 'p50'])
    expect(written).toMatch(new RegExp(`\\b${word}:`));
  for (const key of ['active', 'on_no_data', 'flapping', 'limit', 'critical'])
    expect(written).toMatch(new RegExp(`\\b${key}:`));
  const used = new Set(rules.map(({ active }) => active));
  for (const id of ['night', 'school-hours']) expect(used).toContain(id);
});

test('rule language - every field of a rule is read', () => {
  const text = `id: pm25-unhealthy
title: { en: "Fine dust at {{device.name}}", zh: "{{ device.name }} 细颗粒物" }
for_each: device
where: { profile: air-quality, district: [old-town, harbour], device: [d1, d2], tags: { road: ring } }
when: { metric: pm25, mean: 15m, above: 75, clear: 60 }
for: 10m
keep_firing_for: 5m
severity: high
ticket: { service: air-quality, deadline: 4h }
`;
  expect(ruleOf(text)).toEqual({
    id: 'pm25-unhealthy',
    version: expect.stringMatching(/^[0-9a-f]{12}$/),
    title: 'Fine dust at {{device.name}}',
    titleZh: '{{ device.name }} 细颗粒物',
    forEach: 'device',
    where: {
      profile: ['air-quality'],
      district: ['old-town', 'harbour'],
      device: ['d1', 'd2'],
      tags: { road: 'ring' },
    },
    profiles: ['air-quality'],
    when: {
      kind: 'threshold',
      metric: 'pm25',
      fn: 'mean',
      windowMs: 900_000,
      op: 'above',
      threshold: 75,
      clear: 60,
      compare: null,
    },
    quorum: null,
    forMs: 600_000,
    keepFiringForMs: 300_000,
    latenessMs: null,
    active: null,
    severity: 'high',
    steps: [],
    onNoData: 'keep',
    noDataAfterMs: 900_000,
    noDataGraceMs: 900_000,
    noDataForMs: 0,
    flapping: null,
    limit: 100,
    ticket: { service: 'air-quality', deadlineMs: 14_400_000 },
    source: text,
    origin: 'file:rules/a.yaml',
  });
});

test('rule language - absent fields have their defaults', () => {
  expect(ruleOf(`${HEAD}when: { metric: fill, above: 90 }\nticket: { service: waste }\n`)).toMatchObject({
    title: 'T',
    titleZh: 'T',
    forEach: 'device',
    where: {},
    when: { metric: 'fill', fn: 'last', windowMs: 0, op: 'above', threshold: 90, clear: 90 },
    forMs: 0,
    keepFiringForMs: 0,
    ticket: { service: 'waste', deadlineMs: city.services.get('waste')!.deadlineMs },
  });
  expect(ruleOf(`${HEAD}when: { metric: fill, above: 90 }\n`)).not.toHaveProperty('ticket');
});

test('rule language - last can be written, and a threshold can be below', () => {
  const { when } = ruleOf(`${HEAD}when: { metric: voltage, last: true, below: 190, clear: 205 }\n`);
  expect(when).toMatchObject({ metric: 'voltage', fn: 'last', windowMs: 0, op: 'below', threshold: 190, clear: 205 });
});

test('rule language - the version changes with the rule, not with its layout', () => {
  const version = ruleOf(`${HEAD}when: { metric: fill, above: 90, clear: 60 }\n`).version;
  expect(ruleOf(`# why\nwhen:\n  clear: 60\n  above: 90\n  metric: fill\n${HEAD}`).version).toBe(version);
  expect(ruleOf(`${HEAD}when: { metric: fill, above: 90, clear: 61 }\n`).version).not.toBe(version);
});

test.each(['1s', '7d'])('rule language - a window of %s is allowed', (window) => {
  expect(ruleOf(`${HEAD}when: { metric: fill, max: ${window}, above: 90 }\n`).when).toMatchObject({ fn: 'max' });
});

const WHEN = 'when: { metric: fill, above: 90 }\n';
const when = (text: string) => `${HEAD}when: { ${text} }\n`;

test.each<[string, string, string[]]>([
  ['a missing field', `id: r\ntitle: T\n${WHEN}`, ['1:1 severity: is missing']],
  [
    'an unknown field',
    `${HEAD}${WHEN}keep_fireing_for: 5m\n`,
    ['5:1 keep_fireing_for: unknown key: did you mean "keep_firing_for"?'],
  ],
  [
    'an unknown severity',
    `id: r\ntitle: T\nseverity: hihg\n${WHEN}`,
    ['3:1 severity: "hihg" is not possible here: did you mean "high"?'],
  ],
  ['a title in one language', `id: r\ntitle: { en: T }\nseverity: low\n${WHEN}`, ['2:1 title.zh: is missing']],
  [
    'a title that is a list',
    `id: r\ntitle: [T]\nseverity: low\n${WHEN}`,
    ['2:1 title: a title is a text, or { en: …, zh: … }'],
  ],
  [
    'an unknown placeholder',
    `id: r\ntitle: { en: "{{device.nam}}", zh: "{{value}}" }\nseverity: low\n${WHEN}`,
    ['2:10 unknown placeholder {{device.nam}}: did you mean "device.name"?'],
  ],
  ['an unknown metric', when('metric: fil, above: 90'), ['4:9 unknown metric "fil": did you mean "fill"?']],
  [
    'a metric that the profiles do not measure',
    `${HEAD}where: { profile: noise }\n${WHEN}`,
    ['5:9 no profile of this rule measures "fill"; they measure laeq, lamax'],
  ],
  [
    'an unknown profile in a list',
    `${HEAD}where: { profile: [waste-bin, waste-bim] }\n${WHEN}`,
    ['4:31 unknown profile "waste-bim": did you mean "waste-bin"?'],
  ],
  [
    'an unknown district',
    `${HEAD}where: { district: harbor }\n${WHEN}`,
    ['4:10 unknown district "harbor": did you mean "harbour"?'],
  ],
  [
    'an unknown service',
    `${HEAD}${WHEN}ticket: { service: wastes }\n`,
    ['5:11 unknown service "wastes": did you mean "waste"?'],
  ],
  [
    'a deadline of nothing',
    `${HEAD}${WHEN}ticket: { service: waste, deadline: 0s }\n`,
    ['5:27 ticket.deadline: must be longer than 0s'],
  ],
  [
    'no threshold',
    when('metric: fill, mean: 5m'),
    ['4:1 use exactly one of above, below, outside, equals, sector, is, is_not'],
  ],
  [
    'two thresholds',
    when('metric: fill, above: 90, below: 5'),
    ['4:1 use exactly one of above, below, outside, equals, sector, is, is_not'],
  ],
  ['a threshold in quotes, once', when('metric: fill, above: "90"'), ['4:23 when.above: "90" is not a number']],
  ['clear over above', when('metric: fill, above: 90, clear: 91'), ['4:34 clear must be at or under above (90)']],
  ['clear under below', when('metric: fill, below: 9, clear: 8'), ['4:33 clear must be at or over below (9)']],
  [
    'a threshold that no reading passes',
    when('metric: fill, above: 100'),
    ['4:23 can never match: fill lies between 0 and 100'],
  ],
  [
    'a low threshold that no reading passes',
    when('metric: fill, below: 0'),
    ['4:23 can never match: fill lies between 0 and 100'],
  ],
  [
    'a clear that no reading reaches',
    when('metric: fill, above: 90, clear: -1'),
    ['4:34 can never clear: fill lies between 0 and 100'],
  ],
  [
    'two functions',
    when('metric: fill, mean: 5m, max: 5m, above: 90'),
    [
      '4:33 use one of last, mean, min, max, sum, count, p10, p50, p90, p95, stddev, rate, delta, changes, share, faults; found mean, max',
    ],
  ],
  [
    'a window of nothing',
    when('metric: fill, mean: 0s, above: 90'),
    ['4:23 a window is longer than 0s and at most 7d'],
  ],
  [
    'a window beyond a week',
    when('metric: fill, mean: 8d, above: 90'),
    ['4:23 a window is longer than 0s and at most 7d'],
  ],
  [
    'a window without its unit',
    when('metric: fill, mean: 15, above: 90'),
    ['4:23 when.mean: not a duration; write 30s, 15m, 4h or 7d'],
  ],
  [
    'last: false',
    when('metric: fill, last: false, above: 90'),
    ['4:23 when.last: false is not possible here; known: true'],
  ],
  [
    'an unknown group',
    `${HEAD}for_each: street\n${WHEN}`,
    ['4:1 for_each: "street" is not possible here; known: device, district, city'],
  ],
  [
    'a number for a tag',
    `${HEAD}where: { tags: { lane: 2 } }\n${WHEN}`,
    ['4:18 where.tags.lane: 2 is not a text; put it in quotes'],
  ],
  [
    'several mistakes of every kind',
    `${HEAD}fro: 5m\nwhere: { profile: noize }\nwhen: { metric: fill, above: 90, clear: 95, mean: 9d }\n`,
    [
      '4:1 fro: unknown key: did you mean "for"?',
      '5:10 unknown profile "noize": did you mean "noise"?',
      '6:45 a window is longer than 0s and at most 7d',
      '6:34 clear must be at or under above (90)',
    ],
  ],
  [
    'broken YAML',
    'id: r\n  title: T\n',
    ['1:5 Nested mappings are not allowed in compact mappings', '1:5 Implicit keys need to be on a single line'],
  ],
  ['a list of rules', '- id: r\n', ['1:1 file: a list is not a map of keys and values']],
])('rule language - %s is reported with its place', (_, text, expected) => {
  const { rules, problems } = parseRules(files(text), city);
  expect(rules).toEqual([]);
  expect(formatProblems(problems).split('\n')).toEqual(expected.map((line) => `rules/a.yaml:${line}`));
});

test('rule language - an empty file is reported with what a rule needs', () => {
  const { problems } = parseRules(files(''), city);
  expect(problems.map(({ message }) => message)).toEqual(
    ['id', 'title', 'when', 'severity'].map((key) => `${key}: is missing`),
  );
});

test('rule language - an id in two files is reported with the first file, also where that has a mistake', () => {
  const { rules, problems } = parseRules(files(`${HEAD}${WHEN}oops: 1\n`, `${HEAD}${WHEN}`), city);
  expect(rules).toEqual([]);
  expect(formatProblems(problems).split('\n')).toEqual([
    'rules/a.yaml:5:1 oops: unknown key; known: id, title, for_each, where, when, for, keep_firing_for, lateness, suspect, active, severity, on_no_data, no_data_after, no_data_for, no_data_grace, flapping, limit, ticket',
    'rules/b.yaml:1:1 rule "r" is already in rules/a.yaml',
  ]);
});

test('rule language - a bad rule does not affect a good one', () => {
  const { rules, problems } = parseRules(files('id: [', `${HEAD}${WHEN}`), city);
  expect(rules.map(({ id }) => id)).toEqual(['r']);
  expect(problems.length).toBeGreaterThan(0);
});

test('rule language - test files of rules are ignored, and a file that ends in .yml is reported', () => {
  const control = {
    version: 'rules',
    files: [
      { path: 'rules/a.test.yaml', text: 'x: 1' },
      { path: 'rules/a.yml', text: `${HEAD}${WHEN}` },
    ],
  };
  expect(parseRules(control, city)).toEqual({
    rules: [],
    warnings: [],
    problems: [{ file: 'rules/a.yml', line: 1, column: 1, message: 'a rule file ends in .yaml: rename it' }],
  });
});

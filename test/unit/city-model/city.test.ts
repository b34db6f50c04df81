import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import type { CityControl } from '../../../domain/index.ts';
import { parseDuration, suggest } from '../../../domain/index.ts';
import { edited, sample, textOf, withFile } from '../../kit/city-model/kit.ts';

const linesOf = (control: CityControl) => formatProblems(parseCity(control).problems).split('\n');

test('city - the sample city has no mistakes', () => {
  const { city, problems } = parseCity(sample);
  expect(formatProblems(problems)).toBe('');
  expect(city!.version).toBe(sample.version);
  expect(city!.name).toEqual({ en: 'Linjiang', zh: '临江市' });
  expect(city!.accepts).toEqual({ pastMs: 7 * 86_400_000, aheadMs: 300_000 });
  expect(city!.publication).toEqual({ licence: 'CC-BY-4.0', coordinateDecimals: 3 });
  expect(city!.open311).toMatchObject({ jurisdiction: 'linjiang.example', contact: { en: expect.any(String) } });
  expect(city!.districts.size).toBeGreaterThanOrEqual(8);
  expect(city!.services.get('flood')).toMatchObject({ department: 'water', deadlineMs: 3_600_000 });
});

test('city - the sample profiles measure the metrics that simulators and tests need', () => {
  const { city } = parseCity(sample);
  const profiles = [...city!.profiles.values()].map(({ id, metrics }) => [id, metrics]);
  expect(Object.fromEntries(profiles)).toEqual({
    'air-quality': ['pm25', 'pm10', 'no2', 'temperature', 'humidity'],
    noise: ['laeq', 'lamax'],
    'water-level': ['level', 'battery'],
    'waste-bin': ['fill', 'battery'],
    streetlight: ['power', 'voltage'],
    traffic: ['speed', 'occupancy', 'vehicles', 'travel_time'],
    'sensor-community': ['pm25', 'pm10', 'temperature', 'humidity', 'pressure'],
    'lorawan-climate': ['temperature', 'humidity', 'pressure', 'battery'],
  });
  expect(city!.profiles.get('air-quality')!.intervalMs).toBe(60_000);
  expect(city!.profiles.get('waste-bin')!.intervalMs).toBe(900_000);
  expect(city!.metrics.get('level')).toMatchObject({ unit: 'm', min: -5, max: 20 });
});

const TITLE = 'title: { en: A, zh: 甲 }';
const many = Array.from({ length: 33 }, (_, i) => `m${i}`);
const ring = (first: string, last: string) =>
  `{"type": "Polygon", "coordinates": [[${first}, [1, 0], [1, 1], ${last}]]}`;
const district = (id: string, geometry: string) =>
  `{"type": "Feature", "id": "${id}", "properties": {"title": {"en": "A", "zh": "甲"}},\n"geometry": ${geometry}}`;
const districts = (...features: string[]) => `{"type": "FeatureCollection", "features": [\n${features.join(',\n')}]}`;
const good = ring('[0, 0]', '[0, 0]');

test.each<[string, CityControl, string[]]>([
  ['a missing file', withFile('services.yaml', null), ['services.yaml:1:1 the file is missing']],
  [
    'an unknown key',
    edited('city.yaml', 'timezone', 'timezon'),
    ['city.yaml:1:1 timezone: is missing', 'city.yaml:2:1 timezon: unknown key: did you mean "timezone"?'],
  ],
  [
    'two unknown keys, each with its own message',
    edited('city.yaml', 'past: 7d, ahead', 'psat: 7d, ahed'),
    [
      'city.yaml:4:12 accepts.psat: unknown key: did you mean "past"?',
      'city.yaml:4:22 accepts.ahed: unknown key: did you mean "ahead"?',
    ],
  ],
  [
    'a zone with a typing mistake',
    edited('city.yaml', 'Asia/Shanghai', 'Asia/Shangai'),
    ['city.yaml:2:1 timezone: "Asia/Shangai" is not an IANA zone such as Europe/Berlin: did you mean "Asia/Shanghai"?'],
  ],
  [
    'an offset instead of a zone',
    edited('city.yaml', 'Asia/Shanghai', '"+08:00"'),
    ['city.yaml:2:1 timezone: "+08:00" is not an IANA zone such as Europe/Berlin'],
  ],
  [
    'a duration without its unit',
    edited('city.yaml', 'past: 7d', 'past: 7'),
    ['city.yaml:4:12 accepts.past: not a duration; write 30s, 15m, 4h or 7d'],
  ],
  [
    'a duration in an unknown unit',
    edited('city.yaml', 'past: 7d', 'past: 7w'),
    ['city.yaml:4:12 accepts.past: "7w" is not a duration; write 30s, 15m, 4h or 7d'],
  ],
  [
    'a deadline that no calendar holds',
    withFile('services.yaml', `a: { ${TITLE}, department: water, deadline: 9999999d }`),
    ['services.yaml:1:50 a.deadline: "9999999d" is too long; at most 3650d'],
  ],
  [
    'a text in one language only',
    withFile('departments.yaml', `${textOf('departments.yaml')}parks: { title: { en: Parks } }\n`),
    ['departments.yaml:11:10 parks.title.zh: is missing'],
  ],
  [
    'a key that is no id',
    withFile('departments.yaml', `${textOf('departments.yaml')}Parks & Co: { ${TITLE} }\n`),
    [
      'departments.yaml:11:1 Parks & Co: an id has a-z, 0-9, - and _, begins with a letter or digit, and has at most 64',
    ],
  ],
  [
    'a key written twice',
    withFile('metrics.yaml', `a: { ${TITLE}, unit: m, min: 0, max: 1 }\na: 1\n`),
    ['metrics.yaml:2:1 Map keys must be unique'],
  ],
  [
    'min above max, beside a text for a number',
    edited('metrics.yaml', 'unit: ug/m3, min: 0, max: 1000', 'unit: 5, min: 3, max: 2'),
    [
      'metrics.yaml:2:57 pm25.unit: 5 is not a text; put it in quotes',
      'metrics.yaml:2:66 pm25.min: min must be below max',
    ],
  ],
  [
    'broken YAML',
    withFile('calendars.yaml', 'a: [1, 2\nb: 3\n'),
    ['calendars.yaml:2:1 Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ],
  [
    'an alias without its anchor',
    withFile('calendars.yaml', 'a: *days\n'),
    ['calendars.yaml:1:4 *days has no anchor; &days must come before it'],
  ],
  [
    'an unknown weekday',
    edited('calendars.yaml', 'tue', 'teu'),
    ['calendars.yaml:3:19 working-hours.weekdays.1: "teu" is not possible here: did you mean "tue"?'],
  ],
  [
    'an unknown department',
    edited('services.yaml', 'department: water', 'department: watr'),
    ['services.yaml:34:3 unknown department "watr": did you mean "water"?'],
  ],
  [
    'references are checked beside other mistakes',
    withFile('profiles.yaml', `a:\n  ${TITLE}\n  metrics: [pm25, pm26, pm25]\n  interval: 0s\n`),
    [
      'profiles.yaml:4:3 a.interval: must be longer than 0s',
      'profiles.yaml:3:19 unknown metric "pm26": did you mean "pm25"?',
      'profiles.yaml:3:25 metric "pm25" is named twice',
    ],
  ],
  [
    'the name of a method is no metric',
    edited('profiles.yaml', 'laeq', 'toString'),
    [`profiles.yaml:8:13 unknown metric "toString"; known: ${[...parseCity(sample).city!.metrics.keys()].join(', ')}`],
  ],
  [
    'JSON that is broken',
    withFile('districts.geojson', '{"type": "FeatureCollection",\n"features": [}'),
    [expect.stringMatching(/^districts\.geojson:2:\d+ not JSON: /) as unknown as string],
  ],
  [
    'a district twice',
    withFile('districts.geojson', districts(district('a', good), district('a', good))),
    ['districts.geojson:4:21 district "a" is described twice'],
  ],
  [
    'a ring left open',
    withFile('districts.geojson', districts(district('a', ring('[0, 0]', '[0, 1]')))),
    [
      'districts.geojson:3:49 features.0.geometry.coordinates.0: the ring is not closed: its last position must be its first',
    ],
  ],
  [
    'metres instead of degrees',
    withFile('districts.geojson', districts(district('a', ring('[13214000, 3758000]', '[13214000, 3758000]')))),
    [
      'districts.geojson:3:50 features.0.geometry.coordinates.0.0: [13214000,3758000] is not [longitude, latitude] in degrees (WGS 84)',
    ],
  ],
  [
    'a point for a district',
    withFile('districts.geojson', districts(district('a', '{"type": "Point", "coordinates": [0, 0]}'))),
    ['districts.geojson:3:14 features.0.geometry.type: a district is a Polygon or a MultiPolygon'],
  ],
])('city - %s is reported at its place', (_, control, expected) => {
  expect(parseCity(control).city).toBeNull();
  expect(linesOf(control)).toEqual(expected);
});

test('city - a profile has at most 32 metrics', () => {
  const described = many.map((id) => `${id}: { ${TITLE}, unit: m, min: 0, max: 1 }`).join('\n');
  const profile = `a:\n  ${TITLE}\n  interval: 1m\n  metrics: [${many.join(', ')}]\n`;
  const files = withFile('metrics.yaml', described).files.filter(({ path }) => path !== 'profiles.yaml');
  const control = { version: 'changed', files: [...files, { path: 'profiles.yaml', text: profile }] };
  expect(linesOf(control)).toEqual(['profiles.yaml:4:3 a.metrics: a profile has at most 32 metrics']);
});

test('city - mistakes of several files are reported at once', () => {
  const broken = edited('city.yaml', 'Asia/Shanghai', 'Nowhere');
  const files = broken.files.map((file) => (file.path === 'departments.yaml' ? { ...file, text: 'a: 1' } : file));
  const found = parseCity({ version: 'changed', files }).problems.map(({ file }) => file);
  expect(new Set(found)).toEqual(new Set(['city.yaml', 'departments.yaml', 'services.yaml']));
});

test.each(['Asia/Kolkata', 'Europe/Kyiv', 'UTC', 'America/Argentina/Buenos_Aires'])('city - %s is a zone', (zone) => {
  expect(parseCity(edited('city.yaml', 'Asia/Shanghai', zone)).problems).toEqual([]);
});

test('city - GeoJSON may have members that Lamppost does not know, a byte order mark and tabs', () => {
  const members = { name: 'districts', bbox: [0, 0, 1, 1], ...JSON.parse(textOf('districts.geojson')) };
  const text = `\uFEFF${JSON.stringify(members, null, '\t')}`;
  expect(formatProblems(parseCity(withFile('districts.geojson', text)).problems)).toBe('');
});

test('city - districts in another projection are one mistake per ring', () => {
  const positions = Array.from({ length: 5_000 }, (_, i) => [13_214_000 + i, 3_758_000]);
  const geometry = JSON.stringify({ type: 'Polygon', coordinates: [[...positions, positions[0]]] });
  expect(parseCity(withFile('districts.geojson', districts(district('a', geometry)))).problems).toHaveLength(1);
});

test('city - anchors and Windows line ends are fine', () => {
  const ids = [...parseCity(sample).city!.departments.keys()];
  const text = `a: &a { ${TITLE} }\n${ids.map((id) => `${id}: *a\n`).join('')}`;
  expect(parseCity(withFile('departments.yaml', text.replaceAll('\n', '\r\n'))).problems).toEqual([]);
});

test('city - aliases that multiply are refused, not expanded', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  const { problems } = parseCity(withFile('calendars.yaml', `l0: &l0 [x]\n${levels.join('\n')}\n`));
  expect(problems.map(({ file }) => file)).toEqual(['calendars.yaml']);
});

test.each([
  ['0s', 0],
  ['15m', 900_000],
  ['1h30m', 5_400_000],
  ['7d', 604_800_000],
  ['', null],
  ['5', null],
  ['-5m', null],
  ['1.5h', null],
  ['5 m', null],
  ['99999999999999999999d', null],
])('duration - %s is %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  ['unti', ': did you mean "unit"?'],
  ['UNIT', ': did you mean "unit"?'],
  ['colour', '; known: title, unit'],
  ['u', '; known: title, unit'],
])('suggest - %s returns "%s"', (written, expected) => {
  expect(suggest(written, ['title', 'unit'])).toBe(expected);
});

test('suggest - a name of the same length alone is not close', () => {
  expect(suggest('pm10', ['pm25', 'no2'])).toBe('; known: pm25, no2');
});

test('suggest - a long list of known names is not listed', () => {
  expect(suggest('colour', many)).toBe('');
});

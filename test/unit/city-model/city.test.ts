import { expect, test } from 'vitest';
import { formatProblems, movedStates, parseCity } from '../../../city-model/index.ts';
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
  expect(city!.publication).toEqual({
    licence: 'CC-BY-4.0',
    coordinateDecimals: 3,
    readings: ['pm25', 'pm10', 'no2', 'temperature', 'humidity', 'laeq', 'level', 'rain', 'wind_speed'],
    requests: true,
    shared: { readings: true, alerts: true },
  });
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
    'weather-station': ['temperature', 'humidity', 'pressure', 'rain', 'wind_speed', 'wind_direction'],
    'people-counter': ['people', 'battery'],
    'energy-meter': ['energy'],
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
const asset = (id: string, kind: string, service: string) =>
  `{"type": "Feature", "id": "${id}", "properties": {"kind": "${kind}", "services": ["${service}"]}, "geometry": {"type": "Point", "coordinates": [1, 2]}}`;
const good = ring('[0, 0]', '[0, 0]');

test.each<[string, CityControl, string[]]>([
  ['a missing file', withFile('services.yaml', null), ['services.yaml:1:1 the file is missing']],
  [
    'a date that is to identify a thing',
    edited('services.yaml', 'datatype: datetime', 'datatype: datetime\n      identifies: true'),
    ['services.yaml:24:7 noise.attributes.0.identifies: only a string or a number identifies a thing'],
  ],
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
    edited('services.yaml', 'deadline: 4h', 'deadline: 9999999d'),
    ['services.yaml:6:3 air-quality.deadline: "9999999d" is too long; at most 3650d'],
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
    ['services.yaml:37:3 unknown department "watr": did you mean "water"?'],
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
    'the department of a profile',
    edited('profiles.yaml', 'departments: [environment', 'departments: [enviroment'),
    ['profiles.yaml:6:17 unknown department "enviroment": did you mean "environment"?'],
  ],
  ...(
    [
      ['counter', 'm', 'min: -5, max: 20', 'level.min: a counter begins at 0: write min: 0'],
      ['angle', 'm', 'min: 0, max: 360', 'level.unit: an angle is in degrees: write unit: deg'],
      ['presence', '1', 'min: 0, max: 2', 'level.kind: a presence is true or false: write unit'],
      ['level', 'dB', 'min: 0, max: 400', 'level.max: a level lies between -300 and 300 dB'],
    ] as const
  ).map(([kind, unit, range, message]): [string, CityControl, string[]] => [
    `a ${kind} that is none`,
    edited('metrics.yaml', 'unit: m, min: -5, max: 20', `unit: "${unit}", kind: ${kind}, ${range}`),
    [expect.stringContaining(message) as unknown as string],
  ]),
  ...(
    [
      ['', 'level.values: a state has values: [open, closed, fault]'],
      [', values: [open]', 'level.values: a state has at least two values'],
      [', values: [open, open]', 'level.values: open is named twice'],
      [', values: [open, true]', 'level.values.1: a value is a name; put true and false in quotes'],
      [', values: { 0: open, 1.5: closed }', 'level.values: the code of closed is no whole number'],
      [', values: [open, closed], unit: m', 'level.unit: a state has no unit: its values are names'],
      [', values: [open, closed], max: 3', 'level.max: a state has no max: its values are names'],
    ] as const
  ).map(([more, message]): [string, CityControl, string[]] => [
    `a state ${more || 'without values'}`,
    edited('metrics.yaml', 'unit: m, min: -5, max: 20', `kind: state${more}`),
    [expect.stringContaining(message) as unknown as string],
  ]),
  [
    'a unit of a field that is a state',
    edited('metrics.yaml', 'unit: Cel, min: -50, max: 60', 'kind: state, values: [a, b]'),
    [expect.stringMatching(/^profiles.yaml:.* a state has no unit: leave it out/) as unknown as string],
  ],
  [
    'values of what is no state',
    edited('metrics.yaml', 'unit: m, min: -5, max: 20', 'unit: m, min: -5, max: 20, values: [a, b]'),
    [expect.stringContaining('level.values: only a state has values: write kind: state') as unknown as string],
  ],
  [
    'the name of a method is no metric',
    edited('profiles.yaml', 'laeq', 'toString'),
    ['profiles.yaml:9:13 unknown metric "toString"'],
  ],
  [
    'JSON that is broken',
    withFile('districts.geojson', '{"type": "FeatureCollection",\n"features": [}'),
    [expect.stringMatching(/^districts\.geojson:2:\d+ not JSON: /) as unknown as string],
  ],
  [
    'JSON whose mistake is not at its end',
    withFile('districts.geojson', '{{"type": "FeatureCollection",\n"features": []}'),
    [expect.stringMatching(/^districts\.geojson:1:2 not JSON: /) as unknown as string],
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
  [
    'an asset twice, of an unknown service, and a kind that no asset has',
    {
      version: 'changed',
      files: [
        ...edited('services.yaml', 'kind: pole', 'kind: pol').files.filter(({ path }) => path !== 'assets.geojson'),
        {
          path: 'assets.geojson',
          text: `{"type": "FeatureCollection", "features": [\n${[
            asset('a', 'pole', 'street-light'),
            asset('a', 'bin', 'wast'),
          ].join(',\n')}]}`,
        },
      ],
    },
    [
      'assets.geojson:3:21 asset "a" is described twice',
      'assets.geojson:3:75 unknown service "wast": did you mean "waste"?',
      'services.yaml:101:12 unknown kind of asset "pol": did you mean "pole"?',
    ],
  ],
  [
    'an asset that is no point',
    withFile(
      'assets.geojson',
      `{"type": "FeatureCollection", "features": [\n${asset('a', 'pole', 'waste').replace('"Point"', '"Line"')}]}`,
    ),
    [
      'assets.geojson:2:100 features.0.geometry.type: an asset is a Point',
      'services.yaml:56:12 unknown kind of asset "bin"; known: pole',
    ],
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
  // What the sample city publishes is not measured there.
  const lines = linesOf(control).filter((line) => !line.startsWith('city.yaml'));
  expect(lines).toEqual(['profiles.yaml:4:3 a.metrics: a profile has at most 32 metrics']);
});

test('city - a published metric that the city does not have is a mistake; without the list nothing is published', () => {
  const wrong = linesOf(edited('city.yaml', 'readings: [pm25', 'readings: [pm52'));
  expect(wrong).toEqual([expect.stringMatching(/^city\.yaml:\d+:\d+ .*pm52.*pm25/)]);
  const silent = textOf('city.yaml').replace(/^ {2}(readings|requests): .*\n/gm, '');
  const { city } = parseCity(withFile('city.yaml', silent));
  expect(city!.publication).toMatchObject({ readings: [], requests: false });
});

test('city - mistakes of several files are reported at once', () => {
  const broken = edited('city.yaml', 'Asia/Shanghai', 'Nowhere');
  const files = broken.files.map((file) => (file.path === 'departments.yaml' ? { ...file, text: 'a: 1' } : file));
  const found = parseCity({ version: 'changed', files }).problems.map(({ file }) => file);
  expect(new Set(found)).toEqual(new Set(['city.yaml', 'departments.yaml', 'profiles.yaml', 'services.yaml']));
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

test('city - the values of a state have codes, and a changed city may not give a name another one', () => {
  const withValues = (values: string) =>
    parseCity(edited('metrics.yaml', 'unit: m, min: -5, max: 20', `kind: state, values: ${values}`)).city!;
  const before = withValues('[open, closed]');
  expect(before.metrics.get('level')).toMatchObject({
    kind: 'state',
    unit: '1',
    values: [
      { code: 0, name: 'open' },
      { code: 1, name: 'closed' },
    ],
  });
  expect(withValues('{ 9: 故障, 0: open }').metrics.get('level')!.values).toEqual([
    { code: 0, name: 'open' },
    { code: 9, name: '故障' },
  ]);
  expect(movedStates(before, withValues('[open, shut, fault]'))).toEqual([]);
  expect(movedStates(before, withValues('[fault, open, closed]'))).toEqual([
    expect.stringMatching(/^metrics.yaml: level: the code of open was 0 and would be 1: .* add values at the end/),
    expect.stringMatching(/code of closed was 1 and would be 2/),
  ]);
});

test('city - maps have no tiles unless city.yaml names them, by an address that a browser can fill in', () => {
  expect(parseCity(sample).city!.map).toEqual({ tiles: null, attribution: '' });
  const withTiles = (tiles: string) =>
    parseCity(withFile('city.yaml', `${textOf('city.yaml')}\nmap: { tiles: "${tiles}", attribution: "© A" }\n`));
  const good = 'https://tiles.example/{z}/{x}/{y}.png?k=1';
  expect(withTiles(good).city!.map).toEqual({ tiles: good, attribution: '© A' });
  for (const bad of [
    'https://{s}.example/{z}/{x}/{y}.png',
    'tiles/{z}/{x}/{y}.png',
    'https://tiles.example/{z}/{x}.png',
  ])
    expect(formatProblems(withTiles(bad).problems), bad).toContain('such as https://tiles.example/{z}/{x}/{y}.png');
});

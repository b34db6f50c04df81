import { expect, test } from 'vitest';
import { type TestReport, testRules } from '../../../rules/index.ts';
import { CITY, ruleOf } from '../../kit/rules/backtest.ts';

const DEVICE = ruleOf(`
id: dust
title: "Dust at {{device.name}}"
where: { profile: air-quality, district: harbour }
when: { metric: pm25, last: true, above: 75, clear: 60 }
for: 10m
keep_firing_for: 5m
severity: { high: 75, critical: 150 }
ticket: { service: air-quality }
`);
const QUORUM = ruleOf(`
id: jam
title: "Jam in {{district}}"
for_each: district
when: { metric: speed, last: true, below: 15, quorum: { at_least: 2, of: district } }
for: 0s
severity: medium
`);
const SILENT = ruleOf(`
id: silent
title: "Silent {{device.name}}"
where: { profile: air-quality }
when: { absent: 1h }
for: 0s
severity: low
`);
const WORKDAY = ruleOf(`
id: workday
title: "Loud at {{device.name}}"
when: { metric: laeq, last: true, above: 70 }
active: working-hours
for: 0s
severity: low
`);

const SURE = ruleOf(`
id: sure
title: "Dust at {{device.name}}"
where: { profile: air-quality }
when: { metric: pm25, last: true, above: 75 }
suspect: ignore
severity: low
`);

function run(text: string): TestReport {
  const rules = [DEVICE, QUORUM, SILENT, WORKDAY, SURE];
  return testRules([{ path: 'rules/x.test.yaml', text }], { city: CITY, rules });
}

test('a case says which readings are suspect', () => {
  passes(`
rule: sure
readings:
  - { at: "10:00", for: 5m, every: 1m, pm25: 90, suspect: true }
  - { at: "10:10", pm25: 91 }
  - { at: "10:11", pm25: 10, suspect: true }
expect:
  - { at: "10:09", state: inactive, value: null }
  - { at: "10:12", state: firing, value: 91 }
`);
});

function passes(text: string): void {
  const { cases, problems } = run(text);
  expect(problems).toEqual([]);
  expect(cases.flatMap(({ failures }) => failures)).toEqual([]);
  expect(cases.length).toBeGreaterThan(0);
}

test('rule tests - times, ramps, repetitions and their defaults', () => {
  passes(`
rule: dust
readings:
  - { at: 30m, pm25: 20 }
  - { at: "01:00", for: 20m, every: 30s, pm25: [70, 90] }
  - { at: "+1d 02:00:30", pm25: 20 }
expect:
  - { at: "00:59", state: inactive, value: 20 }
  - { at: "01:05", state: inactive, value: 75 }
  - { at: "01:05:30", state: pending, device: a, severity: high, value: 75.5 }
  - { at: "01:15:29", state: pending }
  - { at: "01:15:30", state: firing, value: 85.5 }
  - { at: 80m, state: firing, value: 90 }
  - { at: "+1d 02:05:29", state: firing }
  - { at: "+1d 02:05:30", state: inactive }
tickets:
  - { opened: "01:15:30", resolved: "+1d 02:05:30", severity: high }
`);
});

test('rule tests - an escalation is the same ticket with a higher severity', () => {
  passes(`
rule: dust
readings:
  - { at: "10:00", for: 15m, every: 1m, pm25: 80 }
  - { at: "10:20", pm25: 160 }
  - { at: "11:00", pm25: 10 }
expect:
  - { at: "10:15", state: firing, severity: high }
  - { at: "10:20", state: firing, severity: critical, value: 160 }
tickets: [{ opened: "10:10", resolved: "11:05", severity: critical }]
`);
});

test('rule tests - districts and quorums: groups by their name', () => {
  passes(`
rule: jam
devices:
  - { id: one, district: harbour }
  - { id: two, district: harbour }
  - { id: three, district: old-town }
readings:
  - { at: "08:00", device: one, speed: 10 }
  - { at: "08:00", device: three, speed: 10 }
  - { at: "08:05", device: two, speed: 5 }
  - { at: "08:10", device: one, speed: 50 }
expect:
  - { at: "08:04", district: harbour, state: inactive }
  - { at: "08:05", district: harbour, state: firing, value: 2 }
  - { at: "08:05", district: old-town, state: inactive }
  - { at: "08:10", district: harbour, state: inactive }
tickets: []
`);
});

test('rule tests - silence from the start, and from the registration of a device', () => {
  passes(`
rule: silent
devices: [{ id: a }, { id: b, registered: "03:00" }]
readings: [{ at: "00:30", device: a, no2: 1 }]
expect:
  - { at: "01:29", device: a, state: inactive }
  - { at: "01:30", device: a, state: firing }
  - { at: "03:59", device: b, state: inactive }
  - { at: "04:00", device: b, state: firing }
`);
});

test('rule tests - the start is a Monday in local time of the city, so that calendars can be tested', () => {
  passes(`
rule: workday
cases:
  - readings: [{ at: "03:00", laeq: 80 }]
    expect:
      - { at: "08:59", state: inactive, value: 80 }
      - { at: "09:00", state: firing }
      - { at: "17:30", state: inactive }
  - name: on a Sunday
    start: 2026-03-01
    readings: [{ at: "03:00", laeq: 80 }]
    expect: [{ at: "10:00", state: inactive }, { at: "+1d 09:00", state: firing }]
`);
  const { cases } = run(`
rule: workday
start: 2026-03-02T00:00:00Z
readings: [{ at: "00:30", laeq: 80 }]
expect: [{ at: "00:30", state: inactive }]
`);
  // 08:30 in UTC+8 is before working hours; the case has no other zone.
  expect(cases[0]!.failures).toEqual([]);
});

test('rule tests - a failure names its line, the result, the reason, and devices left out', () => {
  const { cases } = run(`rule: dust
devices: [{ id: a }, { id: far, district: old-town }]
readings:
  - { at: "10:00", device: far, pm25: 500 }
  - { at: "10:00", device: a, pm25: 76 }
expect:
  - { at: "10:05", device: far, state: firing }
  - { at: "10:05", device: a, state: firing, severity: critical }
tickets: []
`);
  expect(cases).toHaveLength(1);
  expect(cases[0]!.leftOut).toEqual(['far']);
  expect(cases[0]!.failures.map(({ line, where, was }) => [line, where, was])).toEqual([
    [7, 'at 10:05, far', 'inactive, value none'],
    [8, 'at 10:05, a', 'pending, severity high, value 76'],
  ]);
  expect(cases[0]!.failures[1]!.explanation).toMatchObject({ reason: 'waiting-for', since: '10:00', due: '10:10' });
});

test.each([
  ['expects nothing', 'rule: dust\nreadings: [{ at: "10:00", pm25: 1 }]\n', /expects nothing/],
  ['no rule', 'readings: []\n', /rule: is missing/],
  ['a value that is none', 'rule: dust\nreadings: [{ at: "10:00", pm25: high }]\n', /a value is a number/],
  ['an unknown key', 'rule: dust\nexpected: []\n', /unknown key.*expect/],
  ['a mistake in the second case', 'rule: dust\ncases:\n  - { tickets: [] }\n  - { ticket: [] }\n', /:4:\d+ /],
  [
    'too many readings',
    'rule: dust\nreadings: [{ at: "1s", for: 300d, every: 1s, pm25: 1 }]\ntickets: []\n',
    /at most/,
  ],
])('rule tests - a file with %s is reported with a suggestion', (_what, text, says) => {
  const { cases, problems } = run(text);
  expect(cases.flatMap(({ failures }) => failures)).toEqual([]);
  expect(problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`).join('\n')).toMatch(
    says,
  );
});

test('rule tests - over a change of the clocks, a time may be what they show', () => {
  const berlin = { ...CITY, timezone: 'Europe/Berlin' };
  const run = (text: string) =>
    testRules([{ path: 'rules/x.test.yaml', text }], { city: berlin, rules: [DEVICE] }).cases.flatMap(
      ({ failures }) => failures,
    );
  // At two the clocks go to three: ten o'clock is nine hours after midnight.
  const spring = (time: (hour: number) => string) => `
rule: dust
start: 2026-03-29
readings:
  - { at: "${time(10)}", for: 15m, every: 1m, pm25: 80 }
expect:
  - { at: 9h, state: pending }
  - { at: "2026-03-29T10:10", state: firing }
tickets:
  - { opened: "2026-03-29T08:10:00Z" }
`;
  expect(run(spring((hour) => `2026-03-29T${hour}:00`))).toEqual([]);
  expect(run(spring((hour) => `${hour}:00`))).toHaveLength(3);
  // The hour from two to three comes twice.
  const autumn = run(`
rule: dust
start: 2026-10-25
readings:
  - { at: "2026-10-25T02:30", pm25: 80 }
  - { at: "2026-10-25T02:30+01:00", pm25: 80 }
expect:
  - { at: 2h30m, state: pending }
  - { at: 3h30m, state: firing }
`);
  expect(autumn).toEqual([]);
});

test('rule tests - a time before the start of the case is a mistake', () => {
  const { problems } = run(`
rule: dust
start: 2026-03-29
readings: [{ at: "2026-03-28T10:00", pm25: 80 }]
expect: [{ at: 1h, state: inactive }]
`);
  expect(problems).toMatchObject([{ message: expect.stringContaining('is before the start of the case') }]);
});

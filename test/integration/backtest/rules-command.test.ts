import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectPlain, lamppost, ROOT } from '../../kit/cli/commands.ts';

const CITY = join(ROOT, 'city');

/** Copies the sample city, with another text in one file. */
function cityWith(file: string, text: string): string {
  const city = join(mkdtempSync(join(tmpdir(), 'lamppost-city-')), 'city');
  cpSync(CITY, city, { recursive: true });
  writeFileSync(join(city, file), text);
  return city;
}

describe('rules test', () => {
  test('rules test - the tests of the sample city pass, of its rules folder, and of one rule', async () => {
    for (const [place, at] of [
      [CITY, 6],
      [join(CITY, 'rules'), 6],
      [join(CITY, 'rules/frost.yaml'), 1],
      [join(CITY, 'rules/frost.test.yaml'), 1],
    ] as const) {
      const { code, out, err } = await lamppost(['rules', 'test', place]);
      expect([code, err], out).toEqual([0, '']);
      expect(out).toMatch(/\d+ passed, 0 failed \(\d+ checks, \d+ of \d+ rules\)\n$/);
      expect(out.match(/^ {2}ok {2}rules\//gm)!.length).toBeGreaterThanOrEqual(at);
    }
  });

  test('rules test - a failure prints what was expected, what was found, and why: exit code 1', async () => {
    const city = cityWith(
      'rules/frost.test.yaml',
      `rule: frost
name: frost at once
readings:
  - { at: "02:00", for: 20m, every: 1m, temperature: -3 }
expect:
  - { at: "02:05", state: firing, severity: low }
  - { at: "02:20", state: firing, value: -3 }
tickets:
  - { opened: "02:10" }
`,
    );
    const { code, out } = await lamppost(['rules', 'test', join(city, 'rules/frost.test.yaml')]);
    expect(code).toBe(1);
    expect(out.split('\n').map((line) => line.trim())).toEqual([
      'FAIL  rules/frost.test.yaml: frost at once (3 checks)',
      'line 6, at 02:05, a',
      'expected  firing, severity low',
      'was       pending, severity low, value -3',
      'why       The condition is true, but has not held long enough; matches since 02:00; due 02:10',
      'when: true: threshold of temperature is -3, below 0 (clear 2); 6 readings, the newest 02:05',
      'line 8, tickets',
      'expected  a 02:10 to (open)',
      'was       none',
      '0 passed, 1 failed (3 checks, 1 of 25 rules)',
      '',
    ]);
  });

  test('rules test - mistakes in a test file are reported with line and column, and a suggestion', async () => {
    const city = cityWith(
      'rules/frost.test.yaml',
      `rule: frost
devices: [{ id: a, district: old-tow }, { id: b }]
readings:
  - { at: "2 o'clock", device: a, temperature: 1 }
  - { at: "02:00", device: a, temperatur: 1 }
expect:
  - { at: "02:00", state: burning, device: a }
`,
    );
    const first = await lamppost(['rules', 'test', city]);
    expect(first.code).toBe(1);
    expect(first.out).toMatch(/rules\/frost\.test\.yaml:4:\d+ .*"2 o'clock" is not a time/);
    expect(first.out).toMatch(/rules\/frost\.test\.yaml:7:\d+ .*burning/);
    writeFileSync(
      join(city, 'rules/frost.test.yaml'),
      `rule: frosty
readings: []
`,
    );
    expect((await lamppost(['rules', 'test', city])).out).toMatch(/frost\.test\.yaml:1:1 .*"frosty".*frost/);
    writeFileSync(
      join(city, 'rules/frost.test.yaml'),
      `rule: frost
devices: [{ id: a, district: old-tow }, { id: b }]
readings:
  - { at: "02:00", temperatur: 1 }
  - { at: "02:00", device: a, temperatur: 1 }
  - { at: "02:00", device: c, temperature: 1 }
expect:
  - { at: "02:00", state: firing }
`,
    );
    const { out } = await lamppost(['rules', 'test', city]);
    for (const says of [
      /:2:\d+ .*old-tow.*old-town/,
      /:4:\d+ name one device of a, b/,
      /:5:\d+ .*temperatur.*temperature/,
    ])
      expect(out).toMatch(says);
    for (const says of [/:6:\d+ .*no device "c"/, /:8:\d+ name one device of a, b/]) expect(out).toMatch(says);
  });
});

describe('rules check, rules schema', () => {
  test('rules check - counts rules without mistakes; mistakes are reported with line and column', async () => {
    const well = await lamppost(['rules', 'check', join(CITY, 'rules')]);
    expect([well.code, well.err]).toEqual([0, '']);
    expect(well.out).toMatch(/^\d+ rules, no mistakes; \d+ with tests$/m);
    const city = cityWith(
      'rules/frost.yaml',
      'id: frost\ntitle: x\nwhen: { metric: temperatur, last: true, below: 0 }\n',
    );
    const bad = await lamppost(['rules', 'check', city]);
    expect(bad.code).toBe(1);
    expectPlain(bad, /rules\/frost\.yaml:3:\d+ .*temperatur.*temperature/);
  });

  test('rules check - says of a rule that it can never decide, where, and what would work', async () => {
    const rule = 'id: frost\ntitle: x\nseverity: low\nwhere: { profile: waste-bin }\n';
    const city = cityWith('rules/frost.yaml', `${rule}when: { metric: fill, jump: { by: 5, within: 10m } }\n`);
    const { code, out } = await lamppost(['rules', 'check', city]);
    expect(code).toBe(0);
    expect(out).toMatch(/rules\/frost\.yaml:5:\d+ can never decide, .* every 15m; write within: 30m/);
    expect(out).toMatch(/^\d+ rules, no mistakes, 1 warning; \d+ with tests$/m);
  });

  test('rules schema - prints the schema for editors', async () => {
    const { code, out } = await lamppost(['rules', 'schema']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ $schema: expect.any(String), properties: { when: expect.any(Object) } });
  });

  test.each([
    ['no verb', [], /test, check, schema, suggest/],
    ['an unknown verb', ['paint'], /test, check, schema, suggest/],
    ['a folder that is not there', ['test', '/nowhere'], /\/nowhere/],
    ['a folder that is no city', ['test', '/'], /city\.yaml/],
  ])('rules - %s is a mistake on the command line: exit code 2', async (_what, args, says) => {
    const ran = await lamppost(['rules', ...args]);
    expect(ran.code).toBe(2);
    expectPlain(ran, says);
  });
});

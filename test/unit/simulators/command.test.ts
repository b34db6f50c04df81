import { expect, test } from 'vitest';
import { readCommand } from '../../../simulators/command.ts';
import { duration, UsageError } from '../../../simulators/flags.ts';
import { simulateFlags } from '../../kit/cli/flags.ts';

test('simulate - defaults come from the contract and the environment', () => {
  const env = { LAMPPOST_ADMIN_KEY: 'k', MQTT_PORT: '1999', HTTP_PORT: '8999', LAMPPOST_CITY: '/srv/city' };
  expect(readCommand({}, env)).toEqual({
    url: 'mqtt://127.0.0.1:1999',
    api: 'http://127.0.0.1:8999',
    key: 'k',
    city: '/srv/city',
    devices: 120,
    seed: '1',
    faults: 0.005,
    format: 'native',
    progress: false,
  });
});

test('simulate - flags win over the environment', () => {
  const argv = ['--key', 'mine', '--speed', '60', '--duration', '10m', '--devices', '6', '--faults', '0'];
  const command = readCommand(simulateFlags(argv), { LAMPPOST_ADMIN_KEY: 'k' });
  expect(command).toMatchObject({ key: 'mine', speed: 60, durationMs: 600_000, devices: 6, faults: 0 });
});

test.each([
  [['--duration', 'soon'], /--duration soon: expected a duration/],
  [['--url', '127.0.0.1:1883'], /--url .*mqtt:/],
  [['--replay', 'a.csv', '--device', 'x'], /--replay needs --device ID and --metric/],
  [['--replay', 'a.csv', '--device', 'a/b', '--metric', 'speed'], /--device a\/b/],
  [
    ['--replay', 'a.csv', '--device', 'x', '--metric', 'speed', '--zone', 'Mars/Base'],
    /--zone: "Mars\/Base" is not an IANA zone/,
  ],
  [['--zone', 'Mars/Base'], /--zone is for a replay: write --replay FILE, too/],
  [['--keep-time'], /--keep-time is for a replay/],
  [['--replay', 'a.csv', '--device', 'x', '--metric', 'speed', '--devices', '3'], /--devices is for a city/],
])('simulate - %j is refused with a correct value', (argv, message) => {
  const read = () => readCommand(simulateFlags(['--key', 'k', ...argv]), {});
  expect(read).toThrow(UsageError);
  expect(read).toThrow(message);
});

test.each([
  [['--devices', '0'], /--devices: "0" found; write a whole number from 1/],
  [['--faults', '1.5'], /--faults: "1.5" found; write a number from 0 to 1/],
  [['--speed', 'fast'], /--speed: "fast" found; write a number/],
  [['--colour', 'red'], /--colour/],
])('simulate - %j is refused before the command begins', (argv, message) => {
  expect(() => simulateFlags(argv)).toThrow(message);
});

test('simulate - without a key it names the missing flag and variable', () => {
  expect(() => readCommand({}, {})).toThrow(/--key KEY \(or LAMPPOST_ADMIN_KEY\)/);
});

test('flags - durations have units', () => {
  expect(['500ms', '30s', '15m', '2h', '1.5d', '7'].map((text) => duration('x', text))).toEqual([
    500, 30_000, 900_000, 7_200_000, 129_600_000, 7_000,
  ]);
});

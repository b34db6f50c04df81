import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CONVERSIONS, parseRecording, scheduleReplay } from '../../../simulators/city/replay.ts';

const SAMPLES = new URL('../../../simulators/samples/traffic/', import.meta.url);

test('recording - a timestamp without a zone is local time of the given zone, in summer and in winter', () => {
  const text = 'timestamp,value\n2015-09-01 11:25:00,58\n2015-12-01 11:25:00,63\n';
  expect(parseRecording(text, 'America/Chicago')).toEqual([
    { tsMs: Date.UTC(2015, 8, 1, 16, 25), value: 58 },
    { tsMs: Date.UTC(2015, 11, 1, 17, 25), value: 63 },
  ]);
});

test('recording - a timestamp with a zone keeps it', () => {
  const text = '2015-09-01T11:25:00Z,1\n2015-09-01 11:25:00+02:00,2';
  expect(parseRecording(text, 'America/Chicago').map(({ tsMs }) => tsMs)).toEqual([
    Date.UTC(2015, 8, 1, 9, 25),
    Date.UTC(2015, 8, 1, 11, 25),
  ]);
});

test('recording - a line that is no reading is named', () => {
  expect(() => parseRecording('timestamp,value\n2015-09-01 11:25:00,58\n2015-09-01,fast', 'UTC')).toThrow(/^line 3: /);
  expect(() => parseRecording('2015-09-01 11:25:00,', 'UTC')).toThrow(/^line 1: /);
  expect(() => parseRecording('timestamp,value\n', 'UTC')).toThrow(/no readings/);
});

test('recording - every sample that is shipped can be read, and its labelled windows lie within it', () => {
  const windows: Record<string, [string, string][]> = JSON.parse(
    readFileSync(new URL('anomaly-windows.json', SAMPLES), 'utf8'),
  );
  const files = readdirSync(SAMPLES).filter((file) => file.endsWith('.csv'));
  expect(files.sort()).toEqual(Object.keys(windows).sort());
  for (const file of files) {
    const recorded = parseRecording(readFileSync(new URL(file, SAMPLES), 'utf8'), 'America/Chicago');
    expect(recorded.length).toBeGreaterThan(1_000);
    for (const [from] of windows[file]!) {
      const { tsMs } = parseRecording(`${from.slice(0, 19)},0`, 'America/Chicago')[0]!;
      expect(tsMs).toBeGreaterThan(recorded[0]!.tsMs);
      expect(tsMs).toBeLessThan(recorded.at(-1)!.tsMs);
    }
  }
});

const RECORDED = [
  { tsMs: 1_000_000, value: 1 },
  { tsMs: 1_600_000, value: 2 },
  { tsMs: 2_000_000, value: 3 },
];

test('replay - without speed all are sent at once, and the last lies at now', () => {
  expect(scheduleReplay(RECORDED, { nowMs: 9_000_000 })).toEqual([
    { tsMs: 8_000_000, value: 1, afterMs: 0 },
    { tsMs: 8_600_000, value: 2, afterMs: 0 },
    { tsMs: 9_000_000, value: 3, afterMs: 0 },
  ]);
});

test('replay - with speed the first lies at now and each carries the time at which it is sent', () => {
  expect(scheduleReplay(RECORDED, { nowMs: 9_000_000, speed: 100 })).toEqual([
    { tsMs: 9_000_000, value: 1, afterMs: 0 },
    { tsMs: 9_006_000, value: 2, afterMs: 6_000 },
    { tsMs: 9_010_000, value: 3, afterMs: 10_000 },
  ]);
});

test('replay - keepTime leaves the timestamps', () => {
  const kept = scheduleReplay(RECORDED, { nowMs: 9_000_000, speed: 100, keepTime: true });
  expect(kept.map(({ tsMs }) => tsMs)).toEqual(RECORDED.map(({ tsMs }) => tsMs));
});

test('replay - miles per hour become kilometres per hour', () => {
  expect(CONVERSIONS.mph?.convert(58)).toBe(93.34);
  expect(CONVERSIONS.degF?.convert(212)).toBe(100);
});

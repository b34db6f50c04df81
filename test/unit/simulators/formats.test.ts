import { expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { compileFormats, decodePayload, formatOf } from '../../../ingest/index.ts';
import { encodeSample } from '../../../simulators/city/faults.ts';
import { formatFor, modelOf, SIMULATED_FORMATS, SIMULATED_PROFILES, spoken } from '../../../simulators/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const NOW = Date.parse('2026-11-29T12:00:00.123Z');
const city = parseCity(sample).city!;
const formats = compileFormats(city);
const declared = new Set(city.formats.keys());

/** Reads a message as the server does: the device, and its values. */
function read({ topic, payload }: { topic: string; payload: string }, sender: string) {
  const { device, format } = formatOf(sender, topic, formats);
  const decoded = decodePayload(format!, Buffer.from(payload), NOW);
  if ('reason' in decoded) return { device, by: format!.name, fault: decoded.reason, values: {}, ts: undefined };
  const values = Object.assign({}, ...decoded.readings.map(({ metrics }) => metrics)) as Record<string, number>;
  return { device, by: format!.name, values, ts: decoded.readings[0]?.ts };
}

const each = SIMULATED_FORMATS.filter((name) => name !== 'mixed').flatMap((format) =>
  SIMULATED_PROFILES.map((profile) => ({ format, profile })),
);

test.each(each)('simulated formats - the sample city reads what a $profile says in $format', ({ format, profile }) => {
  const device = { id: 'sim-1', profile, district: 'harbour' };
  const metrics = modelOf(device, { seed: '1', zone: 'UTC' }).next(NOW);
  const message = spoken(
    formatFor(format, profile, new Set([...declared, 'native'])),
    device.id,
    encodeSample({ tsMs: NOW, metrics }),
  );
  const found = read(message, device.id);
  expect(found.device).toBe('sim-1');
  expect(Object.keys(found.values).length).toBeGreaterThan(0);
  for (const [metric, value] of Object.entries(found.values)) expect(value, metric).toBeCloseTo(metrics[metric]!, 6);
  if (format !== 'tasmota' && format !== 'shelly-gen2') expect(Object.keys(found.values)).toEqual(Object.keys(metrics));
  if (found.ts !== undefined) expect(new Date(found.ts as number | string).getTime()).toBe(NOW);
});

test('simulated formats - a mixed city has several formats, and none that it does not declare', () => {
  const of = (names: ReadonlySet<string>) => SIMULATED_PROFILES.map((profile) => formatFor('mixed', profile, names));
  expect(new Set(of(declared)).size).toBeGreaterThan(3);
  expect(new Set(of(new Set()))).toEqual(new Set(['native']));
  expect(formatFor('tasmota', 'streetlight', new Set())).toBe('native');
});

test('simulated formats - what a fault made unreadable stays so, on the topic of the format', () => {
  expect(spoken('zigbee2mqtt', 'bin-1', '{"ts": 1, "metr')).toEqual({
    topic: 'zigbee2mqtt/bin-1',
    payload: '{"ts": 1, "metr',
  });
  expect(read(spoken('zigbee2mqtt', 'bin-1', '{"ts": 1, "metr'), 'bin-1')).toMatchObject({ fault: 'malformed' });
});

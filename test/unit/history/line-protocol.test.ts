import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KnownDevice } from '../../../domain/index.ts';
import { createLineBuilder, Rows } from '../../../history/influx/lines.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { parseLine } from '../../kit/influx.ts';
import { runs } from '../../kit/runs.ts';

const device = (index: number, more: Partial<KnownDevice> = {}): KnownDevice => ({
  id: `bin-${index}`,
  index,
  profile: 'waste-bin',
  district: 'harbour',
  ...more,
});

function linesOf(batches: readonly Row[][]) {
  const metrics = tableOf();
  const rows = new Rows(
    'readings',
    batches.map((batch) => columnsOf(batch, metrics)),
  );
  return createLineBuilder(metrics).build(
    rows,
    Int32Array.from({ length: rows.length }, (_, i) => i),
  );
}

test('line protocol - metrics of one device and time that are adjacent are one line, tags in order, floats, ms', () => {
  const [a, b] = [device(0), device(1)];
  const { text, first } = linesOf([
    [
      { device: a, metric: 'fill', ts: 1, value: 12 },
      { device: a, metric: 'battery', ts: 1, value: 80.5 },
      { device: a, metric: 'fill', ts: 2, value: -3 },
      { device: b, metric: 'fill', ts: 2, value: 1e21 },
    ],
    [{ device: b, metric: 'battery', ts: 2, value: 5e-324 }],
  ]);
  expect(text).toEqual([
    'waste-bin,device=bin-0,district=harbour fill=12,battery=80.5 1',
    'waste-bin,device=bin-0,district=harbour fill=-3 2',
    'waste-bin,device=bin-1,district=harbour fill=1e+21,battery=5e-324 2',
  ]);
  expect(first).toEqual([0, 2, 3, 5]);
});

test('line protocol - a device that changed its district or profile is written as it was at each reading', () => {
  const before = device(0);
  const after = device(0, { district: 'old-town', profile: 'bin' });
  const reading = { metric: 'fill', value: 1 };
  const { text } = linesOf([
    [
      { ...reading, device: before, ts: 1 },
      { ...reading, device: after, ts: 2 },
      { ...reading, device: before, ts: 3 },
    ],
  ]);
  expect(text.map((line) => line.split(' ')[0])).toEqual([
    'waste-bin,device=bin-0,district=harbour',
    'bin,device=bin-0,district=old-town',
    'waste-bin,device=bin-0,district=harbour',
  ]);
});

test('line protocol - names that are taken get another field', () => {
  const bin = device(0);
  const rows = ['time', 'device', 'district', 'value'].map((metric) => ({ device: bin, metric, ts: 1, value: 1 }));
  expect(linesOf([rows]).text).toEqual([
    'waste-bin,device=bin-0,district=harbour time.value=1,device.value=1,district.value=1,value=1 1',
  ]);
});

test('line protocol - with any names, a line is one line of three parts, and its names can be read back', () => {
  const names = fc.string({
    unit: fc.constantFrom('a', ' ', ',', '=', '\\', '"', '\n', '\r', 'ü', '🚮'),
    minLength: 1,
  });
  const readBack = (text: string) => text.replace(/\\([,= ])/g, '$1');
  const property = fc.property(names, names, names, names, (id, district, profile, metric) => {
    fc.pre(!['time', 'device', 'district'].includes(metric));
    const { text } = linesOf([[{ device: device(0, { id, district, profile }), metric, ts: 7, value: 1 }]]);
    expect(text).toHaveLength(1);
    const { series, fields, ts } = parseLine(text[0]!);
    const clean = (name: string) => name.replace(/[\\\n\r]/g, '_');
    const parts = series.split(/(?<!\\),/).map(readBack);
    expect(parts).toEqual([clean(profile), `device=${clean(id)}`, `district=${clean(district)}`]);
    expect(fields.map(([name, value]) => [readBack(name), value])).toEqual([[clean(metric), 1]]);
    expect(ts).toBe(7);
  });
  fc.assert(property, { numRuns: runs(500) });
});

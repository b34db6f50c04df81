import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bodyOfPart, columnsOf, headerOf, PART_ROWS, type Part, packPart } from '../../../ingest/import/part.ts';
import { numberIn, TimeReader } from '../../../ingest/import/values.ts';
import { importParts } from '../../../ingest/index.ts';
import { cityControl, intakeBench } from '../../kit/ingest/intake.ts';

const T0 = Date.UTC(2025, 0, 1);
const ACTION = { id: 'i', actor: { kind: 'key', id: 'k', role: 'admin', department: null } as const } as const;
const action = { ...ACTION, address: null, key: null, command: { do: 'readings.import' } };
const HOW = { format: 'csv', device: null, precision: null, firstLine: 1, rules: false } as const;

const partsOf = (text: string, how: Partial<Parameters<typeof importParts>[1]> = {}) =>
  importParts(Buffer.from(text), { ...HOW, ...how });

/** The rows of a part as the block has them. */
function rowsOf(part: Part): [string, string, number, number, number][] {
  const body = bodyOfPart(part, action);
  const { rows, devices, metrics } = headerOf(body);
  const { ts, value, device, metric, line } = columnsOf(body, rows);
  return Array.from({ length: rows }, (_, i) => {
    const [field, unit] = metrics[metric[i]!]!;
    return [devices[device[i]!]!, unit === null ? field : `${field} ${unit}`, ts[i]!, value[i]!, line[i]!];
  });
}

const faultsOf = ({ header: { faults } }: Part) =>
  faults.map(({ reason, count, lines }) => `${reason} ${count} at ${lines.join(' ')}`);

test('import - CSV with a row for each reading, with quotes, units, a byte order mark and two kinds of line ends', () => {
  const text = `\uFEFFts,device,"metric",value,unit\r\n2025-01-01T00:00:00Z,d1,a,1.5,\r\n1735689601000,"d1",b,-2e1,degF\n\n`;
  expect(rowsOf(partsOf(text)[0]!)).toEqual([
    ['d1', 'a', T0, 1.5, 2],
    ['d1', 'b degF', T0 + 1_000, -20, 3],
  ]);
});

test('import - CSV with a column for each metric: an empty value is no reading', () => {
  const text = 'time,a,"b ""x"""\n2025-01-01T01:00:00+01:00,1,\n2025-01-01T00:00:00.250Z,,3\n';
  expect(rowsOf(partsOf(text, { device: 'd1' })[0]!)).toEqual([
    ['d1', 'a', T0, 1, 2],
    ['d1', 'b "x"', T0 + 250, 3, 3],
  ]);
});

test('import - line protocol with escapes, integers, booleans and comments', () => {
  const text = `# of last year\nbin,device=d1,district=a\\ b a=1i,b=t 1735689600000000000\n\nm,x=1 time.value=2.5 1735689600001000000`;
  expect(rowsOf(partsOf(text, { format: 'lines', device: 'd2' })[0]!)).toEqual([
    ['d1', 'a', T0, 1, 2],
    ['d1', 'b', T0, 1, 2],
    ['d2', 'time', T0 + 1, 2.5, 4],
  ]);
});

test('import - what cannot be read is counted by its reason, with the first lines', () => {
  const csv = 'device,ts,metric,value\nd1,yesterday,a,1\nd1,2025-02-30T00:00:00Z,a,1\nd1,1,a,0x1\nd1,1,a\n?,1,a,1\n';
  const [part] = partsOf(csv, { firstLine: 1_001 });
  expect(faultsOf(part!)).toEqual([
    'bad-timestamp 2 at 1002 1003',
    'not-a-number 1 at 1004',
    'wrong-shape 1 at 1005',
    'unknown-device 1 at 1006',
  ]);
  const lines = 'm,device=d1 a="x" 1\nm a=1 1\nm,device=d1 a=1\nnothing';
  expect(faultsOf(partsOf(lines, { format: 'lines' })[0]!)).toEqual([
    'not-a-number 1 at 1',
    'unknown-device 1 at 2',
    'bad-timestamp 1 at 3',
    'malformed 1 at 4',
  ]);
});

test.each([
  ['', /there is no header/],
  ['a,b\n1,2', /has no column of the time; write device,ts,metric,value/],
  ['ts,a\n1,2', /has no column of the device, and none is given/],
  ['ts,device,metric\n', /only one of metric and value/],
  ['ts,device\n', /names no metric/],
])('import - a file with the header %j is refused with what is right', (text, why) => {
  expect(() => partsOf(text)).toThrow(why);
});

test('import - the numbers and times of a file are those of JavaScript, bit for bit', () => {
  const read = (text: string) => numberIn(`,${text},`, 1, text.length + 1);
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat(12), (value, digits) => {
      expect(read(String(value))).toBe(Number(String(value)));
      if (Math.abs(value) < 1e15) expect(read(value.toFixed(digits))).toBe(Number(value.toFixed(digits)));
    }),
  );
  for (const none of ['', '-', '.', '1.2.3', '0x1', 'NaN', 'Infinity', '1e', '١']) expect(read(none)).toBeNaN();
  const time = new TimeReader('ms');
  const of = (text: string) => time.read(text, 0, text.length);
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), (date) => {
      expect(of(date.toISOString())).toBe(date.getTime());
      expect(of(date.toISOString().replace(/\.\d+/, ''))).toBe(Math.floor(date.getTime() / 1_000) * 1_000);
    }),
  );
  for (const none of ['2025-01-01T25:00:00Z', '2025-01-01T00:00:61Z', '2025-13-01T00:00:00Z', '2025-01-01T00:00:00'])
    expect(of(none)).toBeNaN();
  const ns = new TimeReader('ns');
  expect(ns.read('1735689600123456789', 0, 19)).toBe(T0 + 123);
});

test('import - the same rows are the same part, whatever the file is called and where its lines are', () => {
  const text = `device,ts,metric,value\n${Array.from({ length: 100 }, (_, i) => `d1,${T0 + i},a,${i}`).join('\n')}`;
  const [one, two, other] = [partsOf(text), partsOf(text, { firstLine: 7 }), partsOf(`${text}1`)];
  expect(two[0]!.header.id).toBe(one[0]!.header.id);
  expect(other[0]!.header.id).not.toBe(one[0]!.header.id);
  expect(partsOf(text, { rules: true })[0]!.header.id).not.toBe(one[0]!.header.id);
});

test('import - a file of more rows than a part has becomes several, and none is lost', () => {
  const rows = PART_ROWS + 10;
  const lines = Array.from({ length: rows }, (_, i) => `d${i % 7},${T0 + i},${i % 3 === 0 ? 'a' : 'b'},${i / 4}`);
  const parts = partsOf(`device,ts,metric,value\n${lines.join('\n')}`);
  expect(parts.map(({ header }) => header.rows)).toEqual([PART_ROWS, 10]);
  expect(rowsOf(parts[1]!)[0]).toEqual([`d${PART_ROWS % 7}`, 'b', T0 + PART_ROWS, PART_ROWS / 4, PART_ROWS + 2]);
  // Rows in order take little of the journal.
  expect(parts[0]!.columns.length / PART_ROWS).toBeLessThan(6);
});

test('import - columns of another length than the header says are refused', () => {
  const columns = {
    ...{ ts: Float64Array.of(1), value: Float64Array.of(1), line: Uint32Array.of(1) },
    ...{ device: Uint32Array.of(0), metric: Uint16Array.of(0) },
  };
  const part = packPart(
    { rows: 1, devices: ['d1'], metrics: [['a', null]], rules: false, faults: [], more: 0 },
    columns,
  );
  const body = bodyOfPart(part, action);
  expect(columnsOf(body, 1).ts[0]).toBe(1);
  expect(() => columnsOf(body, 2)).toThrow(/not the 2 rows/);
  expect(() => columnsOf(body, 0)).toThrow();
});

const CITY = cityControl({ past: '1h' });
const NOW = Date.UTC(2026, 0, 1);

function bench() {
  const made = intakeBench();
  made.city(CITY, NOW);
  made.devices([{ id: 'd1', profile: 'bin', district: 'east' }]);
  const add = (text: string, how = {}) => made.import(bodyOfPart(partsOf(text, how)[0]!, action), NOW);
  return { ...made, add };
}

test('import - rows are validated as live readings are, but for their age', () => {
  const { add, replaced } = bench();
  const text = `device,ts,metric,value
d1,${T0},a,1
d1,${T0},a,101
d1,${T0},c,1
d2,${T0},a,1
d1,${NOW + 3_600_000},a,1
d1,${T0 / 1_000},a,1
d1,never,a,1`;
  const outcome = add(text);
  expect(replaced(outcome)).toEqual([['d1', 'a', T0, 1]]);
  expect(outcome.readings.length).toBe(0);
  const { report, tallies } = outcome.imported!;
  expect(report).toMatchObject({ rows: 7, stored: 1, refused: 6, repeated: 0, more: 0 });
  expect(report.faults.map(({ reason, count, lines }) => [reason, count, lines])).toEqual([
    ['bad-timestamp', 1, [8]],
    ['out-of-range', 1, [3]],
    ['unknown-metric', 1, [4]],
    ['unknown-device', 1, [5]],
    ['in-the-future', 1, [6]],
    ['too-old', 1, [7]],
  ]);
  expect(report.faults[5]!.detail).toContain('these look like seconds');
  expect(tallies).toEqual([
    { device: '(unknown)', stored: 0, refused: 2 },
    { device: 'd1', stored: 1, refused: 4 },
  ]);
});

test('import - a part that comes again changes nothing, also after a restart, and the first one still counts', () => {
  const { add, again, replaced, persist, restart, catchUp, blocks } = bench();
  const text = `device,ts,metric,value\nd1,${T0},a,1\nd1,${T0},a,x`;
  const first = add(text);
  const second = add(text);
  const nothing = { rows: 2, stored: 0, refused: 0, repeated: 2, faults: [], more: 0 };
  expect(second.imported).toEqual({ report: nothing, tallies: [], forRules: false, trains: false, isCounted: true });
  expect(second.replaced.length).toBe(0);
  persist();
  restart();
  const third = add(text);
  expect(third.imported!.report).toEqual(nothing);
  // A consumer that is behind reads the same.
  const { seq } = first.block;
  expect(replaced(again(seq))).toEqual([['d1', 'a', T0, 1]]);
  expect(again(seq).imported).toEqual(first.imported);
  restart();
  catchUp();
  expect(again(blocks.length).imported!.report).toEqual(nothing);
});

test('import - what the city or the registry refused can be imported again once these are changed', () => {
  const { add, devices, replaced } = bench();
  const text = `device,ts,metric,value\nd2,${T0},a,1`;
  expect(add(text).imported!.report).toMatchObject({ stored: 0, refused: 1 });
  devices([{ id: 'd2', profile: 'bin', district: 'east' }]);
  const again = add(text);
  expect(replaced(again)).toEqual([['d2', 'a', T0, 1]]);
  expect(again.imported!.report).toMatchObject({ stored: 1, refused: 0, repeated: 0 });
  expect(add(text).imported!.report).toMatchObject({ stored: 0, repeated: 1 });
});

test('import - a time that is none moves no other', () => {
  const [part] = partsOf(`device,ts,metric,value\nd1,${T0},a,1\nd1,${T0}123456,a,2\nd1,${T0 + 60_001},a,3`);
  expect(rowsOf(part!).map(([, , ts]) => ts)).toEqual([T0, T0 + 60_001]);
  expect(faultsOf(part!)).toEqual(['bad-timestamp 1 at 3']);
});

test('import - units are converted, and a unit of another quantity is refused', () => {
  const made = intakeBench();
  const metrics = { temp: { title: { en: 'A', zh: '甲' }, unit: 'Cel', min: -50, max: 60 } };
  made.city(cityControl({ files: { 'metrics.yaml': metrics }, profiles: { bin: ['temp'] } }), NOW);
  made.devices([{ id: 'd1', profile: 'bin', district: 'east' }]);
  const [part] = partsOf(`device,ts,metric,value,unit\nd1,${T0},temp,300,K\nd1,${T0 + 1},temp,3,m`);
  const outcome = made.import(bodyOfPart(part!, action), NOW);
  expect(made.replaced(outcome).map(([, , , value]) => value)).toEqual([expect.closeTo(26.85, 9)]);
  expect(outcome.imported!.report.faults).toMatchObject([{ reason: 'wrong-unit', count: 1 }]);
});

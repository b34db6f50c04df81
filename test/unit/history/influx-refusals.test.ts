import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock as clock, type KnownDevice, type ReadingColumns, type RefusedRow } from '../../../domain/index.ts';
import { createInfluxHistory } from '../../../history/index.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { InfluxScript, parseLine, type Responder, says, stored } from '../../kit/influx.ts';

const METRICS = ['fill', 'battery', 'level'];
const metrics = tableOf(...METRICS);
const script = new InfluxScript();
beforeAll(() => script.start());
afterAll(() => script.stop());
beforeEach(() => {
  script.respond = stored;
  script.points.clear();
  script.writes.length = 0;
});

const limits = { lines: 50, inFlight: 3, timeoutMs: 5_000 };
const open = (more = {}) =>
  createInfluxHistory(
    { metrics, unitOf: () => '', clock },
    { url: script.url, token: '', org: 'o', bucket: 'b', api: 'v2' },
    { ...limits, ...more },
  );

const DEVICES: KnownDevice[] = [0, 1, 2, 3].map((index) => ({
  id: `d${index}`,
  index,
  profile: index < 2 ? 'bin' : 'water',
  district: 'east',
}));

/** Readings of all devices and metrics, `ts` by `ts`. */
const readings = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, n) =>
    DEVICES.flatMap((device) => METRICS.map((metric) => ({ device, metric, ts: from + n, value: n }))),
  ).flat();

type Bad = (device: string, field: string, ts: number) => boolean;
interface Judged {
  readonly line: string;
  readonly fields: readonly string[];
  readonly bad: readonly string[];
}

function judge(lines: readonly string[], bad: Bad): Judged[] {
  return lines.map((line) => {
    const { series, fields, ts } = parseLine(line);
    const device = /device=([^,]+)/.exec(series)![1]!;
    const names = fields.map(([name]) => name);
    return { line, fields: names, bad: names.filter((name) => bad(device, name, ts)) };
  });
}

const isBad = ({ bad }: Judged) => bad.length > 0;

/** How servers refuse: InfluxDB 1 and 2 drop the whole line and say how many; 3 lists them; others refuse all. */
const MANNERS: Readonly<Record<string, (bad: Bad) => Responder>> = {
  'InfluxDB 1 names the field': (bad) => dropping(400, bad, ({ line, bad: [name] }) => conflict(line, name!)),
  'InfluxDB 2 names the field': (bad) => dropping(422, bad, ({ line, bad: [name] }) => conflict(line, name!)),
  'InfluxDB 1 counts': (bad) => dropping(400, bad, () => 'partial write: some points were'),
  'InfluxDB 2 refuses the request': (bad) => (write, response, server) => {
    const [worst] = judge(write.lines, bad).filter(isBad);
    if (worst === undefined) stored(write, response, server);
    else says(400, { code: 'invalid', message: `unable to parse '${worst.line}'` })(write, response, server);
  },
  'InfluxDB 3 lists the lines': (bad) => (write, response, server) => {
    const judged = judge(write.lines, bad);
    const data = judged.flatMap((one, i) =>
      isBad(one) ? [{ original_line: one.line, line_number: i + 1, error_message: 'invalid column type' }] : [],
    );
    for (const one of judged) if (!isBad(one)) server.store(one.line);
    const error = 'partial write of line protocol occurred';
    if (data.length === 0) response.writeHead(204).end();
    else says(400, { error, data: data.slice(0, 100) })(write, response, server);
  },
  'InfluxDB 3 of the cloud responds with 201': (bad) => (write, response, server) => {
    const judged = judge(write.lines, bad);
    for (const one of judged) if (!isBad(one)) server.store(one.line);
    const message = `errors encountered on line(s): ${judged.filter(isBad).length} lines`;
    if (judged.some(isBad)) says(201, { code: 'invalid', message })(write, response, server);
    else response.writeHead(204).end();
  },
  'something else says no more than no': (bad) => (write, response, server) =>
    judge(write.lines, bad).some(isBad)
      ? says(400, { error: 'no' })(write, response, server)
      : stored(write, response, server),
};

function dropping(status: number, bad: Bad, why: (one: Judged) => string): Responder {
  return (write, response, server) => {
    const judged = judge(write.lines, bad);
    const dropped = judged.filter(isBad);
    for (const one of judged) if (!isBad(one)) server.store(one.line);
    if (dropped.length === 0) response.writeHead(204).end();
    else says(status, { error: `${why(dropped[0]!)} dropped=${dropped.length}` })(write, response, server);
  };
}

const conflict = (line: string, field: string) =>
  `partial write: field type conflict: input field "${field}" on measurement "${line.split(',')[0]}" is type float, already exists as type integer`;

/** The rows as text, of what was refused and of what is stored. */
const nameOf = ({ device, metric, ts }: Row) => `${device.profile},device=${device.id},district=east ${metric} ${ts}`;

function namesOf(refused: readonly RefusedRow[], batches: readonly Row[][]): string[] {
  return refused.map(({ of, batch, row }) => `${of}: ${nameOf(batches[batch]![row]!)}`).sort();
}

async function expectOnlyBadRefused(batches: readonly Row[][], bad: Bad): Promise<readonly RefusedRow[]> {
  const history = open();
  const columns = batches.map((rows): ReadingColumns => columnsOf(rows, metrics));
  const refused = await history.append(columns, 1);
  await history.stop();
  const isBadRow = ({ device, metric, ts }: Row) => bad(device.id, metric, ts);
  const all = batches.flat();
  expect([...script.points.keys()].sort()).toEqual(
    all
      .filter((row) => !isBadRow(row))
      .map(nameOf)
      .sort(),
  );
  expect(namesOf(refused, batches)).toEqual(
    all
      .filter(isBadRow)
      .map((row) => `readings: ${nameOf(row)}`)
      .sort(),
  );
  for (const { detail } of refused) expect(detail.length).toBeGreaterThan(1);
  return refused;
}

describe.each(Object.entries(MANNERS))('refusals - %s', (_manner, respond) => {
  test('bad readings are isolated, and all others are stored', async () => {
    const keys = fc.record({
      device: fc.constantFrom(...DEVICES.map(({ id }) => id)),
      field: fc.constantFrom(...METRICS),
      ts: fc.integer({ min: 0, max: 59 }),
    });
    const faults = fc.array(keys, { maxLength: 8 });
    const property = fc.asyncProperty(faults, fc.integer({ min: 1, max: 59 }), async (found, cut) => {
      script.points.clear();
      const set = new Set(found.map(({ device, field, ts }) => `${device} ${field} ${ts}`));
      const bad: Bad = (device, field, ts) => set.has(`${device} ${field} ${ts}`);
      script.respond = respond(bad);
      await expectOnlyBadRefused([readings(0, cut), readings(cut, 60 - cut)], bad);
    });
    await fc.assert(property, { numRuns: 12, seed: 5 });
  });

  test('a whole metric that does not fit', async () => {
    const bad: Bad = (device, field) => field === 'fill' && (device === 'd0' || device === 'd1');
    script.respond = respond(bad);
    await expectOnlyBadRefused([readings(0, 30)], bad);
  });
});

test('refusals - a metric that does not fit costs InfluxDB 1 and 2 a few requests, not one a reading', async () => {
  const bad: Bad = (device, field) => field === 'fill' && (device === 'd0' || device === 'd1');
  script.respond = MANNERS['InfluxDB 1 names the field']!(bad);
  const refused = await expectOnlyBadRefused([readings(0, 100)], bad);
  expect(refused).toHaveLength(200);
  // Eight requests of 50 lines; of each the suspects and the others once more.
  expect(script.writes.length).toBe(8 * 3);
});

test('refusals - points beyond the retention are refused at once, where all of a request are', async () => {
  script.respond = (write, response, server) =>
    says(400, { error: `partial write: points beyond retention policy dropped=${write.lines.length}` })(
      write,
      response,
      server,
    );
  const history = open();
  const refused = await history.append([columnsOf(readings(0, 25), metrics)], 1);
  await history.stop();
  expect(refused).toHaveLength(300);
  expect(refused[0]!.detail).toContain('beyond retention policy');
  expect(script.writes).toHaveLength(2);
});

test('refusals - where the setup fails during the search for bad readings, none is refused', async () => {
  let requests = 0;
  script.respond = (write, response, server) =>
    (++requests < 4 ? says(400, { error: 'unable to parse' }) : says(401, { error: 'no' }))(write, response, server);
  const history = open();
  const batch = columnsOf(readings(0, 10), metrics);
  await expect(history.append([batch], 1)).rejects.toMatchObject({ retryable: true });
  script.respond = stored;
  expect(await history.append([batch], 1)).toEqual([]);
  expect(script.points.size).toBe(120);
  await history.stop();
});

describe('too large', () => {
  const upTo =
    (most: number): Responder =>
    (write, response, server) =>
      write.lines.length > most
        ? says(413, { error: 'too large' })(write, response, server)
        : stored(write, response, server);

  test('413 - is halved until it is accepted, and later requests are that small from the start', async () => {
    script.respond = upTo(10);
    const history = open();
    expect(await history.append([columnsOf(readings(0, 50), metrics)], 1)).toEqual([]);
    expect(script.points.size).toBe(600);
    script.writes.length = 0;
    expect(await history.append([columnsOf(readings(50, 50), metrics)], 1)).toEqual([]);
    expect(script.points.size).toBe(1_200);
    expect(Math.max(...script.writes.map(({ lines }) => lines.length))).toBeLessThanOrEqual(10);
    await history.stop();
  });

  test('413 - of one reading alone refuses it', async () => {
    script.respond = (write, response, server) =>
      (write.lines.some((line) => line.includes('level=3')) ? says(413, {}) : stored)(write, response, server);
    const rows = readings(0, 5);
    const history = open();
    const refused = await history.append([columnsOf(rows, metrics)], 1);
    expect(refused.map(({ row }) => rows[row]!).map(({ metric, value }) => `${metric} ${value}`)).toEqual(
      Array(4).fill('level 3'),
    );
    expect(script.points.size).toBe(56);
    await history.stop();
  });
});

describe('replaced', () => {
  test('values come after all others of their batch, and the last of each alone', async () => {
    const open1 = open({ lines: 5 });
    const rows = readings(0, 10);
    const other = (by: number) => rows.slice(0, 30).map((row) => ({ ...row, value: row.value + by }));
    await open1.append([columnsOf(rows, metrics)], 1, [columnsOf(other(100), metrics), columnsOf(other(200), metrics)]);
    for (const row of rows.slice(0, 30)) expect(script.points.get(nameOf(row))).toBe(row.value + 200);
    for (const row of rows.slice(30)) expect(script.points.get(nameOf(row))).toBe(row.value);
    expect(script.writes.flatMap(({ lines }) => lines).some((line) => /=1\d\d[ ,]/.test(line))).toBe(false);
    await open1.stop();
  });

  test('refused values are returned as such', async () => {
    const bad: Bad = (device, field, ts) => device === 'd1' && field === 'fill' && ts === 2;
    const rows = readings(0, 5);
    const history = open();
    await history.append([columnsOf(rows, metrics)], 1);
    script.respond = MANNERS['InfluxDB 2 refuses the request']!(bad);
    const batches = [readings(0, 1), rows];
    const refused = await history.append(
      [],
      2,
      batches.map((batch) => columnsOf(batch, metrics)),
    );
    expect(namesOf(refused, batches)).toEqual(['replaced: bin,device=d1,district=east fill 2']);
    await history.stop();
  });
});

import { expect, test } from 'vitest';
import { formatOf, type Piece, piecesOf } from '../../../console/src/pages/devices/pieces.ts';
import { statesOf } from '../../../console/src/pages/now/states.ts';
import { linesFor } from '../../../console/src/pages/quarantine/lines.ts';
import { withCondition } from '../../../console/src/pages/rule/condition.ts';
import { undoOf } from '../../../console/src/pages/ticket/moves.ts';
import { en } from '../../../console/src/texts/en.ts';
import { REASONS, type Reason } from '../../../domain/index.ts';

test('map - a device is suspended, was never seen, is silent after three intervals, or sends', () => {
  const one = (id: string, suspended = false) => ({ id, profile: 'bin', suspended });
  const devices = [one('a'), one('b'), one('c'), one('d', true)];
  const seen = [
    { device: 'a', at: '2026-01-01T00:15:00.000Z' },
    { device: 'b', at: '2026-01-01T00:14:59.000Z' },
    { device: 'd', at: '2026-01-01T01:00:00.000Z' },
  ];
  const profiles = [{ id: 'bin', intervalMs: 900_000 }];
  const now = Date.parse('2026-01-01T01:00:00Z');
  expect([...statesOf(devices, seen, profiles, now).values()]).toEqual(['sending', 'silent', 'never', 'suspended']);
  // What is not known yet is no alarm.
  expect([...statesOf(devices, null, profiles, now).values()]).toEqual(['sending', 'sending', 'sending', 'suspended']);
});

async function cut(text: string, format: 'csv' | 'lines', bytes: number) {
  const pieces: Piece[] = [];
  for await (const piece of piecesOf(new Blob([text]), format, bytes)) pieces.push(piece);
  return Promise.all(pieces.map(async ({ body, line, end }) => [await body.text(), line, end]));
}

test('import - a file is cut behind whole lines, CSV with its header, and lines keep their numbers', async () => {
  expect(await cut('h,v\na,1\nb,2\nc,3', 'csv', 9)).toEqual([
    ['h,v\na,1\n', 1, 8],
    ['h,v\nb,2\nc,3', 2, 15],
  ]);
  expect(await cut('m a=1 1\nm a=2 2\n', 'lines', 10)).toEqual([
    ['m a=1 1\n', 1, 8],
    ['m a=2 2\n', 2, 16],
  ]);
  // A line that is longer than a piece ends nothing.
  expect((await cut('a very long line\nb\n', 'lines', 8)).map(([text]) => text).join('')).toBe('a very long line\nb\n');
  expect(['x.CSV', 'x.parquet', 'x.lp', 'x.json'].map(formatOf)).toEqual(['csv', 'parquet', 'lines', null]);
});

const entry = { path: '$[0].metrics["pm 2"]', paths: ['$[0].metrics["pm 2"]', '$[1].metrics.pm10'], device: 'd-1' };
const lines = (reason: Reason, topic = 'devices/d-1/readings') => linesFor({ ...entry, reason, topic }, 'air');

test('quarantine - the lines that would make a refusal right name its fields, its topic and the kind of device', () => {
  expect(lines('unknown-unit')).toEqual({
    file: 'profiles.yaml',
    text: 'air:\n  fields:\n    "pm 2": { metric: METRIC, unit: UNIT }\n    pm10: { metric: METRIC, unit: UNIT }\n',
  });
  expect(lines('unknown-topic', 'plants/d-1/soil')?.text).toContain('topic: plants/{device}/soil\n');
  expect(lines('malformed')).toBeNull();
});

test('quarantine - for every reason the page says what would make it right', () => {
  expect(Object.keys(REASONS).filter((reason) => !(`remedy.${reason}` in en))).toEqual([]);
});

test('rules - a suggested condition takes the place of the one that the text has, on one line or on several', () => {
  const when = '{ metric: fill, above: 9 }';
  expect(withCondition('id: a\nwhen: { metric: fill }\nfor: 1m\n', when)).toBe(`id: a\nwhen: ${when}\nfor: 1m\n`);
  const long = 'id: a\nwhen:\n  all:\n    - metric: fill\n\n      above: 3\nfor: 1m\n';
  expect(withCondition(long, when)).toBe(`id: a\nwhen: ${when}\nfor: 1m\n`);
  expect(withCondition('id: a\nwhen:\n  metric: fill', when)).toBe(`id: a\nwhen: ${when}\n`);
  expect(withCondition('id: a\n', when)).toBe(`id: a\nwhen: ${when}\n`);
});

type Ticket = Parameters<typeof undoOf>[1];
const ticket = (more: Partial<Ticket>) =>
  ({ department: 'waste', party: null, assignee: null, offer: null, severity: 'low', ...more }) as Ticket;

test('undo - takes a ticket back to whom and what it was; what cannot be taken back has none', () => {
  const before = ticket({});
  const offer = { to: 'firm', until: '2026-01-01T00:00:00.000Z' };
  expect(undoOf('assign', before, ticket({ offer }))).toEqual({ action: 'decline' });
  expect(undoOf('assign', ticket({ party: 'firm', assignee: 'Mei' }), before)).toEqual({
    ...{ action: 'assign', to: 'firm', assignee: 'Mei' },
  });
  expect(undoOf('hand-over', before, ticket({ department: 'roads' }))).toEqual({ action: 'hand-over', to: 'waste' });
  expect(undoOf('set-severity', before, ticket({}))).toEqual({ action: 'set-severity', severity: 'low' });
  expect(undoOf('resolve', before, before)).toEqual({ action: 'reopen' });
  expect(undoOf('start', before, before)).toBeNull();
});

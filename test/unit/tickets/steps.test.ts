import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { DAY_MS, isoOf } from '../../../domain/index.ts';
import { createSilenceStore, type Silence, TICKET_SCHEMA } from '../../../tickets/index.ts';
import { createMove } from '../../../tickets/steps.ts';

const NOW = Date.UTC(2027, 0, 4, 9, 30, 0, 123);

test('clock - what was promised in durations moves by exact milliseconds, and comes back; planned silences stay', () => {
  const db = new DatabaseSync(':memory:');
  for (const step of TICKET_SCHEMA.steps) {
    if (typeof step === 'string') db.exec(step);
    else step(db);
  }
  const silences = createSilenceStore(db);
  const silence = (id: string, fromMs: number): Silence => {
    const times = { startsAt: isoOf(fromMs), endsAt: isoOf(fromMs + 7_001), createdAt: isoOf(NOW + 1) };
    return { id, ...times, matchers: { device: ['a'] }, calendar: null, comment: '', author: 'admin' };
  };
  silences.add(silence('now', NOW));
  silences.add(silence('planned', NOW + DAY_MS));
  db.exec(`
    insert into ticket_due values ('t', 'overdue', 1, ${NOW}, 'resolve', null);
    insert into ticket_waits (rule, "group", reason, cause, since_ms, due_ms, labels, opening) values ('r', 'g', 'gathering', 'c', ${NOW}, ${NOW + 5}, '{}', '{}');
    insert into tickets (id, version, origin, status, title, title_zh, service, department, district, severity,
      opened_at, updated_at, due_at, offer_until) values
      ('t', 1, 'operator', 'open', '', '', 's', 'd', 'x', 'low', '${isoOf(NOW)}', '${isoOf(NOW)}', '${isoOf(NOW)}', '${isoOf(NOW + 1)}'),
      ('c', 1, 'operator', 'closed', '', '', 's', 'd', 'x', 'low', '${isoOf(NOW)}', '${isoOf(NOW)}', '${isoOf(NOW)}', null);`);
  const shown = () => ({
    due: db.prepare('select at_ms from ticket_due').get()!.at_ms,
    waits: Object.values(db.prepare('select since_ms, due_ms from ticket_waits').get()!),
    tickets: db.prepare('select due_at, offer_until, acknowledge_by from tickets order by id').all().map(Object.values),
    silences: ['now', 'planned'].map((id) => [silences.get(id)!.startsAt, silences.get(id)!.endsAt]),
  });
  const before = shown();
  const move = createMove(db);
  move(8 * DAY_MS + 1);
  const at = (ms: number) => isoOf(ms + 8 * DAY_MS + 1);
  expect(shown()).toEqual({
    due: NOW + 8 * DAY_MS + 1,
    waits: [NOW + 8 * DAY_MS + 1, NOW + 8 * DAY_MS + 6],
    tickets: [
      [isoOf(NOW), null, null],
      [at(NOW), at(NOW + 1), null],
    ],
    silences: [
      [at(NOW), at(NOW + 7_001)],
      [isoOf(NOW + DAY_MS), isoOf(NOW + DAY_MS + 7_001)],
    ],
  });
  move(-8 * DAY_MS - 1);
  expect(shown()).toEqual(before);
  move(26_000 * DAY_MS);
  move(-26_000 * DAY_MS);
  expect(shown()).toEqual(before);
  db.close();
});

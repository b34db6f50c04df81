import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { expect, test } from 'vitest';
import { remakeState } from '../../../../app/verify.ts';
import { HOUR_MS, isoOf } from '../../../../domain/index.ts';
import { JournalStore } from '../../../../journal/index.ts';
import { createTicketReader } from '../../../../tickets/index.ts';
import { cityControl, type Entry, native, parseOnce, testClock, testDir, write } from '../../../kit/ingest/intake.ts';

const T0 = Date.UTC(2026, 0, 1);
const RULE = { id: 'full', title: 'full', when: { metric: 'a', last: true, above: 50 }, severity: 'low' };

/** Returns the only ticket that a journal leads to. */
function ticketAfter(entries: readonly Entry[]) {
  const dir = testDir();
  const path = join(dir, 'journal.sqlite');
  const journal = new JournalStore(path).open();
  for (const entry of entries) write(journal, entry);
  journal.close();
  remakeState(path, dir, { clock: testClock(), log: pino({ level: 'silent' }), parse: parseOnce });
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  const [ticket] = createTicketReader(db).list({ limit: 9 }).items;
  db.close();
  rmSync(dir, { recursive: true });
  return ticket!;
}

const reading = (atMs: number, a: number): Entry => ({
  ...{ kind: 'messages', atMs, messages: [native('d1', { ts: atMs, metrics: { a } }, atMs)] },
});

test('a start - what came due while the server was down is done before what a device sends as soon as it is up', () => {
  const upMs = T0 + 3 * HOUR_MS;
  const { history } = ticketAfter([
    {
      kind: 'city',
      atMs: T0,
      body: cityControl({ rules: [{ ...RULE, ticket: { service: 'repair' } } as typeof RULE] }),
    },
    {
      kind: 'devices',
      atMs: T0,
      body: { version: 1, registered: [{ id: 'd1', profile: 'bin', district: 'east' }], revoked: [] },
    },
    reading(T0, 80),
    { kind: 'tick', atMs: T0 + 1_000, body: {} },
    { kind: 'start', atMs: upMs, body: {} },
    reading(upMs + 300, 10),
    { kind: 'tick', atMs: upMs + 1_000, body: {} },
  ]);
  expect(history.map(({ action, at }) => [action, at])).toEqual([
    ['opened', isoOf(T0)],
    ['escalated', isoOf(T0 + HOUR_MS)],
    ['resolved', isoOf(upMs + 300)],
  ]);
});

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { expect, test } from 'vitest';
import { Replica } from '../../../app/replica.ts';
import { readCityFolder } from '../../../city-model/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { createLedgerReader } from '../../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
import { queried } from '../../kit/history/read.ts';
import { parseOnce, testClock, testDir, write } from '../../kit/ingest/intake.ts';
import { type PinnedReading, type PinnedResults, pinnedResults } from '../../kit/pinned/results.ts';
import { PINNED_DEVICES, pinnedStream } from '../../kit/pinned/stream.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/city-ddd2af0', import.meta.url));

/** What this version makes of the stream, by the code of the engine's thread. */
async function resultsOf(folder: string): Promise<PinnedResults> {
  const dir = testDir();
  const journal = join(dir, 'journal.sqlite');
  const blocks = [...pinnedStream()];
  const { atMs: startMs } = blocks[0]!;
  const store = new JournalStore(journal).open();
  write(store, { kind: 'city', atMs: startMs, body: await readCityFolder(folder) });
  write(store, { kind: 'devices', atMs: startMs, body: { version: 1, registered: PINNED_DEVICES, revoked: [] } });
  for (const { atMs, messages } of blocks)
    write(store, messages.length > 0 ? { kind: 'messages', atMs, messages } : { kind: 'tick', atMs, body: {} });
  store.close();
  const log = pino({ level: 'silent' });
  const replica = new Replica({ dir, journal }, { clock: testClock(startMs), log, parse: parseOnce }).start();
  const history = createDuckdbHistory({
    path: join(dir, 'history.duckdb'),
    metrics: replica.metrics,
    unitOf: () => '',
  });
  await history.start();
  await replica.follow(history);
  const series = await queried(history, { fromMs: 0, toMs: Date.UTC(2100, 0), fn: 'mean', maxPoints: 1_000_000 });
  await history.stop();
  replica.close();
  const rows = series.flatMap(({ device, metric, points }) =>
    points.map(([ts, value]): PinnedReading => [device, metric, ts, value!]),
  );
  const db = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true });
  const reader = new JournalReader(journal).open();
  const found = pinnedResults(db, rows, createLedgerReader(db, reader).read()!);
  for (const one of [db, reader]) one.close();
  rmSync(dir, { recursive: true });
  return found;
}

/**
 * `results.json` is what commit ddd2af0 made of its own city folder and of this stream: its intake, rules, tickets and
 * history over a journal with the same blocks, and its look at what is due at each second.
 */
test('pinned - a city folder of 2026-11-28 gives the same readings, alerts and tickets, bit for bit', async () => {
  const wanted = JSON.parse(readFileSync(join(FIXTURE, 'results.json'), 'utf8')) as PinnedResults;
  const found = await resultsOf(FIXTURE);
  expect(found.ledger).toEqual(wanted.ledger);
  expect(found.readings).toEqual(wanted.readings);
  expect(found.alerts).toEqual(wanted.alerts);
  expect(found.tickets).toEqual(wanted.tickets.map(raised));
});

/** Since then a ticket has the highest severity of its alerts (ADR 35): here, of one that joins. */
function raised(ticket: PinnedResults['tickets'][number]): PinnedResults['tickets'][number] {
  if (ticket.group !== 'gauge-1' || ticket.rule !== 'water-warning') return ticket;
  const entry =
    '2026-03-03T01:00:00.000Z rule:flood-district open open ' +
    'escalated from medium to critical: flood-district fires for riverside: 2 devices match (alert from 2)';
  const history = ticket.history.toSpliced(5, 0, entry);
  return { ...ticket, severity: 'critical', history };
}

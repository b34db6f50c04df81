import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { listedTables } from '../kit/tables.ts';
import { DAYS_OF_MONTH, Year } from '../kit/year.ts';

/** It checks no signature: their time is that of the year, which is not now. */
const receiver = createServer((request, response) => request.resume().once('end', () => response.end('taken')));
afterAll(() => receiver.close().closeAllConnections());

/** What is full later than in the third month. */
const MOST_ROWS: Readonly<Record<string, number>> = {
  // Those of the last days, by how far the trimming was when the month ended; a year has thousands.
  'journal.sqlite blocks': 50,
  'state.sqlite seen_hours': 336,
  // Two hundred stay, and old ones go by 256.
  'state.sqlite outbox': 456,
  // Rows become a chunk at 4 MiB.
  'state.sqlite seen': 2_000,
  // The newest that have ended stay.
  'state.sqlite registry_keys': 1_000,
};
const FILES = ['journal.sqlite', 'state.sqlite', 'deliveries.sqlite', 'reporters.sqlite'];

test('in a year of small days nothing grows but records', async () => {
  await once(receiver.listen(0, '127.0.0.1'), 'listening');
  const year = new Year(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}`);
  const months = [];
  for (let month = 1; month <= 12; month++) {
    await year.start();
    for (let i = 0; i < DAYS_OF_MONTH; i++) await year.day((month - 1) * DAYS_OF_MONTH + i);
    await year.stop();
    months.push({ tables: year.sizes(FILES), history: year.fileSize('history.duckdb') });
  }
  const [third, last] = [months[2]!, months[11]!];
  const rowsOf = (name: string) => last.tables.get(`state.sqlite ${name}`)!.rows;
  // It did live: two tickets a day with all that was done to them, silences, refusals.
  expect([rowsOf('tickets'), rowsOf('ticket_changes') >= 720, rowsOf('silences') > 1_000]).toEqual([240, true, true]);
  expect(rowsOf('quarantine')).toBeGreaterThan(50);
  const records = new Set(
    listedTables().flatMap(({ file, table, isRecord }) => (isRecord ? [`${file} ${table}`] : [])),
  );
  const grown = [...last.tables].flatMap(([name, { rows, bytes }]) => {
    const before = third.tables.get(name)!;
    if (rows <= (MOST_ROWS[name] ?? 0)) return [];
    const grows = rows > before.rows * 1.2 + 5 || bytes > before.bytes * 1.2 + 16_384;
    return grows && !records.has(name)
      ? [`${name}: ${before.rows} to ${rows} rows, ${before.bytes} to ${bytes} bytes`]
      : [];
  });
  expect(grown).toEqual([]);
  // What the page says of one ticket, with its history and all indexes.
  const [tickets, ...parts] = ['tickets', 'ticket_changes', 'ticket_alerts'].map(
    (name) => last.tables.get(`state.sqlite ${name}`)!,
  );
  expect(parts.reduce((sum, { bytes }) => sum + bytes, tickets!.bytes) / tickets!.rows).toBeLessThan(3_000);
  // DuckDB writes into free blocks; its file alternates between two sizes.
  expect(last.history).toBeLessThan(Math.max(...months.slice(0, 3).map(({ history }) => history)) * 1.5);
});

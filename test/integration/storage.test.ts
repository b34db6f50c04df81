import { expect, test } from 'vitest';
import { ServerProcess } from '../kit/server.ts';
import { listedTables, tablesIn } from '../kit/tables.ts';

/** In every SQLite file; the page lists it once. */
const EVERYWHERE = 'schema_versions';

test('docs/storage.md lists every table of every file of a data folder, and no other', async () => {
  const server = new ServerProcess();
  await server.start();
  await server.stop();
  const real = [...(await tablesIn(server.data))].map(([file, tables]) => [
    file,
    tables.filter((table) => table !== EVERYWHERE),
  ]);
  const listed = Map.groupBy(listedTables(), ({ file }) => file);
  const shown = [...listed].map(([file, tables]) => [file, tables.map(({ table }) => table).sort()]);
  expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(real));
});

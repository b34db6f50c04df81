import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { heldOut, heldOutTable, labelled, labelledTable } from '../../bench/labelled.ts';

const DOC = readFileSync(fileURLToPath(new URL('../../../docs/rule-engine.md', import.meta.url)), 'utf8').split('\n');

test('labelled data - what `jump` and `anomaly` find in it is what docs/rule-engine.md says', async () => {
  const rows = `${labelledTable(await labelled())}\n${heldOutTable(await heldOut())}`
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'));
  expect(rows.length).toBeGreaterThan(48);
  expect(rows.filter((row) => !DOC.includes(row))).toEqual([]);
});

import { mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ASIDE, setAsideDamaged } from '../../../app/set-aside.ts';

test.each(ASIDE.map(({ file }) => file))('set aside - a folder in the place of %s keeps no start out', (file) => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-aside-'));
  mkdirSync(join(dir, file));
  const lines: string[] = [];
  const [moved] = setAsideDamaged(dir, Date.UTC(2026, 10, 30), { error: (_of: object, line = '') => lines.push(line) });
  expect(moved).toMatchObject({ file, why: 'it is no file' });
  expect(statSync(moved!.aside).isDirectory()).toBe(true);
  expect(readdirSync(dir)).toEqual([`${file}.damaged-2026-11-30T00-00-00Z`]);
  expect(lines).toHaveLength(1);
});

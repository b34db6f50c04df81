import { existsSync, mkdirSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ASIDE, SECRETS_KEY, setAsideDamaged } from '../../../app/set-aside.ts';
import { readKeyFile } from '../../../notify/index.ts';

test.each([...ASIDE, SECRETS_KEY].map(({ file }) => file))(
  'set aside - a folder in the place of %s keeps no start out',
  (file) => {
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-aside-'));
    mkdirSync(join(dir, file));
    const lines: string[] = [];
    const [moved] = setAsideDamaged(dir, Date.UTC(2026, 10, 30), {
      error: (_of: object, line = '') => lines.push(line),
    });
    expect(moved).toMatchObject({ file, why: 'it is no file' });
    expect(statSync(moved!.aside).isDirectory()).toBe(true);
    expect(readdirSync(dir)).toEqual([`${file}.damaged-2026-11-30T00-00-00Z`]);
    expect(lines).toHaveLength(1);
  },
);

test('set aside - a key file without a key keeps no start out, one with a key stays', () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-aside-'));
  const path = join(dir, SECRETS_KEY.file);
  const aside = () => setAsideDamaged(dir, 0, { error() {} });
  const key = readKeyFile(path);
  expect(aside()).toEqual([]);
  expect(readKeyFile(path)).toBe(key);
  writeFileSync(path, key.slice(0, 9));
  expect(aside()).toMatchObject([{ file: 'secrets.key', why: 'it holds no key' }]);
  expect(existsSync(path)).toBe(false);
  expect(readKeyFile(path)).not.toBe(key);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { lockFolder, ownerOf } from '../../../store/index.ts';

test('a data folder has one owner - the second one gets a sentence with its process, and the folder once it is released', () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-lock-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  expect(ownerOf(dir)).toBeNull();
  const lock = lockFolder(dir, 0);
  const inUse = `${dir} is in use by another Lamppost (process ${process.pid} on `;
  expect(() => lockFolder(dir, 0)).toThrow(inUse);
  expect(ownerOf(dir)).toContain(inUse);
  lock.release();
  lock.release();
  expect(ownerOf(dir)).toBeNull();
  lockFolder(dir, 0).release();
});

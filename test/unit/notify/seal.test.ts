import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSealer, readKeyFile } from '../../../notify/index.ts';

const KEY = 'a key of these tests that is long enough';
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-seal-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('seal - what is sealed shows nothing of the text, is another each time, and opens with the same key only', () => {
  const text = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw 临江';
  const { seal } = createSealer(KEY);
  const sealed = [seal(text), seal(text)];
  expect(new Set(sealed).size).toBe(2);
  for (const one of sealed) {
    expect(one).not.toContain('whsec');
    expect(Buffer.from(one.slice(3), 'base64').includes('whsec')).toBe(false);
    expect(createSealer(KEY).open(one)).toBe(text);
    expect(() => createSealer(`${KEY}.`).open(one)).toThrow('sealed with another key');
  }
});

test('seal - a changed bit anywhere is found', () => {
  const { seal, open } = createSealer(KEY);
  const bytes = Buffer.from(seal('secret').slice(3), 'base64');
  for (let i = 0; i < bytes.length; i++) {
    const other = Buffer.from(bytes);
    other[i]! ^= 1;
    expect(() => open(`v1.${other.toString('base64')}`), `byte ${i}`).toThrow('sealed with another key');
  }
  for (const torn of ['', 'v1.', 'v1.AAAA']) expect(() => open(torn)).toThrow('sealed with another key');
});

test('seal - a key file is made once, is of its owner alone, and is refused where it holds no key', () => {
  const path = join(dir, 'secrets.key');
  const key = readKeyFile(path);
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(readKeyFile(path)).toBe(key);
  if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(path, '');
  expect(() => readKeyFile(path)).toThrow('secrets.key holds no key: restore it from a backup');
});

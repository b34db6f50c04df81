import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const LEFT_OUT = ['.git', 'node_modules', 'test', 'docs'];

/**
 * Copies this Lamppost as its next release, which reads records of version 2; returns its program. Throws where the
 * line that says which versions are read is not found.
 */
export function nextRelease(): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-next-'));
  cpSync(ROOT, dir, { recursive: true, filter: (path) => !LEFT_OUT.includes(relative(ROOT, path)) });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  const wire = join(dir, 'journal', 'stream', 'wire.ts');
  const before = readFileSync(wire, 'utf8');
  const after = before.replace('const NEWEST_VERSION = 1;', 'const NEWEST_VERSION = 2;');
  if (after === before) throw new Error(`${wire} does not say which versions it reads`);
  writeFileSync(wire, after);
  return join(dir, 'bin', 'lamppost.js');
}

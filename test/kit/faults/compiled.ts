import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('.', import.meta.url));
let folder: string | null = null;

/** Compiles a C file of this folder, once a process, and returns the path of the result. Throws where gcc does. */
export function compiled(source: string, options: readonly string[] = []): string {
  folder ??= mkdtempSync(join(tmpdir(), 'lamppost-c-'));
  const to = join(folder, source.replace(/\.c$/, ''));
  if (!existsSync(to)) execFileSync('gcc', ['-O2', ...options, '-o', to, join(SOURCES, source)], { stdio: 'pipe' });
  return to;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const BIN = join(ROOT, 'bin/lamppost.js');
export const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-commands-'));

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts a command in an empty folder, with only the given settings. It is killed at the end of the test. */
export function launch(
  args: readonly string[],
  env: Record<string, string> = {},
  node = process.execPath,
): ChildProcess {
  const child = spawn(node, [BIN, ...args], { cwd: newDir(), env: { PATH: process.env.PATH, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Runs a command to its end and returns its exit code and output. */
export async function lamppost(args: readonly string[], env: Record<string, string> = {}, node?: string): Promise<Ran> {
  const child = launch(args, env, node);
  let out = '';
  let err = '';
  child.stdout!.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    err += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** Expects messages on standard error, and no stack trace. */
export function expectPlain({ err }: Ran, ...says: readonly (string | RegExp)[]): void {
  for (const one of says) expect(err).toMatch(one);
  expect(err).not.toMatch(/^\s+at |node:internal/m);
}

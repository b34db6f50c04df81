import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LamppostError } from '../domain/index.ts';

/** Where a person signed in from the command line, and with which key. */
export interface Login {
  readonly url: string;
  readonly key: string;
}

/** The file of the saved login (XDG Base Directory Specification); null where the environment names no home. */
export function pathOfLogin({ XDG_CONFIG_HOME: config, HOME: home }: NodeJS.ProcessEnv): string | null {
  if (config) return join(config, 'lamppost/login.json');
  return home ? join(home, '.config/lamppost/login.json') : null;
}

/** Returns the saved login; null: there is none. Throws `config` where others may read it, or it is no login. */
export function readLogin(environment: NodeJS.ProcessEnv): Login | null {
  const path = pathOfLogin(environment);
  const found = path === null ? undefined : statOf(path);
  if (path === null || found === undefined) return null;
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0)
    throw new LamppostError('config', `others may read the saved login: chmod 600 ${path}`);
  try {
    const { url, key } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Login>;
    if (typeof url === 'string' && typeof key === 'string') return { url, key };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  throw new LamppostError('config', `${path} is not a saved login: run lamppost login again`);
}

/** A home that is no folder, or another user's, has no login of ours. */
function statOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (['ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Forgets the saved login. Returns whether there was one. */
export function forgetLogin(environment: NodeJS.ProcessEnv): boolean {
  const path = pathOfLogin(environment);
  if (path === null || statSync(path, { throwIfNoEntry: false }) === undefined) return false;
  rmSync(path);
  return true;
}

import { renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { LamppostError } from '../domain/index.ts';
import { makeFolder } from '../store/index.ts';
import { Client, givenKey, urlOf } from './client.ts';
import type { LOGIN } from './flags.ts';
import { forgetLogin, type Login, pathOfLogin } from './login.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

interface Me {
  readonly id: string;
  readonly name?: string;
  readonly role?: string | null;
}

/** `login`: checks a key against a server and keeps both for later commands. */
export async function login({ flags }: Given<typeof LOGIN>, environment: NodeJS.ProcessEnv): Promise<number> {
  const url = urlOf(flags, environment);
  const { key, from } = givenKey(flags, environment) ?? { key: await askForKey(url), from: 'standard input' };
  if (key === '') throw new LamppostError('config', 'login: write --key, or the key on standard input');
  const me = await new Client(url, key, from).json<Me>('GET', '/auth/me');
  const file = saveLogin({ url, key }, environment);
  print(flags.json, { url, file, ...me }, () => [`signed in at ${url} as ${me.name ?? me.id}; kept in ${file}`]);
  return 0;
}

/** `logout`: forgets the saved login. The key stays valid until it is revoked. */
export async function logout(environment: NodeJS.ProcessEnv): Promise<number> {
  console.log(forgetLogin(environment) ? 'the saved login is forgotten; its key stays valid' : 'no login was saved');
  return 0;
}

/** Saves a login for its owner only and returns the path of the file. */
function saveLogin(login: Login, environment: NodeJS.ProcessEnv): string {
  const path = pathOfLogin(environment);
  if (path === null) throw new LamppostError('config', 'login: set HOME or XDG_CONFIG_HOME, where the login is kept');
  makeFolder(dirname(path), 'login', 'HOME or XDG_CONFIG_HOME');
  const made = `${path}.${process.pid}`;
  writeFileSync(made, `${JSON.stringify(login)}\n`, { mode: 0o600 });
  renameSync(made, path);
  return path;
}

/** Reads one line of standard input; a terminal does not show what is typed. */
async function askForKey(url: string): Promise<string> {
  const { isTTY } = process.stdin;
  if (isTTY) process.stderr.write(`key for ${url}: `);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: isTTY === true });
  try {
    const { value } = await lines[Symbol.asyncIterator]().next();
    return typeof value === 'string' ? value.trim() : '';
  } finally {
    lines.close();
    if (isTTY) process.stderr.write('\n');
  }
}

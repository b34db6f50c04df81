import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LamppostError } from '../domain/index.ts';
import { clientOf, SERVER_FLAGS } from './client.ts';

/** `device …` and `key …`: calls the API of a running server and prints its response. A new secret is in it this one time. */
export async function manage(
  noun: 'device' | 'key',
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      ...SERVER_FLAGS,
      profile: { type: 'string' },
      district: { type: 'string' },
      name: { type: 'string' },
      role: { type: 'string' },
      department: { type: 'string' },
    },
  });
  const [verb, subject] = positionals;
  if (verb === undefined || subject === undefined)
    throw new LamppostError('config', `${noun}: write an action and an id; see lamppost help`);
  const { method, path, body } = await requestOf(`${noun} ${verb}`, subject, values);
  console.log((await clientOf(values, environment).text(method, `/api/v1/${noun}s${path}`, body)) || 'done');
  return 0;
}

async function requestOf(
  command: string,
  subject: string,
  { profile, district, name, role, department }: Readonly<Record<string, string | undefined>>,
): Promise<{ method: string; path: string; body?: unknown }> {
  const one = `/${encodeURIComponent(subject)}`;
  switch (command) {
    case 'device add':
      return { method: 'POST', path: '', body: { id: subject, profile, district, name } };
    case 'device import':
      return { method: 'POST', path: '', body: await readJson(subject) };
    case 'device rotate':
      return { method: 'POST', path: `${one}/rotate` };
    case 'device revoke':
    case 'key revoke':
      return { method: 'DELETE', path: one };
    case 'key add':
      return { method: 'POST', path: '', body: { name: subject, role, department: department ?? null } };
    default:
      throw new LamppostError('config', `there is no command "${command}"; see lamppost help`);
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new LamppostError('config', `${file}: ${(cause as Error).message}`, { cause });
  }
}

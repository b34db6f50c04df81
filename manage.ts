import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LamppostError } from './domain/index.ts';

/** `device …` and `key …`: the API of a running server from the command line. Prints what the server answers, secrets included, once. */
export async function manage(noun: 'device' | 'key', argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:8080' },
      key: { type: 'string', default: process.env.LAMPPOST_ADMIN_KEY ?? '' },
      profile: { type: 'string' },
      district: { type: 'string' },
      name: { type: 'string' },
      role: { type: 'string' },
      department: { type: 'string' },
    },
  });
  const [verb, subject] = positionals;
  if (verb === undefined || subject === undefined)
    throw new LamppostError('config', `${noun}: say what, and to which one; see lamppost help`);
  const { url, key, ...fields } = values;
  const path = `/api/v1/${noun}s`;
  const request = await requestOf(`${noun} ${verb}`, subject, fields);
  const response = await fetch(`${url}${path}${request.path}`, {
    method: request.method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  });
  const answer = await response.text();
  if (response.ok) console.log(answer || 'done');
  else console.error((JSON.parse(answer) as { detail: string }).detail);
  return response.ok ? 0 : 1;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

async function requestOf(
  command: string,
  subject: string,
  fields: Record<string, string | undefined>,
): Promise<Request> {
  const { profile, district, name, role, department } = fields;
  const one = `/${encodeURIComponent(subject)}`;
  switch (command) {
    case 'device add':
      return { method: 'POST', path: '', body: { id: subject, profile, district, name } };
    case 'device import':
      return { method: 'POST', path: '', body: JSON.parse(await readFile(subject, 'utf8')) };
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

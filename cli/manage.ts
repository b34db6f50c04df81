import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LamppostError } from '../domain/index.ts';

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
  const { ok, text } = await askServer(url, `${path}${request.path}`, {
    method: request.method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  });
  if (ok) console.log(text || 'done');
  else console.error(text);
  return ok ? 0 : 1;
}

/** What a running server answers, or the one sentence that says why not. Throws `busy` where none answers, `config` where `url` is no address. */
export async function askServer(url: string, path: string, init: RequestInit): Promise<{ ok: boolean; text: string }> {
  const response = await ask(url, path, init);
  const answer = await response.text();
  if (response.ok) return { ok: true, text: answer };
  return { ok: false, text: detailOf(answer) ?? `${url} answers ${response.status}: ${answer.slice(0, 200)}` };
}

async function ask(url: string, path: string, init: RequestInit): Promise<Response> {
  if (!URL.canParse(url)) throw new LamppostError('config', `--url: "${url}" is no address; write http://host:8080`);
  try {
    return await fetch(`${url}${path}`, init);
  } catch (error) {
    const { cause, message } = error as Error & { cause?: Error };
    throw new LamppostError('busy', `no server answers at ${url}: ${cause?.message || message}`, { cause: error });
  }
}

/** The sentence of a problem (RFC 9457); undefined where the answer is something else. */
function detailOf(answer: string): string | undefined {
  try {
    return (JSON.parse(answer) as { detail?: string }).detail;
  } catch {
    return undefined;
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new LamppostError('config', `${file}: ${(cause as Error).message}`, { cause });
  }
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

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Examination, examine, loadCity, readConfig } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { Client } from './client.ts';

/**
 * `doctor`: checks settings, city folder and server, each on its own, and prints everything that is wrong. Returns the
 * exit code: 2 where the settings have mistakes, 1 where something else is wrong.
 */
export async function doctor(
  { URL: url, ...flags }: Record<string, string>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const given = { ...environment, ...flags };
  const settings = await check(() => {
    readConfig(environment, flags);
    return 'settings: well';
  });
  const city = await check(() => describeCity(given.LAMPPOST_CITY ?? './city'));
  const server = await check(() => describeServer(url ?? `http://127.0.0.1:${given.HTTP_PORT ?? 8080}`));
  if (!settings) return 2;
  return city && server ? 0 : 1;
}

/**
 * `doctor --deep`: reads every file of a data folder or a backup. Returns 0 where nothing is wrong, 1 where something is.
 */
export async function deepDoctor(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const options = { deep: { type: 'boolean' }, json: { type: 'boolean' }, data: { type: 'string' } } as const;
  const { values } = parseArgs({ args: [...argv], options });
  const dir = resolve(values.data ?? environment.LAMPPOST_DATA ?? './data');
  if (!existsSync(dir)) throw new LamppostError('config', `--data: there is no folder ${dir}`);
  const found = await examine(dir, (line) => console.error(line));
  if (values.json) console.log(JSON.stringify(found, null, 2));
  else for (const line of report(found)) console.log(line);
  return found.findings.length === 0 ? 0 : 1;
}

function report({ dir, kind, inUse, read, findings }: Examination): string[] {
  const found = findings.map(({ file, problem, todo }) => `${file}: ${problem}\n  ${todo}`);
  const end = findings.length === 0 ? `nothing is wrong in ${read.join(', ')}` : `${findings.length} findings`;
  return [`${dir}: a ${kind}`, ...(inUse === null ? [] : [inUse]), ...found, end];
}

/** Prints the result of a check; returns false where it found a mistake. */
async function check(describe: () => string | Promise<string>): Promise<boolean> {
  try {
    console.log(await describe());
    return true;
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    console.log(error.message);
    return false;
  }
}

async function describeCity(folder: string): Promise<string> {
  const { city, rules } = await loadCity(folder);
  return `city: ${city.name.en}, ${city.districts.size} districts, ${city.profiles.size} profiles, ${rules.length} rules, no mistakes`;
}

async function describeServer(url: string): Promise<string> {
  const response = await new Client(url, '').send('GET', '/ready');
  const { ready, reasons } = (await response.json().catch((cause: unknown) => {
    throw new LamppostError('busy', `server: ${url}/ready does not respond as Lamppost does`, { cause });
  })) as { ready: boolean; reasons: string[] };
  if (!ready) throw new LamppostError('busy', `server: not ready: ${reasons.join('; ')}`);
  return 'server: ready';
}

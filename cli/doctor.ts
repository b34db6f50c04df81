import { loadCity, readConfig } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { Client } from './client.ts';

/**
 * `doctor`: checks settings, city folder and server, each on its own, and prints everything that is wrong. Returns the exit
 * code: 2 where the settings have mistakes, 1 where something else is wrong.
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

import { loadCity, readConfig } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';

/**
 * `doctor`: looks at settings, city folder and server, each for itself, and tells all that is wrong. Answers the exit
 * code: 2 where the settings have mistakes, 1 where something else is not as it should be.
 */
export async function doctor({ URL: url, ...flags }: Record<string, string>): Promise<number> {
  const given = { ...process.env, ...flags };
  const settings = await told(() => {
    readConfig(process.env, flags);
    return 'settings: well';
  });
  const city = await told(() => describeCity(given.LAMPPOST_CITY ?? './city'));
  const server = await told(() => askServer(url ?? `http://127.0.0.1:${given.HTTP_PORT ?? 8080}`));
  if (!settings) return 2;
  return city && server ? 0 : 1;
}

/** Prints what a look found; false where it found a fault. */
async function told(look: () => string | Promise<string>): Promise<boolean> {
  try {
    console.log(await look());
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

async function askServer(url: string): Promise<string> {
  const answer = await fetch(`${url}/ready`)
    .then(async (response) => (await response.json()) as { ready: boolean; reasons: string[] })
    .catch((cause: unknown) => {
      throw new LamppostError('busy', `server: nothing answers at ${url}/ready`, { cause });
    });
  if (!answer.ready) throw new LamppostError('busy', `server: not ready: ${answer.reasons.join('; ')}`);
  return 'server: ready';
}

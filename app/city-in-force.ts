import { formatProblems, parseCity, readCityFolder } from '../city-model/index.ts';
import { type City, type CityControl, LamppostError, type Rule } from '../domain/index.ts';
import { parseRules } from '../rules/index.ts';

/** A city folder as it was read: its files, what they describe, and its rules. */
export interface LoadedCity {
  readonly control: CityControl;
  readonly city: City;
  readonly rules: readonly Rule[];
}

/** The city that is in force, until its folder is read again. */
export interface CityInForce {
  current(): LoadedCity;
  /** Reads the folder again. Throws `city` with every mistake and leaves the old city in force. */
  reload(): Promise<{ changed: boolean; version: string }>;
}

/** Reads the city folder and checks all of it. Throws `city` with a line for every problem. */
export async function loadCity(folder: string): Promise<LoadedCity> {
  const control = await readCityFolder(folder);
  const { city, problems } = parseCity(control);
  const found = city === null ? { rules: [], problems } : parseRules(control, city);
  if (city === null || found.problems.length > 0) {
    throw new LamppostError('city', `the city folder ${folder} has mistakes:\n${formatProblems(found.problems)}`);
  }
  return { control, city, rules: found.rules };
}

/**
 * Holds a city. `apply` puts a change into the journal, so that a replay meets it at the same place, and passes it to
 * those who need it at once.
 */
export function createCityInForce(
  folder: string,
  first: LoadedCity,
  apply: (next: LoadedCity) => Promise<void>,
): CityInForce {
  let current = first;
  let last: Promise<unknown> = Promise.resolve();

  async function reload(): Promise<{ changed: boolean; version: string }> {
    const next = await loadCity(folder);
    const changed = next.control.version !== current.control.version;
    if (changed) await apply(next);
    current = next;
    return { changed, version: next.control.version };
  }

  return {
    current: () => current,
    reload() {
      const mine = last.then(reload);
      // One reload at a time; mistakes in the folder are the caller's alone.
      last = mine.catch(() => {});
      return mine;
    },
  };
}

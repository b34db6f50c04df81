import type { Caller } from '../actions/index.ts';
import { formatProblems, movedStates, parseCity, readCityFolder } from '../city-model/index.ts';
import { type City, type CityControl, type CityProblem, LamppostError, type Rule } from '../domain/index.ts';
import { compileFormats, type DeclaredFormats } from '../ingest/index.ts';
import { parseRules } from '../rules/index.ts';

/** A city folder as it was read: its files, what they describe, and its rules. */
export interface LoadedCity {
  readonly control: CityControl;
  readonly city: City;
  readonly rules: readonly Rule[];
  /** Rules that can never decide, with what would work. */
  readonly warnings: readonly CityProblem[];
  readonly formats: DeclaredFormats;
}

/** The city that is in force, until its folder is read again. */
export interface CityInForce {
  current(): LoadedCity;
  /**
   * Reads the folder again. Throws `city` with every mistake and leaves the old city in force. `caller`: who asks for it;
   * null: the machine's operator.
   */
  reload(caller: Caller | null): Promise<Reloaded>;
}

/** Reads the city folder and checks all of it. Throws `city` with a line for every problem. */
export async function loadCity(folder: string): Promise<LoadedCity> {
  const control = await readCityFolder(folder);
  const { city, problems } = parseCity(control);
  const found = city === null ? { rules: [], problems, warnings: [] } : parseRules(control, city);
  if (city === null || found.problems.length > 0) {
    throw new LamppostError('city', `the city folder ${folder} has mistakes:\n${formatProblems(found.problems)}`);
  }
  return { control, city, rules: found.rules, warnings: found.warnings, formats: compileFormats(city) };
}

/** Throws `city` where stored readings of states would mean another value than they did. */
export function refuseMovedStates(before: Pick<City, 'metrics'>, after: Pick<City, 'metrics'>): void {
  const moved = movedStates(before, after);
  if (moved.length > 0) throw new LamppostError('city', moved.join('\n'));
}

/** What a reload led to. */
interface Reloaded {
  readonly changed: boolean;
  readonly version: string;
}

/** How a city is brought into force. */
export interface CityActions {
  /** Puts a change into the journal, and passes it to those who need it at once. */
  change(next: LoadedCity, caller: Caller | null): Promise<void>;
  /** Notes who asked for a city that is in force already. */
  keep(version: string, caller: Caller): Promise<unknown>;
  /** The version that a request with this `Idempotency-Key` led to; null where there was none. */
  repeated(caller: Caller): string | null;
}

/** Holds a city. */
export function createCityInForce(folder: string, first: LoadedCity, actions: CityActions): CityInForce {
  let current = first;
  let last: Promise<unknown> = Promise.resolve();

  async function reload(caller: Caller | null): Promise<Reloaded> {
    const before = caller === null ? null : actions.repeated(caller);
    if (before !== null) return (await actions.keep(before, caller!)) as Reloaded;
    const next = await loadCity(folder);
    refuseMovedStates(current.city, next.city);
    const { version } = next.control;
    const changed = version !== current.control.version;
    if (changed) await actions.change(next, caller);
    else if (caller !== null) await actions.keep(version, caller);
    current = next;
    return { changed, version };
  }

  return {
    current: () => current,
    reload(caller) {
      const mine = last.then(() => reload(caller));
      // One reload at a time; mistakes in the folder are the caller's alone.
      last = mine.catch(() => {});
      return mine;
    },
  };
}

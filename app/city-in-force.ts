import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Caller } from '../actions/index.ts';
import { formatProblems, movedStates, parseCity, readCityFolder } from '../city-model/index.ts';
import { type City, type CityControl, type CityProblem, LamppostError, type Rule } from '../domain/index.ts';
import { compileFormats, type DeclaredFormats, newestCity } from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import { parseRules } from '../rules/index.ts';
import { PRIVATE_FILE } from '../store/index.ts';

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
   * Reads the folder again. Throws `city` with every mistake and leaves the old city in force. `caller`: who asks for
   * it; null: the machine's operator.
   */
  reload(caller: Caller | null): Promise<Reloaded>;
  /**
   * Brings into force what another node put into the log, in block `seq`. Does nothing where a newer city is in force;
   * one that cannot be read is noted, and the city before it stays.
   */
  adopt(seq: number, control: CityControl): Promise<void>;
}

/** Reads the city folder and checks all of it. Throws `city` with a line for every problem. */
export async function loadCity(folder: string): Promise<LoadedCity> {
  return compileCity(await readCityFolder(folder), `the city folder ${folder}`);
}

/** Checks all of a city. Throws `city` with a line for every problem of `where`. */
export function compileCity(control: CityControl, where: string): LoadedCity {
  const { city, problems } = parseCity(control);
  const found = city === null ? { rules: [], problems, warnings: [] } : parseRules(control, city);
  if (city === null || found.problems.length > 0) {
    throw new LamppostError('city', `${where} has mistakes:\n${formatProblems(found.problems)}`);
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
  /**
   * Puts a change into the journal, and passes it to those who need it at once; resolves to its block. Calls `inForce`
   * once it is there, also where what is decided about the caller comes too late. `caller` null: the process itself
   * acts, and nobody waits for that.
   */
  change(next: LoadedCity, caller: Caller | null, inForce: () => void): Promise<number>;
  /** Passes a city that is in the journal to those who need it at once. */
  pass(next: LoadedCity): Promise<void>;
  /** Notes who asked for a city that is in force already. */
  keep(version: string, caller: Caller): Promise<unknown>;
  /** The version that a request with this `Idempotency-Key` led to; null where there was none. */
  repeated(caller: Caller): string | null;
}

interface Options {
  readonly folder: string;
  /** The city at the start, and the newest block of the journal then. */
  readonly first: LoadedCity;
  readonly seq: number;
  /** What is known of the folder, where other nodes have one too; null: this node is alone. */
  readonly seen: FolderSeen | null;
  readonly log: Logger;
}

/** Holds a city. */
export function createCityInForce({ folder, first, seq, seen, log }: Options, actions: CityActions): CityInForce {
  let current = first;
  let newest = seq;
  let last: Promise<unknown> = Promise.resolve();

  async function reload(caller: Caller | null): Promise<Reloaded> {
    const before = caller === null ? null : actions.repeated(caller);
    if (before !== null) return (await actions.keep(before, caller!)) as Reloaded;
    const next = choose(await loadCity(folder));
    refuseMovedStates(current.city, next.city);
    const { version } = next.control;
    const changed = version !== current.control.version;
    const inForce = () => {
      if (next !== current) seen?.put(version);
      current = next;
    };
    if (changed) newest = Math.max(newest, await actions.change(next, caller, inForce));
    else if (caller !== null) await actions.keep(version, caller);
    inForce();
    return { changed, version };
  }

  /** Where this node's folder is as it was, the newer city of another node stays. */
  function choose(read: LoadedCity): LoadedCity {
    if (seen === null || cityAtStart(read.control, current.control, seen.get()) !== 'adopt') return read;
    log.warn({ files: differingFiles(read.control, current.control) }, OLDER_FOLDER);
    return current;
  }

  async function adopt(at: number, control: CityControl): Promise<void> {
    if (at <= newest) return;
    newest = at;
    if (control.version === current.control.version) return;
    try {
      const next = compileCity(control, `the city of block ${at}`);
      await actions.pass(next);
      current = next;
      log.info({ version: control.version, block: at }, 'the city that another node brought is in force');
    } catch (error) {
      log.error({ err: error, block: at }, 'the city that another node brought cannot be in force here');
    }
  }

  /** One at a time; mistakes in the folder are the caller's alone. */
  function next<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  }

  return {
    current: () => current,
    reload: (caller) => next(() => reload(caller)),
    adopt: (at, control) => next(() => adopt(at, control)),
  };
}

const OLDER_FOLDER =
  'the city of the log is in force, which another node brought; the folder here has not changed since, and differs in ' +
  'these files: bring it up to date, or change it to bring another city into force';

/**
 * Decides which city a start brings into force where nodes share a log. `append`: that of the folder, which is the
 * first one or has changed since this node saw it last; `adopt`: that of the log; `same`: both are the same.
 */
export function cityAtStart(
  folder: Pick<CityControl, 'version'>,
  log: Pick<CityControl, 'version'> | null,
  seen: string | null,
): 'append' | 'adopt' | 'same' {
  if (log === null) return 'append';
  if (log.version === folder.version) return 'same';
  return seen === null || seen === folder.version ? 'adopt' : 'append';
}

/** Returns the paths of the files that are not the same in both cities. */
export function differingFiles(a: Pick<CityControl, 'files'>, b: Pick<CityControl, 'files'>): string[] {
  const [left, right] = [a, b].map(({ files }) => new Map(files.map(({ path, text }) => [path, text])));
  const paths = new Set([...left!.keys(), ...right!.keys()]);
  return [...paths].filter((path) => left!.get(path) !== right!.get(path)).sort();
}

/** Which version of its city folder a node saw last. */
export interface FolderSeen {
  /** Null where it saw none. */
  get(): string | null;
  put(version: string): void;
}

/** Returns what is kept of it in a data folder. */
export function createFolderSeen(data: string): FolderSeen {
  const path = join(data, 'city-seen');
  return {
    get: () => (existsSync(path) ? readFileSync(path, 'utf8').trim() : null),
    put(version) {
      writeFileSync(`${path}.new`, `${version}\n`, { mode: PRIVATE_FILE });
      renameSync(`${path}.new`, path);
    },
  };
}

/** The newest city that the log of a data folder has, and its block (0: not known any more); null where it has none. */
function newestInLog(dir: string): { readonly control: CityControl; readonly seq: number } | null {
  const path = join(dir, 'journal.sqlite');
  const journal = existsSync(path) ? new JournalReader(path).open() : null;
  const block = journal?.newestOf('city') ?? null;
  journal?.close();
  if (block !== null) {
    const { action: _, ...control } = JSON.parse(Buffer.from(block.body).toString('utf8')) as CityControl;
    return { control, seq: block.seq };
  }
  const control = newestCity(join(dir, 'state.sqlite'));
  return control === null ? null : { control, seq: 0 };
}

/** The city that a start brings into force. */
export interface FirstCity {
  readonly loaded: LoadedCity;
  /** The block of the log that it is of: what later ones bring is adopted; null: the log gets it. */
  readonly seq: number | null;
}

/** Decides with which city a node of a cluster starts. Throws `city` where that of the log cannot be read here. */
export function firstOfCluster(folder: LoadedCity, dir: string, seen: FolderSeen, log: Logger): FirstCity {
  const inLog = newestInLog(dir);
  const choice = cityAtStart(folder.control, inLog?.control ?? null, seen.get());
  if (choice === 'append') return { loaded: folder, seq: null };
  const { control, seq } = inLog!;
  if (choice === 'same') return { loaded: folder, seq };
  log.warn({ files: differingFiles(folder.control, control) }, OLDER_FOLDER);
  return { loaded: compileCity(control, 'the city of the log'), seq };
}

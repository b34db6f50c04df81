import { parseArgs } from 'node:util';
import { LamppostError, nearest, suggest } from '../domain/index.ts';

interface Described {
  /** Whether the command cannot do without it. */
  readonly needed?: true;
  /** What it is for, in a few words. */
  readonly help: string;
  /** What stands for the value in the help, such as `URL`. */
  readonly value: string;
}
interface Text extends Described {
  readonly kind: 'text';
  /** All values that are possible; absent: any. */
  readonly of?: readonly string[];
}
/** A flag that may be written several times. */
interface List extends Described {
  readonly kind: 'list';
  readonly of?: readonly string[];
}
interface Num extends Described {
  readonly kind: 'number';
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
}
interface Switch extends Described {
  readonly kind: 'switch';
}
type Flag = Text | List | Num | Switch;
export type Flags = Readonly<Record<string, Flag>>;

export const text = (value: string, help: string): Text => ({ kind: 'text', value, help });
/** A flag that the command cannot do without. */
export const needed = <F extends Flag>(one: F) => ({ ...one, needed: true as const, help: `${one.help}; needed` });
export const list = (value: string, help: string): List => ({ kind: 'list', value, help });
export const oneOf = (of: readonly string[], help: string): Text => ({ kind: 'text', value: of.join('|'), help, of });
export const someOf = (of: readonly string[], help: string): List => ({ kind: 'list', value: of.join('|'), help, of });
export const flag = (help: string): Switch => ({ kind: 'switch', value: '', help });
export const number = (help: string, least: number, most: number): Num => ({
  ...{ kind: 'number', value: 'N', help, least, most, whole: false },
});
export const count = (help: string, least: number, most: number): Num => ({
  ...number(help, least, most),
  whole: true,
});

type ValueOf<F extends Flag> = F extends Switch
  ? boolean
  : F extends Num
    ? number | undefined
    : (F extends List ? readonly string[] : string) | (F extends { readonly needed: true } ? never : undefined);

/** What was written for the flags of a command; a switch is true or false, any other absent one undefined. */
export type Values<F extends Flags> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** A checked command line. */
export interface Given<F extends Flags = Flags> {
  readonly args: readonly string[];
  readonly flags: Values<F>;
  /** Settings that were written as flags, by the names of their variables; empty where the command takes none. */
  readonly settings: Readonly<Record<string, string>>;
}

/** One command. Help, completion and the page of the commands are made of this. */
export interface Command<F extends Flags = Flags> {
  /** One sentence. */
  readonly about: string;
  /** Arguments as the help shows them: `<id>`, `[folder]`, `<id>…`; absent: none. */
  readonly args?: string;
  readonly flags: F;
  /** Whether every setting is a flag, too: `--mqtt-port` is MQTT_PORT. */
  readonly settings?: true;
  /** Arguments and flags are not looked at, but handed on as they are. */
  readonly raw?: true;
  /** Runs it and returns the exit code. */
  run(given: Given<F>, environment: NodeJS.ProcessEnv): Promise<number>;
}

/** Commands of one noun, such as those of `device`. */
export interface Group {
  readonly about: string;
  readonly commands: Readonly<Record<string, Command | Group>>;
}

/** Keeps the types of the flags for `run`. */
export const command = <const F extends Flags>(one: Command<F>): Command => one as Command;

export const isGroup = (one: Command | Group): one is Group => 'commands' in one;

/** Whether the command line asks for help. */
export function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).some((one) => one === '--help' || one === '-h');
}

/** A setting as a flag of a command that takes all of them. */
const SETTING = text('VALUE', 'a setting');

/** Checks a command line. Throws `config` with a sentence on the first mistake, and what would be right. */
export function read(path: string, { args = '', flags: own, settings, raw }: Command, argv: readonly string[]): Given {
  if (raw) return { args: argv, flags: {}, settings: {} };
  const ofSettings = settings ? settingsIn(path, own, argv) : new Map<string, string>();
  const flags = { ...Object.fromEntries([...ofSettings.keys()].map((name) => [name, SETTING])), ...own };
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { kind }]) => [
      name,
      { type: kind === 'switch' ? 'boolean' : 'string' } as const,
    ]),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const written = new Map<string, (string | true)[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const value = writtenValue(path, flags, token);
    written.set(token.name, [...(written.get(token.name) ?? []), value]);
  }
  checkArgs(path, args, positionals);
  checkNeeded(path, flags, written);
  const values = Object.entries(own).map(([name, one]) => [name, typed(path, name, one, written.get(name))]);
  const found = [...written].flatMap(([name, all]) => {
    const setting = Object.hasOwn(own, name) ? undefined : ofSettings.get(name);
    return setting === undefined ? [] : [[setting, String(all.at(-1))] as const];
  });
  return {
    ...{ args: positionals, flags: Object.fromEntries(values) as Values<Flags> },
    settings: Object.fromEntries(found),
  };
}

const fault = (path: string, message: string) =>
  new LamppostError('config', `${path}: ${message} (lamppost ${path} --help)`);

interface Option {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function writtenValue(path: string, flags: Flags, { name, rawName, value, inlineValue }: Option): string | true {
  const one = Object.hasOwn(flags, name) && rawName.startsWith('--') ? flags[name]! : null;
  if (one === null) {
    const near = suggest(
      rawName,
      Object.keys(flags).map((known) => `--${known}`),
    );
    throw fault(path, `unknown flag "${rawName}"${near}`);
  }
  if (one.kind === 'switch') {
    if (inlineValue) throw fault(path, `${rawName} takes no value; "${value}" found`);
    return true;
  }
  // What looks like a flag was hardly meant as a value; with "=" it is one.
  if (value === undefined || (!inlineValue && /^--[a-z]/.test(value)))
    throw fault(path, `${rawName} needs a value: ${rawName} ${one.value}`);
  return value;
}

function typed(path: string, name: string, one: Flag, written: readonly (string | true)[] = []): unknown {
  const texts = written.filter((value) => value !== true);
  if (one.kind === 'switch') return written.length > 0;
  if (written.length === 0) return undefined;
  if (one.kind === 'list') {
    const parts = texts.flatMap((value) => value.split(',').filter(Boolean));
    for (const part of parts) checkOf(path, name, part, one.of);
    return parts;
  }
  const last = texts.at(-1)!;
  if (one.kind === 'number') return numberOf(path, name, one, last);
  checkOf(path, name, last, one.of);
  return last;
}

function checkOf(path: string, name: string, value: string, of: readonly string[] | undefined): void {
  if (of !== undefined && !of.includes(value)) throw fault(path, `--${name}: unknown "${value}"${suggest(value, of)}`);
}

function numberOf(path: string, name: string, { least, most, whole }: Num, value: string): number {
  const found = value.trim() === '' ? Number.NaN : Number(value);
  if (found >= least && found <= most && (!whole || Number.isInteger(found))) return found;
  throw fault(path, `--${name}: "${value}" found; write a ${whole ? 'whole ' : ''}number from ${least} to ${most}`);
}

function checkNeeded(path: string, flags: Flags, written: ReadonlyMap<string, unknown>): void {
  const missing = Object.entries(flags).filter(([name, one]) => one.needed && !written.has(name));
  const names = missing.map(([name, { value }]) => `--${name} ${value}`).join(', ');
  if (missing.length > 0) throw fault(path, `${names} ${missing.length === 1 ? 'is' : 'are'} missing`);
}

function checkArgs(path: string, args: string, found: readonly string[]): void {
  const wanted = args.split(' ').filter(Boolean);
  const missing = wanted.filter((one) => one.startsWith('<'))[found.length];
  if (missing !== undefined) throw fault(path, `${missing} is missing: lamppost ${path} ${args}`);
  if (found.length <= wanted.length || args.endsWith('…')) return;
  throw fault(path, `"${found[wanted.length]}" is too much: lamppost ${[path, ...wanted].join(' ')}`);
}

/**
 * Returns the settings of a command line, by the names of their flags: each flag that the command does not have itself.
 * Whether there is such a setting is said where all their mistakes are listed. Throws where a flag of the command was
 * meant.
 */
function settingsIn(path: string, own: Flags, argv: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const one of argv) {
    const [, name] = /^--([a-z0-9-]+)(?:=|$)/.exec(one) ?? [];
    if (name === undefined || Object.hasOwn(own, name)) continue;
    const meant = nearest(name, Object.keys(own));
    if (meant !== null) throw fault(path, `unknown flag "--${name}": did you mean "--${meant}"?`);
    found.set(name, settingOf(name));
  }
  return found;
}

const SHORT: readonly string[] = ['DATA', 'CITY', 'ADMIN_KEY'];

/** The setting of a flag. */
function settingOf(name: string): string {
  const upper = name.replaceAll('-', '_').toUpperCase();
  return SHORT.includes(upper) ? `LAMPPOST_${upper}` : upper;
}

/** The flag of a setting: the short one where there is one. */
export function flagOf(setting: string): string {
  const bare = setting.replace(/^LAMPPOST_/, '');
  return `--${(SHORT.includes(bare) ? bare : setting).replaceAll('_', '-').toLowerCase()}`;
}

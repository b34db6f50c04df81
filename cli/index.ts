/** The commands of `lamppost`. */
import { readFile } from 'node:fs/promises';
import { LamppostError, suggest } from '../domain/index.ts';
import { exitCodeOf, operational } from './boot.ts';
import { COMMANDS } from './commands.ts';
import { helpOf } from './help.ts';
import { asksForHelp, type Command, type Group, isGroup, read } from './spec.ts';

/** Runs one command and returns its exit code; 2 for a mistake on the command line or in the settings. */
export async function run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  if (!process.stdout.listeners('error').includes(onLostOutput)) process.stdout.on('error', onLostOutput);
  try {
    return await runNamed(argv, environment);
  } catch (error) {
    const known = operational(error);
    if (known === null) throw error;
    console.error(known.message);
    return exitCodeOf(known);
  }
}

// 128 and the number of SIGPIPE, as of any program whose reader has gone.
const NO_READER = 141;

/** Ends a command whose output nobody reads any more (`| head`), or that cannot be written; a server goes on. */
function onLostOutput({ code, message }: NodeJS.ErrnoException): void {
  if (process.listenerCount('SIGTERM') > 0) return;
  if (code !== 'EPIPE') console.error(`the output cannot be written: ${message}`);
  process.exit(code === 'EPIPE' ? NO_READER : 1);
}

async function runNamed(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [first = 'help'] = argv;
  if (VERSION.includes(first)) return printVersion();
  const asks = HELP.includes(first);
  const { path, node, rest } = find(asks ? argv.slice(1) : argv);
  const name = path.join(' ');
  if (asks ? !isGroup(node) || rest.length === 0 : asksForHelp(rest)) return printHelp(path, node);
  if (isGroup(node)) {
    if (rest.length > 0) throw unknown(node, [...path, rest[0]!]);
    throw new LamppostError(
      'config',
      `${name}: write one of ${Object.keys(node.commands).join(', ')} (lamppost ${name} --help)`,
    );
  }
  return node.run(read(name, node, rest), environment);
}

const VERSION: readonly string[] = ['version', '--version', '-V', '-v'];
const HELP: readonly string[] = ['help', '--help', '-h'];

interface Found {
  readonly path: readonly string[];
  readonly node: Command | Group;
  /** What comes after the names of the command. */
  readonly rest: readonly string[];
}

function find(argv: readonly string[]): Found {
  let node: Command | Group = COMMANDS;
  let depth = 0;
  while (isGroup(node) && depth < argv.length && Object.hasOwn(node.commands, argv[depth]!))
    node = node.commands[argv[depth++]!]!;
  return { path: argv.slice(0, depth), node, rest: argv.slice(depth) };
}

function unknown({ commands }: Group, path: readonly string[]): LamppostError {
  const last = path.at(-1)!;
  const group = path.slice(0, -1);
  const isFlag = last.startsWith('-');
  const flags = group.length === 0 ? ['--help', '--version'] : ['--help'];
  const names = isFlag ? flags : Object.keys(commands);
  const near = suggest(last, names) || `; known: ${names.join(', ')}`;
  const help = ['lamppost', ...group, '--help'].join(' ');
  const what = isFlag ? `unknown flag "${last}"` : `unknown command "${path.join(' ')}"`;
  return new LamppostError('config', `${what}${near} (${help})`);
}

async function printHelp(path: readonly string[], node: Command | Group): Promise<number> {
  const settings = 'settings' in node ? (await import('../app/index.ts')).settingWords() : {};
  console.log(helpOf(path, node, settings));
  return 0;
}

async function printVersion(): Promise<number> {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  console.log(`lamppost ${version}, Node ${process.versions.node}`);
  return 0;
}

/** The commands of `lamppost`. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LamppostError } from '../domain/index.ts';
import { boot, exitCodeOf, operational, reload, untilAskedToStop } from './boot.ts';

interface Command {
  /** Lines of the help. */
  readonly help: string;
  /** Runs the command and returns its exit code. */
  run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number>;
}

/** A command loads its modules when it runs: `device add` must not wait for all modules of a server. */
const COMMANDS: Readonly<Record<string, Command>> = {
  start: {
    help: 'runs the server; settings come from the environment or from flags (--mqtt-port 1884)',
    run: start,
  },
  demo: {
    help: 'runs the server with a simulated city; prints where to look, and a new admin key',
    run: async (...args) => (await import('./demo.ts')).demo(...args),
  },
  simulate: {
    help: 'sends the readings of a simulated or recorded city to a running server (--help)',
    run: async (...args) => (await import('../simulators/index.ts')).simulate(...args),
  },
  bench: {
    help: 'measures throughput and latency; only from a checkout of the repository',
    run: (argv) => bench(argv),
  },
  backtest: {
    help: 'runs a rule over stored readings and prints the tickets that it would have opened (--help)',
    run: async (...args) => (await import('./backtest.ts')).backtestCommand(...args),
  },
  rules: {
    help: 'test [folder] | check [folder] | schema',
    run: async (...args) => (await import('./rules.ts')).rulesCommand(...args),
  },
  device: {
    help: 'add <id> --profile P --district D | import <file.json> | revoke <id> | rotate <id>',
    run: async (...args) => (await import('./manage.ts')).manage('device', ...args),
  },
  key: {
    help: 'add <name> --role viewer|operator|admin|network-server|citizen-app [--department D] | revoke <id>',
    run: async (...args) => (await import('./manage.ts')).manage('key', ...args),
  },
  backup: {
    help: 'backs up a running server without stopping it: [--to <new folder in LAMPPOST_BACKUP_DIR>]',
    run: async (...args) => (await import('./backup.ts')).backupCommand(...args),
  },
  restore: {
    help: '<backup> --data <new folder>',
    run: async (argv) => (await import('./backup.ts')).restoreCommand(argv),
  },
  audit: {
    help: 'verify [--data <folder>]: checks the audit trail of a data folder or a backup; names what does not fit',
    run: async (...args) => (await import('./audit.ts')).auditCommand(...args),
  },
  doctor: {
    help: 'checks the settings, the city folder and a running server',
    run: async (argv, environment) => (await import('./doctor.ts')).doctor(settingsOf(argv), environment),
  },
};

const HELP = `lamppost <command>

${Object.entries(COMMANDS)
  .map(([name, { help }]) => `  ${name.padEnd(12)}${help}`)
  .join('\n')}

device, key, backup and doctor talk to a running server: --url http://127.0.0.1:8080. All but doctor need an admin key:
--key or LAMPPOST_ADMIN_KEY.`;

/** Runs one command and returns its exit code; 2 for a mistake on the command line or in the settings. */
export async function run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [name = 'help', ...rest] = argv;
  if (!Object.hasOwn(COMMANDS, name)) {
    console.log(HELP);
    return name === '--help' || name === 'help' ? 0 : 2;
  }
  try {
    return await COMMANDS[name]!.run(rest, environment);
  } catch (error) {
    const known = operational(error);
    if (known === null) throw error;
    console.error(known.message);
    return exitCodeOf(known);
  }
}

/** Reads flags as settings: `--mqtt-port 1884` and `--mqtt-port=1884` are MQTT_PORT. */
function settingsOf(argv: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {};
  for (let i = 0; i < argv.length; i++) {
    const match = /^--([a-z0-9-]+)(?:=(.*))?$/.exec(argv[i]!);
    const value = match?.[2] ?? argv[i + 1];
    if (match === null || value === undefined)
      throw new LamppostError('config', `"${argv[i]}" is not a setting; write --mqtt-port 1884`);
    if (match[2] === undefined) i++;
    const name = match[1]!.replaceAll('-', '_').toUpperCase();
    settings[['DATA', 'CITY', 'ADMIN_KEY'].includes(name) ? `LAMPPOST_${name}` : name] = value;
  }
  return settings;
}

async function start(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const stopRequested = untilAskedToStop();
  const [lamppost] = await boot(settingsOf(argv), environment);
  if (lamppost.generatedKey !== null)
    console.log(`admin key (shown once, set LAMPPOST_ADMIN_KEY to keep it): ${lamppost.generatedKey}`);
  console.log(`lamppost: http ${lamppost.httpPort}, mqtt ${lamppost.mqttPort}`);
  process.on('SIGHUP', () => void reload(lamppost));
  await stopRequested;
  await lamppost.stop();
  return 0;
}

const BENCH = fileURLToPath(new URL('../test/bench/main.ts', import.meta.url));

/** Runs the benchmark, which is a program of its own. Throws `config` where it is not installed. */
export async function bench(argv: readonly string[], main = BENCH): Promise<number> {
  if (!existsSync(main)) {
    throw new LamppostError(
      'config',
      'bench: only a checkout of the repository has the benchmark (test/bench); an installed package and the image do not',
    );
  }
  const child = spawn(process.execPath, [main, ...argv], { stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

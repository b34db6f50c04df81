/** The commands of `lamppost`. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LamppostError } from '../domain/index.ts';
import { boot, exitCodeOf, operational, reload, untilAskedToStop } from './boot.ts';

// What a command needs is loaded when it runs: `device add` should not wait for a server's worth of modules.

const HELP = `lamppost <command>

  start       the server; settings from the environment or as flags (--mqtt-port 1884)
  demo        the server with a simulated city: where to look, and a fresh admin key
  simulate    a simulated or recorded city against a running server (--help)
  bench       npm run bench
  backtest    a rule over stored readings: the tickets that it would have raised (--help)
  rules       test [folder] | check [folder] | schema
  device      add <id> --profile P --district D | import <file.json> | revoke <id> | rotate <id>
  key         add <name> --role viewer|operator|admin|network-server|citizen-app [--department D] | revoke <id>
  backup      of a running server, while it works: [--to <new folder on the server>]
  restore     <backup> --data <new folder>
  doctor      checks settings, city folder and whether the server answers

device, key, backup and doctor speak to a running server: --url http://127.0.0.1:8080; all but doctor with the key of
--key or LAMPPOST_ADMIN_KEY.`;

/** Runs one command; answers the exit code (2 for a mistake on the command line). */
export async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  try {
    if (command === 'start') return await start(rest);
    if (command === 'demo') return await (await import('./demo.ts')).demo(rest);
    if (command === 'simulate') return await (await import('../simulators/index.ts')).simulate(rest, process.env);
    if (command === 'doctor') return await (await import('./doctor.ts')).doctor(settingsOf(rest));
    if (command === 'device' || command === 'key') return await (await import('./manage.ts')).manage(command, rest);
    if (command === 'backup') return await (await import('./backup.ts')).backupCommand(rest);
    if (command === 'restore') return await (await import('./backup.ts')).restoreCommand(rest);
    if (command === 'bench') return await bench(rest);
    if (command === 'backtest') return await (await import('./backtest.ts')).backtestCommand(rest);
    if (command === 'rules') return await (await import('./rules.ts')).rulesCommand(rest);
    console.log(HELP);
    return command === undefined || command === '--help' || command === 'help' ? 0 : 2;
  } catch (error) {
    const known = operational(error);
    if (known === null) throw error;
    console.error(known.message);
    return exitCodeOf(known);
  }
}

/** `--mqtt-port 1884` or `--mqtt-port=1884` as MQTT_PORT. */
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

async function start(argv: readonly string[]): Promise<number> {
  const asked = untilAskedToStop();
  const [lamppost] = await boot(settingsOf(argv), process.env);
  if (lamppost.generatedKey !== null)
    console.log(`admin key (shown once, set LAMPPOST_ADMIN_KEY to keep it): ${lamppost.generatedKey}`);
  console.log(`lamppost: http ${lamppost.httpPort}, mqtt ${lamppost.mqttPort}`);
  process.on('SIGHUP', () => void reload(lamppost));
  await asked;
  await lamppost.stop();
  return 0;
}

/** The benchmark is a program of its own, with the server as another process. */
function bench(argv: readonly string[]): Promise<number> {
  const main = fileURLToPath(new URL('../test/bench/main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, ...argv], { stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

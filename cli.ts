/** The commands of `lamppost`. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { type Config, readConfig } from './config.ts';
import { LamppostError, type Ledger, systemClock } from './domain/index.ts';
import { type Lamppost, loadCity, startLamppost } from './main.ts';
import { manage } from './manage.ts';
import { createSimulator, readCityFolder, simulate } from './simulators/index.ts';

const HELP = `lamppost <command>

  start       the server; settings from the environment or as flags (--mqtt-port 1884)
  demo        the server with a simulated city: where to look, and a fresh admin key
  simulate    a simulated or recorded city against a running server (--help)
  bench       npm run bench
  device      add <id> --profile P --district D | import <file.json> | revoke <id> | rotate <id>
  key         add <name> --role viewer|operator|admin [--department D] | revoke <id>
  doctor      checks settings, city folder and whether the server answers

device, key and doctor speak to a running server: --url http://127.0.0.1:8080, key from --key or LAMPPOST_ADMIN_KEY.`;

/** Runs one command; answers the exit code (2 for a mistake on the command line). */
export async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  try {
    if (command === 'start') return await start(rest);
    if (command === 'demo') return await demo(rest);
    if (command === 'simulate') return await simulate(rest, process.env);
    if (command === 'doctor') return await doctor(rest);
    if (command === 'device' || command === 'key') return await manage(command, rest);
    if (command === 'bench') return await bench(rest);
    if (command === 'backtest') {
      console.error('backtest is not built yet: it comes with the full rule language');
      return 1;
    }
    console.log(HELP);
    return command === undefined || command === '--help' || command === 'help' ? 0 : 2;
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    console.error(error.message);
    return error.code === 'config' ? 2 : 1;
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

function boot(config: Config): Promise<Lamppost> {
  const log = pino({ level: config.logLevel, name: 'lamppost' });
  return startLamppost(config, log, (error) => {
    log.fatal({ err: error }, 'a thread died; the journal recovers at the next start');
    process.exit(70);
  });
}

/** Resolves at Ctrl-C or SIGTERM. A second one ends at once. */
function untilAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(130));
        resolve();
      });
    }
  });
}

async function start(argv: readonly string[]): Promise<number> {
  const asked = untilAskedToStop();
  const lamppost = await boot(readConfig(process.env, settingsOf(argv)));
  if (lamppost.generatedKey !== null)
    console.log(`admin key (shown once, set LAMPPOST_ADMIN_KEY to keep it): ${lamppost.generatedKey}`);
  console.log(`lamppost: http ${lamppost.httpPort}, mqtt ${lamppost.mqttPort}`);
  await asked;
  await lamppost.stop();
  return 0;
}

async function demo(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      'http-port': { type: 'string', default: process.env.HTTP_PORT ?? '0' },
      'mqtt-port': { type: 'string', default: process.env.MQTT_PORT ?? '0' },
      data: { type: 'string' },
      speed: { type: 'string', default: '60' },
      devices: { type: 'string', default: '120' },
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string' },
    },
  });
  const asked = untilAskedToStop();
  const data = values.data ?? mkdtempSync(join(tmpdir(), 'lamppost-demo-'));
  const settings = { HTTP_PORT: values['http-port'], MQTT_PORT: values['mqtt-port'], LAMPPOST_DATA: data };
  const local = { HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1', LOG_LEVEL: 'error' };
  const environment = { ...local, ...process.env, LAMPPOST_ADMIN_KEY: undefined };
  const config = readConfig(environment, settings);
  const lamppost = await boot(config);
  const api = `http://127.0.0.1:${lamppost.httpPort}`;
  const key = lamppost.generatedKey!;
  console.log(welcome({ api, key, data, mqttPort: lamppost.mqttPort }));
  const simulator = createSimulator(
    { clock: systemClock },
    {
      url: `mqtt://127.0.0.1:${lamppost.mqttPort}`,
      api,
      key,
      seed: values.seed,
      devices: Number(values.devices),
      speed: Number(values.speed),
      faults: 0.01,
      ...(await readCityFolder(config.city)),
    },
  );
  await simulator.start();
  const progress = setInterval(() => void showProgress(api, key), 2_000);
  const seconds =
    values.seconds === undefined ? [] : [new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000))];
  await Promise.race([asked, ...seconds]);
  clearInterval(progress);
  console.log('\nstopping: what was acknowledged is settled first');
  await simulator.stop();
  await lamppost.stop();
  console.log(`the data stays in ${data}`);
  return 0;
}

function welcome({ api, key, data, mqttPort }: { api: string; key: string; data: string; mqttPort: number }): string {
  return `Lamppost runs, with a simulated city of several districts. The first tickets come within a minute.

  console    ${api}/#key=${key}
  API        ${api}/docs
  admin key  ${key}
  data       ${data}

Try next:
  curl -H 'Authorization: Bearer ${key}' ${api}/api/v1/ledger
  curl -H 'Authorization: Bearer ${key}' '${api}/api/v1/tickets?limit=3'
  curl -N -H 'Authorization: Bearer ${key}' -H 'Accept: text/event-stream' ${api}/api/v1/events
  mosquitto_sub -p ${mqttPort} -i me -u admin -P '${key}' -t 'live/#' -v

Ctrl-C ends it.
`;
}

async function showProgress(api: string, key: string): Promise<void> {
  const get = async (path: string) =>
    (await fetch(`${api}${path}`, { headers: { authorization: `Bearer ${key}` } })).json();
  try {
    const ledger = (await get('/api/v1/ledger')) as Ledger;
    const tickets = (await get('/api/v1/tickets?status=open&limit=1000')) as { items: unknown[] };
    const { messages, readings } = ledger;
    const quarantined = messages.quarantined + readings.quarantined;
    const line = `${messages.received} messages, ${readings.stored} readings stored, ${quarantined} quarantined, ${tickets.items.length} open tickets`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}   ` : `${line}\n`);
  } catch {
    // the server is stopping
  }
}

async function doctor(argv: readonly string[]): Promise<number> {
  const config = readConfig(process.env, settingsOf(argv));
  const { city, rules } = await loadCity(config.city);
  console.log(
    `settings: well. city: ${city.name.en}, ${city.districts.size} districts, ${city.profiles.size} profiles, ${rules.length} rules, no mistakes`,
  );
  const url = `http://127.0.0.1:${config.http.port}/ready`;
  try {
    const answer = (await (await fetch(url)).json()) as { ready: boolean; reasons: string[] };
    console.log(answer.ready ? 'server: ready' : `server: not ready: ${answer.reasons.join('; ')}`);
    return answer.ready ? 0 : 1;
  } catch {
    console.log(`server: nothing answers at ${url}`);
    return 1;
  }
}

/** The benchmark is a program of its own, with the server as another process. */
function bench(argv: readonly string[]): Promise<number> {
  const main = fileURLToPath(new URL('./test/bench/main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, ...argv], { stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

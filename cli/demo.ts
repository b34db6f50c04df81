import { type FSWatcher, mkdtempSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Ledger, systemClock } from '../domain/index.ts';
import { boot, type Running, reload, untilAskedToStop } from './boot.ts';
import { Client } from './client.ts';

/** `demo`: runs the server with a simulated city until Ctrl-C or SIGTERM. Resolves with the exit code. */
export async function demo(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      'http-port': { type: 'string', default: environment.HTTP_PORT ?? '0' },
      'mqtt-port': { type: 'string', default: environment.MQTT_PORT ?? '0' },
      data: { type: 'string' },
      speed: { type: 'string', default: '60' },
      devices: { type: 'string', default: '120' },
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string' },
    },
  });
  const stopRequested = untilAskedToStop();
  const data = values.data ?? mkdtempSync(join(tmpdir(), 'lamppost-demo-'));
  const settings = { HTTP_PORT: values['http-port'], MQTT_PORT: values['mqtt-port'], LAMPPOST_DATA: data };
  const local = { HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1', LOG_LEVEL: 'error' };
  // Without a key in the settings, the server generates one, which the welcome text shows.
  const [lamppost, config] = await boot(settings, { ...local, ...environment, LAMPPOST_ADMIN_KEY: undefined });
  const api = `http://127.0.0.1:${lamppost.httpPort}`;
  const key = lamppost.generatedKey!;
  console.log(welcome({ api, key, data, city: config.city, mqttPort: lamppost.mqttPort }));
  const { createSimulator, readCityFolder } = await import('../simulators/index.ts');
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
  const saves = reloadOnSave(config.city, lamppost);
  const client = new Client(api, key);
  const progress = setInterval(() => void showProgress(client), 2_000);
  const seconds =
    values.seconds === undefined ? [] : [new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000))];
  await Promise.race([stopRequested, ...seconds]);
  clearInterval(progress);
  saves.close();
  console.log('\nstopping: everything acknowledged is processed first');
  await simulator.stop();
  await lamppost.stop();
  console.log(`the data stays in ${data}`);
  return 0;
}

interface Welcome {
  readonly api: string;
  readonly key: string;
  readonly data: string;
  readonly city: string;
  readonly mqttPort: number;
}

function welcome({ api, key, data, city, mqttPort }: Welcome): string {
  return `Lamppost is running with a simulated city of several districts. The first tickets appear within a minute.

  console    ${api}/#key=${key}
  API        ${api}/docs
  admin key  ${key}
  data       ${data}

Try next:
  curl -H 'Authorization: Bearer ${key}' ${api}/api/v1/ledger
  curl -H 'Authorization: Bearer ${key}' '${api}/api/v1/tickets?limit=3'
  curl -N -H 'Authorization: Bearer ${key}' -H 'Accept: text/event-stream' ${api}/api/v1/events
  mosquitto_sub -p ${mqttPort} -i me -u admin -P '${key}' -t 'live/#' -v
  change a rule in ${city}/rules and save it: it is in force at once

Press Ctrl-C to stop.
`;
}

async function showProgress(client: Client): Promise<void> {
  try {
    const ledger = await client.json<Ledger>('GET', '/api/v1/ledger');
    const tickets = await client.json<{ items: unknown[] }>('GET', '/api/v1/tickets?status=open&limit=1000');
    const { messages, readings } = ledger;
    const quarantined = messages.quarantined + readings.quarantined;
    const line = `${messages.received} messages, ${readings.stored} readings stored, ${quarantined} quarantined, ${tickets.items.length} open tickets`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}   ` : `${line}\n`);
  } catch {
    // the server is stopping
  }
}

/** Reads the city folder again after each change of a file in it. */
function reloadOnSave(folder: string, lamppost: Running): FSWatcher {
  let soon: NodeJS.Timeout | undefined;
  return watch(folder, { recursive: true }, () => {
    // An editor writes a file in several steps.
    clearTimeout(soon);
    soon = setTimeout(() => void reload(lamppost), 200);
  });
}

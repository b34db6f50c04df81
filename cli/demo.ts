import { type FSWatcher, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LamppostError, type Ledger, systemClock } from '../domain/index.ts';
import { boot, type Running, reload, untilAskedToStop } from './boot.ts';
import { Client } from './client.ts';
import type { DEMO } from './flags.ts';
import type { Given } from './spec.ts';
import { findPerson } from './users.ts';

/** Beginning of the name of a folder that a demo makes for itself. */
const OWN = 'lamppost-demo-';

/** `demo`: runs the server with a simulated city until Ctrl-C or SIGTERM. Resolves with the exit code. */
export async function demo(given: Given<typeof DEMO>, environment: NodeJS.ProcessEnv): Promise<number> {
  const named = given.settings.LAMPPOST_DATA;
  const data = named ?? mkdtempSync(join(tmpdir(), OWN));
  // However it ends, but by kill -9: nobody needs a folder that nobody named.
  if (named === undefined) process.once('exit', () => rmSync(data, { recursive: true, force: true }));
  const code = await runDemo(given, { ...environment, LAMPPOST_DATA: data });
  console.log(named === undefined ? 'its data is removed; --data keeps it' : `the data stays in ${data}`);
  return code;
}

async function runDemo({ flags, settings }: Given<typeof DEMO>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { seed = '1', devices = 120, speed = 60, seconds } = flags;
  const stopRequested = untilAskedToStop();
  const local = { HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1', HTTP_PORT: '0', MQTT_PORT: '0', LOG_LEVEL: 'error' };
  // Without a key in the settings, the server generates one, which the welcome text shows.
  const [lamppost, config] = await boot(settings, { ...local, ...environment, LAMPPOST_ADMIN_KEY: undefined });
  const api = `http://127.0.0.1:${lamppost.httpPort}`;
  const key = lamppost.generatedKey!;
  if (lamppost.mqttPort === null)
    throw new LamppostError('config', 'MQTT_PORT: the simulated devices of the demo need it; do not switch it off');
  const url = `mqtt://127.0.0.1:${lamppost.mqttPort}`;
  const client = new Client(api, key);
  const link = await demoLink(client, api);
  console.log(welcome({ api, key, link, data: config.data, city: config.city, mqttPort: lamppost.mqttPort }));
  const { createSimulator, readCityFolder } = await import('../simulators/index.ts');
  const options = { url, api, key, seed, devices, speed, faults: 0.01, format: 'mixed' };
  const simulator = createSimulator({ clock: systemClock }, { ...options, ...readCityFolder(config.city) });
  await simulator.start();
  const saves = reloadOnSave(config.city, lamppost);
  const progress = setInterval(() => void showProgress(client), 2_000);
  await Promise.race([stopRequested, ...(seconds === undefined ? [] : [pause(seconds * 1_000)])]);
  clearInterval(progress);
  saves.close();
  console.log('\nstopping: everything acknowledged is processed first');
  await simulator.stop();
  await lamppost.stop();
  return 0;
}

interface Welcome {
  readonly api: string;
  readonly key: string;
  readonly link: string;
  readonly data: string;
  readonly city: string;
  readonly mqttPort: number;
}

/** Returns the address of a link that signs in, once, as the demo's admin. */
async function demoLink(client: Client, api: string): Promise<string> {
  const person = { name: 'Lin Demo', email: 'demo@lamppost.example', roles: [{ role: 'admin', department: null }] };
  const known = await findPerson(client, person.email);
  const { id } = known ?? (await client.json<{ id: string }>('POST', '/api/v1/users', person));
  const { path } = await client.json<{ path: string }>('POST', `/api/v1/users/${id}/link`);
  return `${api}${path}`;
}

function welcome({ api, key, link, data, city, mqttPort }: Welcome): string {
  return `Lamppost is running with a simulated city of several districts. The first tickets appear within a minute.

  sign in    ${link}   (once; within a day)
  console    ${api}
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

/**
 * A process that starts one Lamppost after another in itself, each perhaps made to fail at a step, and prints what is
 * left of it. Arguments: settings as JSON, then a data folder and a step for each start; an empty step: none fails.
 */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import pino from 'pino';
import { createLamppost, readConfig } from '../../../app/index.ts';

/** What the child prints of a start, as a line. */
export interface Leftovers {
  /** Steps that were done, in order. */
  readonly steps: readonly string[];
  /** Why the start failed; null where it did not, and the server was stopped again. */
  readonly error: string | null;
  /** Files of the data folder that are open, ports that are listened on, threads of ours that run. */
  readonly files: readonly string[];
  readonly listeners: readonly string[];
  readonly threads: number;
}

const LISTEN = '0A';

function links(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      // The handle of this look itself.
      return [];
    }
  });
}

/** Local addresses that a socket of this process listens on; see proc(5), `net/tcp`. */
function listening(sockets: ReadonlySet<string>): string[] {
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/self/net/${name}`, 'utf8').split('\n').slice(1));
  const rows = lines.map((line) => line.trim().split(/\s+/));
  return rows.filter((row) => row[3] === LISTEN && sockets.has(`socket:[${row[9]}]`)).map((row) => row[1]!);
}

function look(data: string): Pick<Leftovers, 'files' | 'listeners' | 'threads'> {
  const open = links();
  const comms = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim());
  return {
    files: open.filter((path) => path.startsWith(data)),
    listeners: listening(new Set(open)),
    threads: comms.filter((name) => name === 'WorkerThread').length,
  };
}

/** Starts one in a data folder, and stops it where it did not fail; says what is left. */
async function attempt(data: string, failAt: string, settings: Record<string, string>): Promise<Leftovers> {
  const config = readConfig(
    { LAMPPOST_DATA: data, MQTT_HOST: '127.0.0.1', HTTP_HOST: '127.0.0.1', MQTT_PORT: '0', HTTP_PORT: '0' },
    settings,
  );
  const steps: string[] = [];
  const lamppost = createLamppost(config, {
    log: pino({ level: 'silent' }),
    onCrash: (error) => console.error(error),
    onStep(name) {
      steps.push(name);
      if (name === failAt) throw new Error(`made to fail after: ${name}`);
    },
  });
  const error = await lamppost.start().then(
    () => null,
    (cause: Error) => cause.message,
  );
  if (error === null) await lamppost.stop();
  return { steps, error, ...look(realpathSync(data)) };
}

const [settings, ...starts] = process.argv.slice(2);
for (let i = 0; i < starts.length; i += 2) {
  console.log(JSON.stringify(await attempt(starts[i]!, starts[i + 1]!, JSON.parse(settings!))));
}

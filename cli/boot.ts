import type { Config, Lamppost, Started } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { isDamage, lacksSpace, makeDataFolder } from '../store/index.ts';

/** Returns an error that the user can fix, as one message; null for a bug, whose stack trace is needed. */
export function operational(error: unknown): LamppostError | null {
  if (error instanceof LamppostError) return error;
  if (isDamage(error)) return new LamppostError('damaged', (error as Error).message, { cause: error });
  const { message, code, syscall } = error as NodeJS.ErrnoException;
  // A port in use, a folder without permission …, or a flag that parseArgs does not know.
  const external = syscall !== undefined || code?.startsWith('ERR_PARSE_ARGS') === true;
  return external ? new LamppostError('config', message, { cause: error }) : null;
}

/** Returns 2 for a mistake in the settings or on the command line, 74 for a damaged file, 1 for any other failure. */
export const exitCodeOf = ({ code }: LamppostError) => (code === 'config' ? 2 : code === 'damaged' ? DAMAGED : 1);

// EX_IOERR and EX_SOFTWARE of sysexits.h.
const DAMAGED = 74;
const CRASHED = 70;
/** As shells have it: 128 and the number of SIGINT. */
const INTERRUPTED = 130;
const SPACE_MS = 2_000;

/** A started server in this process. */
export type Running = Started & Pick<Lamppost, 'reloadCity' | 'reloadCertificates' | 'stop'>;

/**
 * Starts a server in this process. Where a setting, the city or the disk prevents it, prints one line and exits the
 * process.
 */
export async function boot(flags: Record<string, string>, environment: NodeJS.ProcessEnv): Promise<[Running, Config]> {
  const [{ readConfig, misspelt, createLamppost }, { default: pino }] = await Promise.all([
    import('../app/index.ts'),
    import('pino'),
  ]);
  const config = readConfig(environment, flags);
  for (const one of misspelt(environment)) console.error(`settings: ${one}`);
  // All that the server writes is for its owner only, in all threads: photos, DuckDB's files, temporary ones.
  process.umask(0o077);
  const log = pino({ level: config.logLevel, name: 'lamppost' });
  const onCrash = (error: Error) => {
    const known = operational(error);
    if (known?.code === 'damaged') log.fatal(`${known.message}${LOOK} ${config.data}`);
    else if (known?.code === 'too-new') log.fatal(known.message);
    else log.fatal({ err: error }, 'a thread died; the journal recovers at the next start');
    const isExpected = known?.code === 'damaged' || known?.code === 'too-new';
    process.exit(isExpected ? exitCodeOf(known) : CRASHED);
  };
  await untilSpace(config.data);
  const lamppost = createLamppost(config, { log, onCrash });
  const methods = {
    reloadCity: () => lamppost.reloadCity(),
    reloadCertificates: () => lamppost.reloadCertificates(),
    stop: () => lamppost.stop(),
  };
  try {
    return [{ ...(await lamppost.start()), ...methods }, config];
  } catch (error) {
    const known = listening(error, config) ?? operational(error);
    if (known === null) throw error;
    console.error(known.message);
    if (known.code === 'damaged') console.error(`which files, and what to do:${LOOK} ${config.data}`);
    process.exit(exitCodeOf(known));
  }
}

const LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another program; stop that one, or choose another port',
  EACCES: 'needs a right of this user; choose one above 1023, or give the program CAP_NET_BIND_SERVICE',
};

/** Returns the error of a listener, also of another thread, with the setting that would help; null for any other. */
function listening(error: unknown, { mqtt, http }: Config): LamppostError | null {
  const { message, code: name } = error as NodeJS.ErrnoException;
  const host = Object.entries({ HTTP_HOST: http.host, MQTT_HOST: mqtt.host }).find(([, one]) => message.includes(one));
  if (/\bEADDRNOTAVAIL\b|\bENOTFOUND\b|\bEAI_AGAIN\b/.test(`${name} ${message}`) && host !== undefined)
    return new LamppostError('config', `${host[0]}: this machine does not have the address ${host[1]}`, {
      cause: error,
    });
  const [, code = '', port] = /\blisten (E[A-Z]+)\b.*:(\d+)$/.exec(message) ?? [];
  const why = LISTEN[code];
  if (why === undefined) return null;
  const ports = { MQTT_PORT: mqtt.port, MQTTS_PORT: mqtt.tls?.port, HTTP_PORT: http.port, HTTPS_PORT: http.tls?.port };
  const setting = Object.entries(ports).find(([, one]) => String(one) === port)?.[0] ?? 'a port';
  const flag = `--${setting.toLowerCase().replace('_', '-')}`;
  return new LamppostError('config', `${setting}: port ${port} ${why} (${flag}): ${message}`, { cause: error });
}

const LOOK = ' lamppost doctor --deep --data';

/** Waits until the disk of a data folder has the space that a start needs; says how much to free. A signal ends it. */
async function untilSpace(dir: string): Promise<void> {
  makeDataFolder(dir);
  let said = '';
  const end = () => process.exit(INTERRUPTED);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  for (let lacks = lacksSpace(dir); lacks !== null; lacks = lacksSpace(dir)) {
    if (lacks !== said) console.error(`${lacks}; it starts by itself then`);
    said = lacks;
    await new Promise((resolve) => setTimeout(resolve, SPACE_MS));
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, end);
}

/** Resolves at Ctrl-C or SIGTERM. A second signal exits the process at once. */
export function untilAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(INTERRUPTED));
        console.error('\nstopping: everything acknowledged is processed first; once more ends it at once');
        resolve();
      });
    }
  });
}

/** Reads the city folder and the certificates again and prints the results. After a mistake those of before stay. */
export async function reload(lamppost: Pick<Running, 'reloadCity' | 'reloadCertificates'>): Promise<void> {
  await attempt('the old city stays in force', async () => {
    const { changed, version } = await lamppost.reloadCity();
    return changed ? `city folder read again: version ${version.slice(0, 12)} is in force` : 'city folder: no change';
  });
  await attempt('the certificates of before stay', async () =>
    (await lamppost.reloadCertificates()) ? 'certificates read again: new connections get them' : null,
  );
}

async function attempt(otherwise: string, work: () => Promise<string | null>): Promise<void> {
  try {
    const said = await work();
    if (said !== null) console.log(said);
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    console.error(`${error.message}\n${otherwise}`);
  }
}

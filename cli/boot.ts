import type { Config, Lamppost, Started } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { isDamage, lacksSpace } from '../store/index.ts';

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
const SPACE_MS = 2_000;

/** A started server in this process. */
export type Running = Started & Pick<Lamppost, 'reloadCity' | 'stop'>;

/**
 * Starts a server in this process. Where a setting, the city or the disk prevents it, prints one line and exits the
 * process.
 */
export async function boot(flags: Record<string, string>, environment: NodeJS.ProcessEnv): Promise<[Running, Config]> {
  const [{ readConfig, createLamppost }, { default: pino }] = await Promise.all([
    import('../app/index.ts'),
    import('pino'),
  ]);
  const config = readConfig(environment, flags);
  // All that the server writes is for its owner only, in all threads: photos, DuckDB's files, temporary ones.
  process.umask(0o077);
  const log = pino({ level: config.logLevel, name: 'lamppost' });
  const onCrash = (error: Error) => {
    const known = operational(error);
    if (known?.code === 'damaged') log.fatal(`${known.message}${LOOK} ${config.data}`);
    else log.fatal({ err: error }, 'a thread died; the journal recovers at the next start');
    process.exit(known?.code === 'damaged' ? DAMAGED : CRASHED);
  };
  await untilSpace(config.data);
  const lamppost = createLamppost(config, { log, onCrash });
  const methods = { reloadCity: () => lamppost.reloadCity(), stop: () => lamppost.stop() };
  try {
    return [{ ...(await lamppost.start()), ...methods }, config];
  } catch (error) {
    const known = operational(error);
    if (known === null) throw error;
    console.error(known.message);
    if (known.code === 'damaged') console.error(`which files, and what to do:${LOOK} ${config.data}`);
    process.exit(exitCodeOf(known));
  }
}

const LOOK = ' lamppost doctor --deep --data';

/** Waits until the disk of a data folder has the space that a start needs; says how much to free. A signal ends it. */
async function untilSpace(dir: string): Promise<void> {
  const { mkdirSync } = await import('node:fs');
  let said = '';
  const end = () => process.exit(1);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch {
    // The start says why.
    return;
  }
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
        process.once(signal, () => process.exit(130));
        resolve();
      });
    }
  });
}

/** Reads the city folder again and prints the result. After a mistake the old city stays in force. */
export async function reload(lamppost: Pick<Running, 'reloadCity'>): Promise<void> {
  try {
    const { changed, version } = await lamppost.reloadCity();
    console.log(
      changed ? `city folder read again: version ${version.slice(0, 12)} is in force` : 'city folder: no change',
    );
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    console.error(`${error.message}\nthe old city stays in force`);
  }
}

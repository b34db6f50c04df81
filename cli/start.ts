import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LamppostError } from '../domain/index.ts';
import { boot, reload, untilAskedToStop } from './boot.ts';
import type { Given } from './spec.ts';

/** `start`: runs the server until Ctrl-C or SIGTERM. Returns the exit code. */
export async function start({ settings }: Given, environment: NodeJS.ProcessEnv): Promise<number> {
  const stopRequested = untilAskedToStop();
  const [lamppost] = await boot(settings, environment);
  if (lamppost.generatedKey !== null)
    console.log(`admin key (shown once, set LAMPPOST_ADMIN_KEY to keep it): ${lamppost.generatedKey}`);
  const { httpPort, httpsPort, mqttPort, mqttsPort } = lamppost;
  const secure = Object.entries({ mqtts: mqttsPort, https: httpsPort }).filter(([, port]) => port !== null);
  const listening = [['http', httpPort], ['mqtt', mqttPort ?? 'off'], ...secure];
  console.log(`lamppost: ${listening.map(([name, port]) => `${name} ${port}`).join(', ')}`);
  if (lamppost.people === 0)
    console.log('nobody can sign in yet: lamppost user add <e-mail> --name "<name>" --role admin');
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

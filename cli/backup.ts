import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LamppostError } from '../domain/index.ts';
import { type BackupJob, restoreBackup } from '../store/index.ts';
import { clientOf, SERVER_FLAGS } from './client.ts';

const POLL_MS = 250;

/** `backup`: starts a backup of a running server, waits for its end and prints its folder. */
export async function backupCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { to: { type: 'string' }, ...SERVER_FLAGS } });
  const client = clientOf(values, environment);
  const path = '/api/v1/backup';
  let job = await client.json<BackupJob>('POST', path, values.to === undefined ? {} : { to: resolve(values.to) });
  while (job.state === 'running') {
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    job = await client.json<BackupJob>('GET', path);
  }
  if (job.state === 'failed') throw new LamppostError('disk', `the backup failed: ${job.error}`);
  console.log(`${job.path}: ${job.bytes} bytes`);
  return 0;
}

/** `restore`: makes a data folder from a backup, without a server. */
export async function restoreCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { data: { type: 'string' } },
  });
  const [from] = positionals;
  if (from === undefined || positionals.length > 1 || values.data === undefined)
    throw new LamppostError('config', 'write lamppost restore <backup> --data <new folder>');
  const { endedAt, files } = await restoreBackup(resolve(from), resolve(values.data));
  console.log(
    `${values.data}: ${files.length} files as of ${endedAt}; start with lamppost start --data ${values.data}`,
  );
  return 0;
}

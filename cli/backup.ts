import { resolve } from 'node:path';
import { LamppostError } from '../domain/index.ts';
import type { BackupJob } from '../store/index.ts';
import { clientOf } from './client.ts';
import type { BACKUP_NOW } from './flags.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

const POLL_MS = 250;

/** `backup`: starts a backup of a running server, waits for its end and prints its folder. */
export async function backupCommand(
  { flags }: Given<typeof BACKUP_NOW>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const client = clientOf(flags, environment);
  const path = '/api/v1/backup';
  let job = await client.json<BackupJob>('POST', path, flags.to === undefined ? {} : { to: resolve(flags.to) });
  while (job.state === 'running') {
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    job = await client.json<BackupJob>('GET', path);
  }
  if (job.state === 'failed') throw new LamppostError('disk', `the backup failed: ${job.error}`);
  print(flags.json, job, ({ path, bytes }) => [`${path}: ${bytes} bytes`]);
  return 0;
}

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LamppostError } from '../domain/index.ts';
import { type BackupJob, restoreBackup } from '../store/index.ts';
import { askServer } from './manage.ts';

const LOOK_EVERY_MS = 250;

/** `backup`: asks a running server for one and waits for its end. Prints its folder. */
export async function backupCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      to: { type: 'string' },
      url: { type: 'string', default: 'http://127.0.0.1:8080' },
      key: { type: 'string', default: process.env.LAMPPOST_ADMIN_KEY ?? '' },
    },
  });
  const headers = { authorization: `Bearer ${values.key}`, 'content-type': 'application/json' };
  const body = JSON.stringify(values.to === undefined ? {} : { to: resolve(values.to) });
  let job = await askFor(values.url, { method: 'POST', headers, body });
  while (job.state === 'running') {
    await new Promise((wake) => setTimeout(wake, LOOK_EVERY_MS));
    job = await askFor(values.url, { headers });
  }
  if (job.state === 'failed') throw new LamppostError('disk', `the backup failed: ${job.error}`);
  console.log(`${job.path}: ${job.bytes} bytes`);
  return 0;
}

async function askFor(url: string, init: RequestInit): Promise<BackupJob> {
  const { ok, text } = await askServer(url, '/api/v1/backup', init);
  if (!ok) throw new LamppostError('invalid', text);
  return JSON.parse(text) as BackupJob;
}

/** `restore`: makes a data folder of a backup, without a server. */
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
    `${values.data}: ${files.length} files as of ${endedAt}; go on with lamppost start --data ${values.data}`,
  );
  return 0;
}

import { resolve } from 'node:path';
import { type Restored, restoreTo } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { restoreBackup } from '../store/index.ts';
import type { RESTORE } from './flags.ts';
import { print } from './output.ts';
import { readerOf } from './reader.ts';
import type { Given } from './spec.ts';

/**
 * `restore`: makes a data folder from a backup, without a server; with --to or --log from a backup and the log after
 * it.
 */
export async function restoreCommand(
  { args, flags }: Given<typeof RESTORE>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const [backup, data] = [resolve(args[0]!), resolve(flags.data)];
  if (flags.to === undefined && flags.log === undefined) {
    const { endedAt, files } = await restoreBackup(backup, data);
    const found = { data, files: files.length, endedAt };
    print(flags.json, found, () => [`${data}: ${files.length} files as of ${endedAt}; ${next(data)}`]);
    return 0;
  }
  const restored = await restoreTo({
    ...readerOf(environment, flags.progress),
    ...{ backup, data },
    logFrom: flags.log === undefined ? null : resolve(flags.log),
    ...(flags.to !== undefined && { toMs: timeOf(flags.to) }),
  });
  print(flags.json, restored, report);
  return 0;
}

const next = (data: string) => `start with lamppost start --data ${data}`;

/** Reads a moment with its zone: `2026-06-15T12:00:00Z`, or with an offset. */
function timeOf(text: string): number {
  const isFull = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const ms = isFull ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms))
    throw new LamppostError('config', `--to: "${text}" is not a time with its zone, such as 2026-06-15T12:00:00Z`);
  return ms;
}

function report({ data, block, at, added, dropped }: Restored): string[] {
  return [
    `${data}: as of ${at}, block ${block} of the log (${added} blocks after the backup, ${dropped} later ones left out)`,
    next(data),
  ];
}

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  goodSnapshot,
  newestSnapshot,
  type RebuiltState,
  rebuildState,
  type Verified,
  verifyState,
} from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import { makeDataFolder } from '../store/index.ts';
import type { REBUILD } from './flags.ts';
import { print } from './output.ts';
import { readerOf } from './reader.ts';
import type { Given } from './spec.ts';

type Asking = Given<typeof REBUILD>;

/** `rebuild`: makes the state of a data folder anew from a backup and the log; the one before is kept. */
export async function rebuildCommand({ flags }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const { dir, snapshot } = await placeOf(flags, environment);
  const rebuilt = await rebuildState(dir, { ...readerOf(environment, flags.progress), snapshot });
  print(flags.json, rebuilt, linesOf);
  return 0;
}

function linesOf({ block, from, aside }: RebuiltState): string[] {
  const source = from === null ? 'the log alone' : `the backup ${from} and the log after it`;
  return [
    `state.sqlite: made anew from ${source}, up to block ${block}`,
    ...(aside === null ? [] : [`the one before is kept; delete it once you do not need it: ${aside}`]),
  ];
}

/**
 * `verify`: compares the state of a data folder, on which a server may run, with one that is made anew from a backup
 * and the log. Returns 1 where they differ.
 */
export async function verifyCommand({ flags }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const { dir, snapshot } = await placeOf(flags, environment);
  // Nothing expires, so that entries that the server still has can be compared.
  const { auditMs: _, quarantine: __, ...reader } = readerOf(environment, flags.progress);
  const verified = await verifyState(dir, { ...reader, backup: snapshot?.dir ?? null });
  if (flags.json) console.log(JSON.stringify({ ...verified, from: snapshot?.dir ?? null }, bigintsAndBytes, 2));
  else for (const line of report(verified, snapshot?.dir ?? null)) console.log(line);
  return verified.differences.length === 0 ? 0 : 1;
}

function report({ block, differences }: Verified, from: string | null): string[] {
  const source = from === null ? 'the log alone' : `the backup ${from} and the log after it`;
  if (differences.length === 0) return [`state.sqlite at block ${block} is what ${source} led to`];
  return [
    `state.sqlite at block ${block} is not what ${source} led to:`,
    ...differences.flatMap(({ table, left, right }) => [
      `${table}:`,
      ...left.map((row) => `  only in the data folder: ${JSON.stringify(row, bigintsAndBytes)}`),
      ...right.map((row) => `  only in the one made anew: ${JSON.stringify(row, bigintsAndBytes)}`),
    ]),
  ];
}

const bigintsAndBytes = (_key: string, value: unknown) =>
  value instanceof Uint8Array ? `x'${Buffer.from(value).toString('hex').slice(0, 64)}'` : value;

/**
 * Returns the folder, and the backup to begin with: the one that is named, or the newest good one of
 * LAMPPOST_BACKUP_DIR, or none. Throws `config` where there is no such folder, or it cannot be written,
 * `invalid` where the backup that is named
 * is not good.
 */
async function placeOf({ data, backup }: Asking['flags'], environment: NodeJS.ProcessEnv) {
  const dir = resolve(data ?? environment.LAMPPOST_DATA ?? './data');
  const journal = join(dir, 'journal.sqlite');
  if (!existsSync(journal))
    throw new LamppostError('config', `--data: ${dir} is no data folder: it has no journal.sqlite`);
  makeDataFolder(dir);
  if (backup !== undefined) return { dir, snapshot: await goodSnapshot(resolve(backup), journal) };
  const folder = environment.LAMPPOST_BACKUP_DIR;
  const onBad = (bad: string, why: string) => console.error(`${bad} is not used: ${why}`);
  return { dir, snapshot: folder === undefined ? null : await newestSnapshot(resolve(folder), journal, onBad) };
}

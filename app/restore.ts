import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError } from '../domain/index.ts';
import { type Continued, continueJournal } from '../journal/index.ts';
import { restoreBackup } from '../store/index.ts';
import { type ReplicaDeps, readLog } from './replica.ts';
import { reachedBy } from './verify.ts';

/** What is restored. */
export interface RestoreOptions extends ReplicaDeps {
  /** The folder of a backup. */
  readonly backup: string;
  /** A new or empty folder. */
  readonly data: string;
  /** What has the log after the backup: a data folder, another backup, or a `journal.sqlite`; null: only its own. */
  readonly logFrom: string | null;
  /** The moment, epoch ms of the log's civil time; absent: the end of the log. */
  readonly toMs?: number;
}

/** What was restored. */
export interface Restored extends Pick<Continued, 'added' | 'dropped'> {
  readonly data: string;
  /** The newest block, and when it was received. */
  readonly block: number;
  readonly at: string;
}

/**
 * Restores a backup and reads the log after it, up to a moment: alerts, tickets, events, ledger and readings are as
 * they were then. Throws as `restoreBackup`, `invalid` where the backup is of a later moment or the log does not go on
 * from it, `damaged` where a block of the log is; then it leaves nothing in the folder.
 */
export async function restoreTo(options: RestoreOptions): Promise<Restored> {
  const { backup, data, logFrom, toMs = Number.MAX_SAFE_INTEGER } = options;
  const journal = logFrom === null ? null : journalOf(logFrom);
  let restored: Restored | null = null;
  await restoreBackup(backup, data, async () => {
    const at = (name: string) => join(data, name);
    const reached = reachedBy(at('state.sqlite'));
    const continued = continueJournal(at('journal.sqlite'), journal, toMs);
    if (continued.newest < reached)
      throw new LamppostError(
        'invalid',
        `${backup} is of a later moment: at ${isoOf(toMs)} the log ended with block ${continued.newest}, ` +
          `and the backup has read block ${reached}; take an older backup`,
      );
    await readLog({ dir: data, data }, options);
    beginNewOutbox(data);
    const { newest: block, added, dropped, atMs } = continued;
    restored = { data, block, at: isoOf(atMs), added, dropped };
  });
  return restored!;
}

function journalOf(log: string): string {
  const path = statSync(log, { throwIfNoEntry: false })?.isDirectory() ? join(log, 'journal.sqlite') : log;
  if (existsSync(path)) return path;
  throw new LamppostError('config', `--log: ${log} is no data folder, backup or journal.sqlite`);
}

/**
 * Gives the outbox another name: what follows gets numbers that other events had before, and readers that are ahead
 * must notice. Webhooks and mail go on from where the backup has them.
 */
function beginNewOutbox(data: string): void {
  const state = new DatabaseSync(join(data, 'state.sqlite'));
  state.exec('update outbox_store set name = lower(hex(randomblob(4))) where exists (select 1 from outbox)');
  const { name } = state.prepare('select name from outbox_store').get()!;
  state.close();
  const deliveries = new DatabaseSync(join(data, 'deliveries.sqlite'));
  deliveries.prepare('update outbox_known set store = ?').run(name!);
  deliveries.close();
}

import { copyFileSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { JournalReader } from '../journal/index.ts';
import { lockFolder, refuseUnfinished, setAside, unsealFolder } from '../store/index.ts';
import { type ReplicaDeps, readLog } from './replica.ts';
import type { Snapshot } from './snapshots.ts';
import { reachedBy } from './verify.ts';

export interface RebuildOptions extends ReplicaDeps {
  /** From which the state is made; null: from the log alone, which then has to have its first block. */
  readonly snapshot: Pick<Snapshot, 'dir'> | null;
}

/** What a rebuild made. */
export interface RebuiltState {
  /** The newest block of the log, which the state has read. */
  readonly block: number;
  /** The backup that it began with; null: the log alone. */
  readonly from: string | null;
  /** The state as it was; null where there was none. */
  readonly aside: string | null;
}

/**
 * Makes the state of a data folder, on which no server runs, anew from a backup and the log after it; keeps the one
 * that was there. The embedded history gets what it lacks. Throws `conflict` where a server runs on it, `disk` where
 * the log lacks a block that is needed.
 */
export async function rebuildState(dir: string, { snapshot, ...deps }: RebuildOptions): Promise<RebuiltState> {
  const lock = lockFolder(dir, deps.clock.now());
  const scratch = mkdtempSync(join(dir, 'rebuild-'));
  const [live, anew] = [join(dir, 'state.sqlite'), join(scratch, 'state.sqlite')];
  try {
    refuseUnfinished(dir);
    if (snapshot !== null) copyFileSync(join(snapshot.dir, 'state.sqlite'), anew);
    const block = newestIn(join(dir, 'journal.sqlite'));
    if (reachedBy(anew) > block)
      throw new LamppostError(
        'invalid',
        `${snapshot!.dir} has read more blocks than the log has: it is of another one`,
      );
    await readLog({ dir: scratch, data: dir }, deps);
    if (existsSync(live)) takeOver(live, anew);
    unsealFolder(dir);
    const aside = existsSync(live) ? setAside(live, deps.clock.now(), 'replaced') : null;
    renameSync(anew, live);
    return { block, from: snapshot?.dir ?? null, aside };
  } finally {
    rmSync(scratch, { recursive: true });
    lock.release();
  }
}

function newestIn(path: string): number {
  const journal = new JournalReader(path).open();
  const { seq } = journal.head();
  journal.close();
  return seq;
}

/**
 * Takes over how far MQTT has the events of the outbox, and the name of that, where the newest event that both have has
 * the same number in both. Otherwise events are published again, and readers begin anew.
 */
function takeOver(live: string, anew: string): void {
  const db = new DatabaseSync(anew);
  try {
    db.prepare('attach ? as old').run(live);
    const common = db
      .prepare(
        'select o.n as old, m.n as new from old.outbox o join main.outbox m using (id) order by o.n desc limit 1',
      )
      .get();
    if (common === undefined || common.old !== common.new) {
      db.exec('update main.outbox_store set name = lower(hex(randomblob(4))) where exists (select 1 from main.outbox)');
      return;
    }
    db.exec(`
      begin;
      update main.outbox_store set name = (select name from old.outbox_store);
      update main.outbox_cursors as c set n = (select min(n, ${Number(common.new)}) from old.outbox_cursors where channel = c.channel);
      commit`);
  } catch {
    // A state that cannot be read is why one is made anew.
  } finally {
    db.close();
  }
}

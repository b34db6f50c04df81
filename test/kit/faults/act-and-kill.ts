import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { comparison } from '../../../app/verify.ts';
import { type BackupJob, compareFiles } from '../../../store/index.ts';
import { ServerProcess } from '../server.ts';
import { PATIENCE_MS, until } from '../wait.ts';
import { faultsAfter, faultsOfCommand } from './acted.ts';
import { Acting, type Asked } from './acting.ts';
import { copyMoment, faultsOfRestore, type Moment } from './moment.ts';

/** One run: rounds of actions with a kill each. */
export interface ActAndKill {
  readonly kills: number;
  readonly seed: string;
  readonly clients?: number;
  /** Actions of one client between two kills. */
  readonly actions?: number;
  readonly onProgress?: (line: string) => void;
}

/** The result of a run. */
export interface ActedAndKilled {
  readonly asked: readonly Asked[];
  readonly kills: number;
  /** Moments between two kills to which a backup was restored. */
  readonly restores: number;
  readonly faults: readonly string[];
}

/** A backup is made, a round later a moment is copied, and two kills later restored, so often. */
const CYCLE = 4;
const TICKETS = 5;

/**
 * Kills a server again and again while many clients act on the same tickets, restores moments between two kills, and
 * looks at every history, event and entry of the trail in the end.
 */
export async function actAndKill({ kills, seed, onProgress = () => {}, ...size }: ActAndKill): Promise<ActedAndKilled> {
  const { clients = 50, actions = 4 } = size;
  const backups = mkdtempSync(join(tmpdir(), 'lamppost-backups-'));
  // The log is kept for the backups alone.
  const settings = { LAMPPOST_BACKUP_DIR: backups, LAMPPOST_JOURNAL_RETENTION_MS: '0' };
  const server = new ServerProcess(undefined, settings);
  server.startWithinMs = 5 * PATIENCE_MS;
  const acting = new Acting(server, { clients, actions, tickets: TICKETS, seed });
  const faults: string[] = [];
  let [backup, restores]: [string, number] = ['', 0];
  let moment: Moment | null = null;
  try {
    await server.start();
    await acting.open();
    for (let kill = 0; kill < kills; kill++) {
      if (kill % CYCLE === 0) backup = await backUp(server, join(backups, `before-${kill}`));
      const seen = acting.asked.length;
      const round = acting.round();
      // In the middle of the actions.
      const isIn = () => acting.asked.length > seen + clients;
      if (kill % CYCLE === 1) moment = await until(isIn, 'the first actions').then(() => copyMoment(server));
      await round;
      if (moment !== null && (kill % CYCLE === CYCLE - 1 || kill === kills - 1)) {
        faults.push(...(await faultsOfRestore(moment, { backup, log: server.data, asked: acting.asked })));
        moment = null;
        restores++;
      }
      onProgress(
        `${kill + 1} kills, ${acting.asked.length} actions, ${restores} restores, faults: ${faults.join('; ')}`,
      );
    }
    await server.kill();
    await server.start();
    faults.push(...(await faultsAfter(server, acting)));
    faults.push(...(await faultsOfCommand(['verify', '--data', server.data, '--backup', backup])));
    await server.stop();
    faults.push(...(await faultsOfRebuild(server.data, backup)));
    faults.push(...(await faultsOfCommand(['audit', 'verify', '--data', server.data])));
    return { asked: acting.asked, kills: kills + 1, restores, faults };
  } finally {
    if (server.running) await server.kill();
    for (const dir of [backups, server.data]) rmSync(dir, { recursive: true, force: true });
  }
}

/** A tick that came in while a process stopped, after its rules had: a rebuild reads it, too. */
const POSITIONS: ReadonlySet<string> = new Set(['ledger_cursor', 'rules_cursor', 'rules_state', 'intake']);

/** The state that a rebuild puts aside is what it makes. */
async function faultsOfRebuild(data: string, backup: string): Promise<string[]> {
  const failed = await faultsOfCommand(['rebuild', '--data', data, '--backup', backup]);
  const aside = readdirSync(data).find((name) => name.startsWith('state.sqlite.replaced-'));
  if (failed.length > 0 || aside === undefined) return ['there is no state from before the rebuild', ...failed];
  const differences = compareFiles(join(data, aside), join(data, 'state.sqlite'), comparison({ ledger: true }));
  return differences.filter(({ table }) => !POSITIONS.has(table)).map((one) => `rebuilt: ${JSON.stringify(one)}`);
}

async function backUp(server: ServerProcess, to: string): Promise<string> {
  await server.post('/api/v1/backup', { to });
  const last = () => server.get<BackupJob>('/api/v1/backup');
  const job = await until(
    async () => {
      const one = await last();
      return one.state !== 'running' && one;
    },
    'the end of a backup',
    50,
  );
  if (job.state !== 'done') throw new Error(`the backup failed: ${job.error}`);
  return to;
}

import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BackupJob, restoreBackup } from '../../store/index.ts';
import { allTickets, Bins, numbersIn } from '../kit/bins.ts';
import { launch } from '../kit/cli/commands.ts';
import { ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const KILLS = 6;
const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-backup-'));
/** Runs a backup to its end; returns how long it took. */
async function backUp(server: ServerProcess, to: string): Promise<number> {
  const startedAt = performance.now();
  let job = await server.post<BackupJob>('/api/v1/backup', { to });
  while (job.state === 'running') {
    await pause(5);
    job = await server.get('/api/v1/backup');
  }
  expect(job).toMatchObject({ state: 'done', path: to });
  return performance.now() - startedAt;
}

test('kill -9 in the middle of a backup, six times - an unfinished one is never accepted, a complete one restores, and the server goes on', async () => {
  const folder = newDir();
  const server = new ServerProcess(undefined, { LAMPPOST_JOURNAL_RETENTION_MS: '0', LAMPPOST_BACKUP_DIR: folder });
  await server.start();
  const bins = new Bins();
  await bins.start(server, 10);
  await until(() => bins.count() >= 4_000, 'the first messages', 50);
  const takesMs = await backUp(server, join(folder, 'undisturbed'));
  const halves: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const to = join(folder, `night-${kill}`);
    await server.post('/api/v1/backup', { to });
    await pause((takesMs * (kill + 0.5)) / KILLS);
    await server.kill();
    const data = join(newDir(), 'restored');
    const whole = [to, `${to}.part`].find((dir) => existsSync(join(dir, 'manifest.json')));
    if (whole !== undefined) {
      await restoreBackup(whole, data);
    } else if (existsSync(`${to}.part`)) {
      halves.push(`${to}.part`);
      await expect(restoreBackup(`${to}.part`, data)).rejects.toThrow('is not a complete backup');
      expect(existsSync(data)).toBe(false);
    }
    await server.start();
  }
  expect(halves.length, 'the kills came in the middle').toBeGreaterThan(1);

  const before = bins.acknowledged();
  const to = join(folder, 'at-last');
  await backUp(server, to);
  await bins.stop();
  await server.settledLedger();
  const tickets = new Map((await allTickets(server)).map((ticket) => [ticket.id, ticket]));
  expect(await server.stop()).toBe(0);
  const data = join(newDir(), 'restored');
  await restoreBackup(to, data);
  const restored = new ServerProcess(data);
  await restored.start();
  await restored.settledLedger();
  const found = await numbersIn(restored, before.keys());
  for (const [id, numbers] of before) {
    const missing = [...numbers].filter((n) => !found.get(id)!.has(n));
    expect(missing, `${id}: acknowledged before the backup began, but nowhere`).toEqual([]);
  }
  for (const { id, evidence } of await allTickets(restored)) expect(tickets.get(id)?.evidence, id).toEqual(evidence);
  expect(await restored.stop()).toBe(0);
});

test('kill -9 in the middle of a restore, or files of different times - the server refuses to start with them', async () => {
  const folder = newDir();
  const server = new ServerProcess(undefined, { LAMPPOST_BACKUP_DIR: folder });
  await server.start();
  // Without a message, what the consumers have taken may not be written yet, and there is nothing to compare.
  const [bin] = await server.post<{ secret: string }[]>('/api/v1/devices', [
    { id: 'bin-1', profile: 'waste-bin', district: 'old-town' },
  ]);
  await fetch(`http://127.0.0.1:${server.httpPort}/ingest/bin-1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bin!.secret}`, 'content-type': 'application/json' },
    body: '{"metrics":{"fill":1}}',
  });
  await server.settledLedger();
  const to = join(folder, 'backup');
  await backUp(server, to);
  expect(await server.stop()).toBe(0);
  const data = join(newDir(), 'data');
  const restore = launch(['restore', to, '--data', data]);
  while (!existsSync(join(data, 'restore-unfinished'))) await new Promise((resolve) => setImmediate(resolve));
  restore.kill('SIGKILL');
  await once(restore, 'exit');
  expect(restore.signalCode).toBe('SIGKILL');
  await expect(new ServerProcess(data).start()).rejects.toThrow(/ended with 1: .* a restore was interrupted: empty it/);

  // Files of two backups mixed, as a manual restore may leave them.
  const mixed = newDir();
  await restoreBackup(to, join(mixed, 'data'));
  rmSync(join(mixed, 'data', 'journal.sqlite'));
  const strange = new ServerProcess(join(mixed, 'data'));
  await expect(strange.start()).rejects.toThrow(
    /ended with 1: the files in .* are of different times: .* and the journal has none; restore all/,
  );
  expect(readdirSync(join(mixed, 'data'))).toContain('state.sqlite');
});

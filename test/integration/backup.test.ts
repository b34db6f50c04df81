import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BackupJob, Manifest } from '../../store/index.ts';
import { allEvents, allTickets, Bins, numbersIn } from '../kit/bins.ts';
import { expectPlain, lamppost } from '../kit/cli/commands.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { othersIn } from '../kit/store/modes.ts';
import { until } from '../kit/wait.ts';

const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-backup-'));
const manifestOf = (dir: string) => JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as Manifest;
/** The journal block of an alert's event; infinite for other events. */
const blockOf = (id: string) => Number(/^(\d+)\.\d+-alert$/.exec(id)?.[1] ?? Number.POSITIVE_INFINITY);

/** `lamppost backup` against a server. */
function backUp(server: ServerProcess, ...args: string[]) {
  const url = `http://127.0.0.1:${server.httpPort}`;
  return lamppost(['backup', '--url', url, '--key', ADMIN_KEY, ...args]);
}

describe('a backup of a server under load', () => {
  test('restored elsewhere, it has everything acknowledged before, a ledger that balances, and the same tickets and events', async () => {
    const folder = newDir();
    const server = new ServerProcess(undefined, { LAMPPOST_JOURNAL_RETENTION_MS: '0', LAMPPOST_BACKUP_DIR: folder });
    await server.start();
    const bins = new Bins();
    await bins.start(server, 12);
    await until(() => bins.count() > 3_000, 'the first messages');
    const before = bins.acknowledged();
    const to = join(folder, 'monday');
    const ran = await backUp(server, '--to', to);
    expect(ran, ran.err).toMatchObject({ code: 0, out: expect.stringMatching(/monday: \d+ bytes\n$/) });
    const during = bins.count();
    await until(() => bins.count() > during + 500, 'the server goes on');
    await server.post('/api/v1/devices', { id: 'later', profile: 'waste-bin', district: 'harbour' });
    await bins.stop();
    await server.settledLedger();
    const events = await allEvents(server);
    const tickets = new Map((await allTickets(server)).map((ticket) => [ticket.id, ticket]));
    expect(await server.stop()).toBe(0);

    const manifest = manifestOf(to);
    const names = [
      'deliveries.sqlite',
      'sessions.sqlite',
      'state.sqlite',
      'history.duckdb',
      'journal.sqlite',
      'reporters.sqlite',
      'secrets.key',
    ];
    expect(readdirSync(to).toSorted()).toEqual([...names, 'manifest.json', 'media'].toSorted());
    expect(manifest.files.map(({ name, bytes }) => [name, bytes])).toEqual(
      names.map((name) => [name, statSync(join(to, name)).size]),
    );
    for (const dir of [to, server.data]) expect(othersIn(dir)).toEqual([]);
    const data = join(newDir(), 'restored');
    const restored = await lamppost(['restore', to, '--data', data]);
    expect(restored, restored.err).toMatchObject({ code: 0, out: expect.stringContaining(`${names.length} files`) });
    const again = new ServerProcess(data);
    await again.start();
    expect(othersIn(data)).toEqual([]);
    const ledger = await again.settledLedger();
    const { newest, messages } = manifest.files.find(({ name }) => name === 'journal.sqlite')!.positions;
    expect(ledger.messages.received).toBe(messages);
    const found = await numbersIn(again, before.keys());
    for (const [id, numbers] of before) {
      await again.settledLedger(id);
      const missing = [...numbers].filter((n) => !found.get(id)!.has(n));
      expect(missing, `${id}: acknowledged before the backup began, but nowhere`).toEqual([]);
    }
    const eventsAgain = await allEvents(again);
    const known = eventsAgain.findLastIndex(({ event }) => blockOf(event.id) <= newest!) + 1;
    expect(known).toBeGreaterThan(50);
    expect(eventsAgain.slice(0, known)).toEqual(events.slice(0, known));
    expect(events.slice(known).some(({ event }) => blockOf(event.id) <= newest!)).toBe(false);
    for (const ticket of await allTickets(again)) {
      const original = tickets.get(ticket.id)!;
      expect(original.history.slice(0, ticket.history.length), ticket.id).toEqual(ticket.history);
      expect(original).toMatchObject({ openedAt: ticket.openedAt, evidence: ticket.evidence });
      // One that was reopened after the backup has another deadline since.
      if (original.version === ticket.version) expect(original.dueAt, ticket.id).toBe(ticket.dueAt);
    }
    expect((await again.get<{ items: { id: string }[] }>('/api/v1/devices?limit=100')).items).toHaveLength(12);
    expect(await again.stop()).toBe(0);
  });

  test('later ones, requested over the API, go to the folder of the settings; one at a time, only by an admin', async () => {
    const folder = newDir();
    const server = new ServerProcess(undefined, { LAMPPOST_BACKUP_DIR: folder });
    await server.start();
    const key = await server.post<{ secret: string }>('/api/v1/keys', { name: 'b', role: 'operator' });
    const ask = (body: object, bearer = ADMIN_KEY) =>
      fetch(`http://127.0.0.1:${server.httpPort}/api/v1/backup`, {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await ask({}, key.secret)).status).toBe(403);
    const [first, second] = await Promise.all([ask({}), ask({})]);
    expect([first.status, second.status].toSorted()).toEqual([202, 409]);
    const last = () => server.get<BackupJob>('/api/v1/backup');
    await until(async () => (await last()).state !== 'running', 'the end of the backup', 20);
    const { path, state } = await last();
    expect(state).toBe('done');
    expect(readdirSync(folder)).toEqual([basename(path)]);
    // While it runs, with the side files of SQLite and DuckDB.
    for (const dir of [server.data, path]) expect(othersIn(dir)).toEqual([]);
    const refused = await ask({ to: 'monday' });
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as { detail: string }).detail).toBe(
      'to: "monday" is not an absolute path on the server',
    );
    expect((await ask({ to: path })).status).toBe(409);
    const outside = await ask({ to: join(newDir(), 'monday') });
    expect(outside.status).toBe(400);
    expect(((await outside.json()) as { detail: string }).detail).toContain(`is not in ${folder}, the folder of`);
    expect((await ask({ to: join(folder, 'nowhere', 'monday') })).status).toBe(400);
    expect(await server.stop()).toBe(0);
  });

  test('without a folder in the settings there is none, and the text says which setting', async () => {
    const server = new ServerProcess();
    await server.start();
    for (const args of [[], ['--to', join(newDir(), 'monday')]]) {
      const refused = await backUp(server, ...args);
      expect(refused.code).toBe(1);
      expectPlain(refused, 'there is no folder of backups: set LAMPPOST_BACKUP_DIR and start again');
    }
    expect(await server.stop()).toBe(0);
  });

  test('a restore refuses an incomplete backup and a folder that is not empty, in plain words', async () => {
    const folder = newDir();
    const server = new ServerProcess(undefined, { LAMPPOST_BACKUP_DIR: folder });
    await server.start();
    const to = join(folder, 'monday');
    expect(await backUp(server, '--to', to)).toMatchObject({ code: 0 });
    const busy = await lamppost(['restore', to, '--data', server.data]);
    expect(busy.code).toBe(1);
    expectPlain(busy, `${server.data} is not empty`);
    expect(await server.stop()).toBe(0);
    const empty = newDir();
    const half = await lamppost(['restore', empty, '--data', join(newDir(), 'x')]);
    expect(half.code).toBe(1);
    expectPlain(half, `${empty} is not a complete backup: it has no manifest.json`);
    const mistake = await lamppost(['restore', to]);
    expect(mistake.code).toBe(2);
    expectPlain(mistake, 'restore: --data DIR is missing (lamppost restore --help)');
    const nobody = await backUp(server, '--to', join(folder, 'x'));
    expect(nobody.code).toBe(1);
    expectPlain(nobody, 'no server responds');
    expect(existsSync(join(empty, 'x'))).toBe(false);
  });
});

import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { expect, test } from 'vitest';
import { SessionsFile } from '../../../../broker/sessions/file.ts';
import { createCheckpointer } from '../../../../store/index.ts';
import { until } from '../../../kit/wait.ts';

const log = pino({ level: 'silent' });

function scene() {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-sessions-')), 'sessions.sqlite');
  const file = new SessionsFile(path, log, () => {});
  const put = file.db.prepare('insert or replace into retained values (?, ?, 1)');
  const count = () => {
    const db = new DatabaseSync(path, { readOnly: true });
    const { n } = db.prepare('select count(*) as n from retained').get()!;
    db.close();
    return n;
  };
  return { path, file, put, count };
}

test('sessions file - the writes of a turn are one transaction, and synced resolves when all are in the file', async () => {
  const { file, put, count } = scene();
  for (let i = 0; i < 100; i++) file.write(put, `t/${i}`, 'x');
  expect(count()).toBe(0);
  await file.synced();
  expect(count()).toBe(100);
  await file.close();
});

test('sessions file - while the disk is full callers wait; with space nothing is lost or done twice', async () => {
  const { file, put, count } = scene();
  const { page_count } = file.db.prepare('pragma page_count').get()!;
  file.db.exec(`pragma max_page_count = ${page_count}`);
  file.write(put, 't/small', 'x');
  file.write(put, 't/big', 'x'.repeat(100_000));
  let synced = false;
  const waiting = file.synced().then(() => {
    synced = true;
  });
  expect(file.flush(), 'the disk is full').toBe(false);
  file.write(put, 't/later', 'y');
  expect(file.flush()).toBe(false);
  expect(count()).toBe(0);
  expect(synced).toBe(false);
  file.db.exec('pragma max_page_count = 1000000');
  await waiting;
  expect(count()).toBe(3);
  await file.close();
});

test('sessions file - a bug in a write is not treated as a full disk', async () => {
  const { file } = scene();
  file.write(file.db.prepare('insert into retained values (?, ?, ?)'), 't', 'x', 'not a number');
  expect(() => file.flush()).toThrow(/cannot store TEXT/);
  await expect(file.close()).rejects.toThrow(/cannot store TEXT/);
});

test('sessions file - once it is closed, publishing rejects', async () => {
  const { file, put } = scene();
  await file.close();
  file.write(put, 't', 'x');
  await expect(file.synced()).rejects.toMatchObject({ code: 'disk', retryable: true });
});

test('sessions file - another thread checkpoints it: the log does not grow without limit', async () => {
  const { path, file, put } = scene();
  const checkpointer = createCheckpointer({ path, everyMs: 5 }, log);
  checkpointer.start();
  const size = (suffix = '') => statSync(`${path}${suffix}`).size;
  const write = () => {
    for (let i = 0; i < 100; i++) file.write(put, `t/${i}`, 'x'.repeat(20_000));
    return file.synced();
  };
  await write();
  await until(() => size() > 2_000_000, 'the checkpoint');
  const log1 = size('-wal');
  for (let round = 0; round < 3; round++) {
    const before = statSync(path).mtimeMs;
    await write();
    await until(() => statSync(path).mtimeMs > before, 'the next checkpoint');
  }
  expect(size('-wal')).toBeLessThan(log1 * 1.5);
  checkpointer.stop();
  await file.close();
});

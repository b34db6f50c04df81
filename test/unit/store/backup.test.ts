import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { checkTogether } from '../../../app/backup.ts';
import {
  type BackupFile,
  type BackupSource,
  type Backups,
  copyDatabase,
  copyFolder,
  createBackups,
  openDatabase,
  refuseUnfinished,
  restoreBackup,
} from '../../../store/index.ts';
import { testClock } from '../../kit/ingest/intake.ts';
import { othersIn } from '../../kit/store/modes.ts';
import { until } from '../../kit/wait.ts';

const BINS = { room: 'bins', steps: ['create table bins (id integer primary key, fill real) strict'] };
const NIGHT = Date.UTC(2026, 5, 15, 2, 10);
const DAY_MS = 86_400_000;

let dir: string;
let db: DatabaseSync;
let steps: string[];
const clock = testClock();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-backup-'));
  mkdirSync(join(dir, 'data'));
  mkdirSync(join(dir, 'backups'));
  db = openDatabase(join(dir, 'data', 'bins.sqlite'), { schemas: [BINS] });
  db.exec('insert into bins values (1, 0.5)');
  steps = [];
  clock.ms = NIGHT;
});

function source(name: string, copy: BackupSource['copy']): BackupSource {
  return {
    name,
    copy(to) {
      steps.push(name);
      return copy(to);
    },
  };
}
const bins = () =>
  source('bins.sqlite', async (to) => {
    await copyDatabase(join(dir, 'data', 'bins.sqlite'), to);
    return { newest: 1 };
  });
const lamps = () =>
  source('lamps.duckdb', async (to) => {
    writeFileSync(to, 'lamps');
    return {};
  });

function backups(sources: readonly BackupSource[] = [bins(), lamps()], changes: object = {}): Backups {
  return createBackups({
    sources,
    check: () => {},
    hold: async () => void steps.push('hold'),
    onDone() {},
    letGo: async () => void steps.push('let go'),
    about: () => ({ lamppost: '1.2.3', city: 'c1' }),
    folder: join(dir, 'backups'),
    clock,
    log: pino({ level: 'silent' }),
    ...changes,
  });
}

/** Runs a backup to its end. */
async function ended(made: Backups, to?: string) {
  made.begin(to);
  while (made.last()!.state === 'running') await new Promise((resolve) => setImmediate(resolve));
  return made.last()!;
}

describe('a backup', () => {
  test('has every file as it stood, in order, while deleting is held; and a manifest of its contents', async () => {
    const job = await ended(backups());
    const path = join(dir, 'backups', 'lamppost-2026-06-15T02-10-00Z');
    const at = '2026-06-15T02:10:00.000Z';
    const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'));
    expect(steps).toEqual(['hold', 'bins.sqlite', 'lamps.duckdb', 'let go']);
    expect(manifest).toEqual({
      format: 1,
      lamppost: '1.2.3',
      city: 'c1',
      startedAt: at,
      endedAt: at,
      files: [
        { name: 'bins.sqlite', bytes: expect.any(Number), sha256: expect.any(String), positions: { newest: 1 } },
        // sha256sum of the five letters.
        {
          name: 'lamps.duckdb',
          bytes: 5,
          sha256: 'dfe0b81f6809a85a837617a7b1a10e3e59cbc7398905cad430dbe35af55dbb58',
          positions: {},
        },
      ],
    });
    const bytes = manifest.files[0].bytes + 5;
    expect(job).toEqual({ state: 'done', path, startedAt: at, endedAt: at, bytes, error: null });
    expect(readdirSync(path).toSorted()).toEqual(['bins.sqlite', 'lamps.duckdb', 'manifest.json']);
    const copy = new DatabaseSync(join(path, 'bins.sqlite'), { readOnly: true });
    expect(copy.prepare('select * from bins').all()).toEqual([{ id: 1, fill: 0.5 }]);
    copy.close();
  });

  test('of a folder has every complete file, by name; and restores it', async () => {
    const photos = join(dir, 'data', 'photos');
    mkdirSync(photos);
    for (const [name, text] of [
      ['b.jpg', 'bb'],
      ['a.jpg', 'a'],
      ['c.part', 'half'],
    ])
      writeFileSync(join(photos, name!), text!);
    const folder = (name: string) =>
      source(name, async (to) => {
        await copyFolder(join(dir, 'data', name), to);
        return {};
      });
    const { path, bytes } = await ended(backups([folder('photos'), folder('never')]));
    const { files } = await restoreBackup(path, join(dir, 'restored'));
    expect(files.map(({ name, bytes: size }) => [name, size])).toEqual([
      ['photos/a.jpg', 1],
      ['photos/b.jpg', 2],
    ]);
    expect(bytes).toBe(3);
    expect(readFileSync(join(dir, 'restored', 'photos', 'b.jpg'), 'utf8')).toBe('bb');
    writeFileSync(join(path, 'photos', 'b.jpg'), 'bc');
    await expect(restoreBackup(path, join(dir, 'again'))).rejects.toThrow(/photos.b\.jpg is damaged/);
    expect(readdirSync(join(dir, 'again'))).toEqual([]);
  });

  test('of a file that is written to all the time is one moment of it', async () => {
    const insert = db.prepare('insert into bins select max(id) + 1, 0 from bins');
    let writing = true;
    const writer = (async () => {
      while (writing) {
        for (let i = 0; i < 20; i++) insert.run();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let i = 0; i < 5; i++) {
      await copyDatabase(join(dir, 'data', 'bins.sqlite'), join(dir, `copy-${i}`));
      const copy = new DatabaseSync(join(dir, `copy-${i}`));
      const [row] = copy.prepare('select count(*) as n, max(id) as last from bins').all();
      expect(row!.n).toBe(row!.last);
      expect(copy.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' });
      copy.close();
    }
    writing = false;
    await writer;
  });

  test('that fails leaves nothing, reports why, and lets go; the next one may succeed', async () => {
    let broken = true;
    const made = backups([
      bins(),
      source('lamps.duckdb', async (to) => {
        writeFileSync(to, 'half');
        if (broken) throw new Error('the lamp is out');
        return {};
      }),
    ]);
    expect(await ended(made)).toMatchObject({ state: 'failed', bytes: null, error: 'the lamp is out' });
    expect(readdirSync(join(dir, 'backups'))).toEqual([]);
    expect(steps.at(-1)).toBe('let go');
    expect(made.newestMs()).toBe(0);
    broken = false;
    expect(await ended(made)).toMatchObject({ state: 'done', error: null });
    expect(made.newestMs()).toBe(NIGHT);
  });

  test('is the newest also after a restart, with those that are no backups beside it', async () => {
    await ended(backups());
    clock.ms += DAY_MS;
    await ended(backups());
    mkdirSync(join(dir, 'backups', 'lost+found'));
    const half = join(dir, 'backups', 'lamppost-2026-06-17T02-10-00Z');
    mkdirSync(half);
    writeFileSync(join(half, 'manifest.json'), '{');
    const restarted = backups();
    expect(restarted.newestMs(), 'not none, before the folder has been read').toBeNull();
    await until(() => restarted.newestMs() === NIGHT + DAY_MS, 'the newest backup');
    expect(restarted.last()).toBeNull();
    expect(backups([], { folder: null }).newestMs()).toBe(0);
  });

  test('whose files do not fit together fails', async () => {
    const check = () => {
      throw new Error('blocks are missing');
    };
    expect(await ended(backups([bins()], { check }))).toMatchObject({ state: 'failed', error: 'blocks are missing' });
    expect(readdirSync(join(dir, 'backups'))).toEqual([]);
  });

  test('is one at a time, in a new folder with an existing parent; an unfinished one is named', async () => {
    const made = backups();
    const job = made.begin();
    expect(() => made.begin()).toThrow(
      expect.objectContaining({ code: 'conflict', message: expect.stringMatching(/runs: wait/) }),
    );
    await made.stop();
    const again = backups();
    const to = (path: string) => () => again.begin(path);
    const folder = join(dir, 'backups');
    expect(to('monday')).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(to(join(folder, 'nowhere', 'monday'))).toThrow(expect.objectContaining({ code: 'invalid' }));
    mkdirSync(join(folder, 'data'));
    expect(to(join(folder, 'data'))).toThrow(expect.objectContaining({ code: 'conflict' }));
    mkdirSync(join(folder, 'monday.part'));
    expect(to(join(folder, 'monday'))).toThrow(/monday\.part is left of a backup that was interrupted: delete it/);
    const nowhere = backups([bins()], { folder: null });
    for (const path of [undefined, join(folder, 'tuesday')]) {
      expect(() => nowhere.begin(path)).toThrow(
        expect.objectContaining({ code: 'invalid', message: expect.stringMatching(/set LAMPPOST_BACKUP_DIR/) }),
      );
    }
    expect(job.state).toBe('running');
  });

  test('goes into the folder of backups and nowhere else, not over `..` and not over a link', async () => {
    const folder = join(dir, 'backups');
    mkdirSync(join(folder, 'weekly'));
    symlinkSync(join(dir, 'data'), join(folder, 'elsewhere'));
    symlinkSync(join(folder, 'weekly'), join(folder, 'inside'));
    symlinkSync(join(dir, 'nothing'), join(folder, 'dangling'));
    const made = backups();
    const outside = expect.objectContaining({
      code: 'invalid',
      message: expect.stringContaining(`is not in ${folder}`),
    });
    for (const path of [
      join(dir, 'monday'),
      `${folder}-2`,
      folder,
      `${folder}/`,
      `${folder}/../monday`,
      `${folder}/weekly/../monday`,
      `${folder}/..`,
      join(folder, 'elsewhere', 'monday'),
      `${folder}/mon\0day`,
      '/etc/cron.d/monday',
      '/',
    ])
      expect(() => made.begin(path), path).toThrow(outside);
    expect(() => made.begin(join(folder, 'x'.repeat(300)))).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining('cannot be used: ENAMETOOLONG') }),
    );
    expect(() => made.begin(join(folder, 'dangling'))).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(readdirSync(dir).toSorted()).toEqual(['backups', 'data']);
    for (const path of [join(folder, 'weekly', 'monday'), join(folder, 'inside', 'tuesday'), `${folder}/..monday/`])
      expect(await ended(made, path)).toMatchObject({ state: 'done' });
    expect(readdirSync(join(folder, 'weekly'))).toEqual(['monday', 'tuesday']);
  });

  test('is its owner’s only, whatever the folder and the copied files allow', async () => {
    chmodSync(join(dir, 'backups'), 0o755);
    mkdirSync(join(dir, 'data', 'photos'));
    writeFileSync(join(dir, 'data', 'photos', 'a.jpg'), 'a');
    chmodSync(join(dir, 'data', 'photos', 'a.jpg'), 0o644);
    const photos = source('photos', async (to) => {
      await copyFolder(join(dir, 'data', 'photos'), to);
      return {};
    });
    const { path } = await ended(backups([bins(), lamps(), photos]));
    await restoreBackup(path, join(dir, 'restored'));
    for (const folder of [path, join(dir, 'restored')]) expect(othersIn(folder)).toEqual([]);
    expect(statSync(join(dir, 'backups')).mode & 0o777).toBe(0o755);
  });

  test('that runs at a stop is cancelled after the file that is being copied', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const made = backups([
      source('bins.sqlite', async () => {
        await promise;
        return {};
      }),
      lamps(),
    ]);
    made.begin();
    while (steps.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const stopped = made.stop();
    resolve();
    await stopped;
    expect(made.last()).toMatchObject({ state: 'failed', error: 'the server stops' });
    expect(steps).toEqual(['hold', 'bins.sqlite', 'let go']);
    expect(readdirSync(join(dir, 'backups'))).toEqual([]);
  });

  test('at night keeps the newest, deletes older and unfinished ones, and touches nothing else', async () => {
    const made = backups();
    const folder = join(dir, 'backups');
    mkdirSync(join(folder, 'lamppost-2026-06-01T02-10-00Z.part'));
    mkdirSync(join(folder, 'by-hand'));
    mkdirSync(join(folder, 'by-hand.part'));
    const deleted = [];
    for (let night = 0; night < 4; night++, clock.ms += DAY_MS) deleted.push((await made.nightly(2)).deleted);
    expect(deleted).toEqual([1, 0, 1, 1]);
    expect(readdirSync(folder).toSorted()).toEqual([
      'by-hand',
      'by-hand.part',
      'lamppost-2026-06-17T02-10-00Z',
      'lamppost-2026-06-18T02-10-00Z',
    ]);
    const failing = backups([source('bins.sqlite', () => Promise.reject(new Error('no')))]);
    clock.ms += DAY_MS;
    await expect(failing.nightly(2)).rejects.toMatchObject({
      code: 'disk',
      message: expect.stringMatching(/Z failed: no$/),
    });
    expect(readdirSync(folder)).toHaveLength(4);
  });
});

describe('a restore', () => {
  let backup: string;
  let data: string;
  beforeEach(async () => {
    backup = (await ended(backups())).path;
    data = join(dir, 'restored');
  });
  const refusal = (code: string, message: RegExp) =>
    expect.objectContaining({ name: 'LamppostError', code, message: expect.stringMatching(message) });
  const nothingLeft = () => expect(existsSync(data) ? readdirSync(data) : []).toEqual([]);

  test('copies every file into a folder that does not exist yet, or is empty', async () => {
    for (const to of [data, join(dir, 'empty')]) {
      if (to !== data) mkdirSync(to);
      expect((await restoreBackup(backup, to)).city).toBe('c1');
      expect(readdirSync(to).toSorted()).toEqual(['bins.sqlite', 'lamps.duckdb']);
      refuseUnfinished(to);
      const restored = openDatabase(join(to, 'bins.sqlite'), { schemas: [BINS] });
      expect(restored.prepare('select * from bins').all()).toEqual([{ id: 1, fill: 0.5 }]);
      restored.close();
    }
  });

  test('refuses a folder that is not empty, and leaves it unchanged', async () => {
    mkdirSync(data);
    writeFileSync(join(data, 'bins.sqlite'), 'mine');
    await expect(restoreBackup(backup, data)).rejects.toThrow(refusal('conflict', /restored is not empty/));
    expect(readFileSync(join(data, 'bins.sqlite'), 'utf8')).toBe('mine');
  });

  test.each<[string, RegExp, (path: string) => void]>([
    [
      'without its manifest',
      /not a complete backup: it has no manifest\.json/,
      (path) => rmSync(join(path, 'manifest.json')),
    ],
    ['with half a manifest', /not the manifest of a backup/, (path) => writeFileSync(join(path, 'manifest.json'), '{')],
    ['of another format', /format/, (path) => edit(path, (text) => text.replace('"format": 1', '"format": 2'))],
    [
      'that names files elsewhere',
      /name/,
      (path) => edit(path, (text) => text.replace('lamps.duckdb', '../lamps.duckdb')),
    ],
    ['that lacks a file', /lamps\.duckdb is missing/, (path) => rmSync(join(path, 'lamps.duckdb'))],
    [
      'with a file cut off',
      /has 4 bytes; its manifest says 5/,
      (path) => writeFileSync(join(path, 'lamps.duckdb'), 'lamp'),
    ],
    [
      'with one letter changed',
      /is damaged: its SHA-256/,
      (path) => writeFileSync(join(path, 'lamps.duckdb'), 'lamqs'),
    ],
  ])('refuses a backup %s, and leaves nothing', async (_, message, damage) => {
    damage(backup);
    await expect(restoreBackup(backup, data)).rejects.toThrow(refusal('invalid', message));
    nothingLeft();
  });

  test('refuses a database that was damaged before it was copied', async () => {
    const broken = join(dir, 'broken.sqlite');
    copyFileSync(join(backup, 'bins.sqlite'), broken);
    const inside = new DatabaseSync(broken);
    inside.exec('create index fills on bins (fill)');
    for (let id = 2; id < 500; id++) inside.exec(`insert into bins values (${id}, 0.5)`);
    inside.close();
    const bytes = readFileSync(broken);
    bytes.fill(0, 6 * 4096 + 2_000, 6 * 4096 + 3_000);
    writeFileSync(broken, bytes);
    const copy = source('bins.sqlite', async (to) => {
      copyFileSync(broken, to);
      return {};
    });
    const { path } = await ended(backups([copy]), join(dir, 'backups', 'broken'));
    await expect(restoreBackup(path, data)).rejects.toThrow(refusal('invalid', /bins\.sqlite is damaged/));
    nothingLeft();
  });

  test('that was interrupted is named at the start', () => {
    mkdirSync(data);
    writeFileSync(join(data, 'restore-unfinished'), '');
    expect(() => refuseUnfinished(data)).toThrow(refusal('disk', /a restore was interrupted: empty it/));
  });
});

const edit = (path: string, change: (text: string) => string) =>
  writeFileSync(join(path, 'manifest.json'), change(readFileSync(join(path, 'manifest.json'), 'utf8')));

describe('checkTogether', () => {
  const files = (state: object, cursor: number, journal: object) =>
    Object.entries({ 'state.sqlite': state, 'history.duckdb': { cursor }, 'journal.sqlite': journal }).map(
      ([name, positions]) => ({ name, positions, bytes: 0, sha256: '' }) as BackupFile,
    );
  const state = { rules: 20, checkpoint: 10, ledger: 15 };

  test.each([
    ['every block from the checkpoint on', state, 25, { oldest: 11, newest: 25 }],
    ['more than that', state, 25, { oldest: 1, newest: 99 }],
    ['all there is of a new server', { rules: 0, checkpoint: 0, ledger: 0 }, 0, { oldest: 1, newest: 1 }],
  ])('is content with %s', (_, ...parts) => {
    expect(() => checkTogether(files(...parts))).not.toThrow();
  });

  test.each([
    ['the block after the checkpoint is gone', state, 25, { oldest: 12, newest: 25 }, '11 to 25'],
    ['the block after the ledger is gone', { ...state, ledger: 5 }, 25, { oldest: 7, newest: 25 }, '6 to 25'],
    ['the history has more than the journal', state, 25, { oldest: 1, newest: 24 }, '11 to 25'],
    ['the rules had more than the journal', state, 0, { oldest: 1, newest: 19 }, '11 to 20'],
  ])('refuses where %s', (_, one, cursor, journal, needed) => {
    const error = expect.objectContaining({ code: 'busy', message: expect.stringContaining(`need blocks ${needed}`) });
    expect(() => checkTogether(files(one, cursor, journal))).toThrow(error);
  });
});

import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { goodSnapshot, newestSnapshot } from '../../../app/snapshots.ts';
import { isoOf } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { MANIFEST, type Manifest, sha256Of } from '../../../store/index.ts';

let dir: string;
let journal: string;
let store: JournalStore;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-snapshots-'));
  mkdirSync(join(dir, 'backups'));
  journal = join(dir, 'journal.sqlite');
  store = new JournalStore(journal).open();
  append(3);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

function append(blocks: number): void {
  for (let i = 0; i < blocks; i++) store.appendMessages(Buffer.from(`${i}`), 1, 1_000);
}

/** A backup of the log as it is now, whose state has read up to `checkpoint`. */
async function backUp(name: string, checkpoint: number, atMs: number): Promise<string> {
  const to = join(dir, 'backups', name);
  mkdirSync(to);
  store.close();
  copyFileSync(journal, join(to, 'journal.sqlite'));
  store.open();
  writeFileSync(join(to, 'state.sqlite'), name);
  const files = await Promise.all(
    readdirSync(to).map(async (file) => ({
      name: file,
      bytes: statSync(join(to, file)).size,
      sha256: await sha256Of(join(to, file)),
      positions: file === 'state.sqlite' ? { checkpoint, ledger: checkpoint + 1 } : {},
    })),
  );
  const at = isoOf(atMs);
  const manifest: Manifest = { format: 1, lamppost: '1.0.0', city: 'c1', startedAt: at, endedAt: at, files };
  writeFileSync(join(to, MANIFEST), JSON.stringify(manifest));
  return to;
}

test('snapshots - the newest good backup counts, by the time at which it began; the log leads on from what its state has read', async () => {
  expect(await newestSnapshot(join(dir, 'backups'), journal)).toBeNull();
  await backUp('zulu', 1, 1_000);
  append(2);
  const alpha = await backUp('alpha', 3, 2_000);
  append(1);
  expect(await newestSnapshot(join(dir, 'backups'), journal)).toMatchObject({ dir: alpha, from: 4 });
});

test('snapshots - one with a changed byte, a missing file, or of another log is not good, and it is said why', async () => {
  const good = await backUp('good', 1, 1_000);
  const changed = await backUp('changed', 2, 2_000);
  writeFileSync(join(changed, 'state.sqlite'), 'chanGed');
  const missing = await backUp('missing', 2, 3_000);
  rmSync(join(missing, 'state.sqlite'));
  const bad: string[] = [];
  const found = await newestSnapshot(join(dir, 'backups'), journal, (_dir, why) => bad.push(why));
  expect(found).toMatchObject({ dir: good });
  expect(bad).toEqual([
    `${join(missing, 'state.sqlite')} is missing or damaged: it is not what the manifest says`,
    `${join(changed, 'state.sqlite')} is missing or damaged: it is not what the manifest says`,
  ]);

  const other = join(dir, 'other.sqlite');
  const another = new JournalStore(other).open();
  for (let i = 0; i < 5; i++) another.appendMessages(Buffer.from(`${i}`), 1, 2_000);
  another.close();
  await expect(goodSnapshot(good, other)).rejects.toThrow('block 3 of the log is another one');
  cpSync(journal, other, { force: true });
  expect(await goodSnapshot(good, other)).toMatchObject({ from: 2 });
});

import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { followedTo } from '../broker/index.ts';
import { MEDIA_FOLDER } from '../citizens/index.ts';
import { LamppostError } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import { createLedgerStore } from '../ingest/index.ts';
import { JournalReader, missingBlocks } from '../journal/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import { type BackupFile, type BackupSource, copyDatabase, copyFolder } from '../store/index.ts';

/** The file of what secrets of webhooks are sealed with, where no setting has it. */
export const SECRETS_KEY_FILE = 'secrets.key';

interface Options {
  readonly dir: string;
  /** Copies the embedded history and resolves to its cursor; null with InfluxDB, which has backups of its own. */
  readonly copyHistory: ((to: string) => Promise<number>) | null;
}

/**
 * The files of a data folder, in the order in which a backup copies them. They belong to different rooms and change
 * while they are copied, so only the order makes the copies fit together:
 * - Deliveries and sessions before the state: their places are in its outbox. Some events are then sent again; none is
 *   lost.
 * - The history after the state: blocks that only the history has are counted again without being stored again (ADR 5).
 * - The journal after both: it has every block from which they were made.
 * - Reporters and photos after the state: they are stored before their ticket, so no ticket in the copy lacks its own.
 */
export function backupSources({ dir, copyHistory }: Options): BackupSource[] {
  const file = (name: string, positions: (copy: string) => BackupFile['positions'] = () => ({})): BackupSource => ({
    name,
    async copy(to) {
      await copyDatabase(join(dir, name), to);
      return positions(to);
    },
  });
  const folder = (name: string): BackupSource => ({
    name,
    async copy(to) {
      await copyFolder(join(dir, name), to);
      return {};
    },
  });
  const key: BackupSource = {
    name: SECRETS_KEY_FILE,
    async copy(to) {
      await copyFile(join(dir, SECRETS_KEY_FILE), to);
      return {};
    },
  };
  const history: BackupSource[] =
    copyHistory === null ? [] : [{ name: 'history.duckdb', copy: async (to) => ({ cursor: await copyHistory(to) }) }];
  return [
    file('deliveries.sqlite'),
    file('sessions.sqlite', ofSessions),
    file('state.sqlite', ofState),
    ...history,
    file('journal.sqlite', ofJournal),
    file('reporters.sqlite'),
    folder(MEDIA_FOLDER),
    ...(existsSync(join(dir, SECRETS_KEY_FILE)) ? [key] : []),
  ];
}

/** The block up to which the sessions of a node of a cluster are; none on one machine. */
function ofSessions(copy: string): BackupFile['positions'] {
  const db = new DatabaseSync(copy, { readOnly: true });
  const followed = followedTo(db);
  db.close();
  return followed === null ? {} : { followed };
}

/** Positions of the state: numbers of blocks, and of the newest event. */
function ofState(copy: string): BackupFile['positions'] {
  const db = new DatabaseSync(copy, { readOnly: true });
  const rules = createConsumerStore(db).progress();
  const positions = {
    rules: rules?.cursor ?? 0,
    checkpoint: rules?.checkpoint ?? 0,
    ledger: createLedgerStore(db).cursor(),
    events: createOutboxReader(db).head(),
  };
  db.close();
  return positions;
}

/** Positions of the journal: its oldest and newest block, and the number of messages ever received. */
function ofJournal(copy: string): BackupFile['positions'] {
  const journal = new JournalReader(copy).open();
  const { seq, messages } = journal.head();
  const positions = { oldest: journal.after(0, 1)[0]?.seq ?? 0, newest: seq, messages };
  journal.close();
  return positions;
}

/** Throws `busy` where the copy of the journal lacks a block that a start with these files would need. */
export function checkTogether(files: readonly BackupFile[]): void {
  const of = (name: string) => files.find((file) => file.name === name)?.positions ?? {};
  const { rules = 0, checkpoint = 0, ledger = 0 } = of('state.sqlite');
  const { cursor = 0 } = of('history.duckdb');
  const { followed = checkpoint } = of('sessions.sqlite');
  const { oldest = 0, newest = 0 } = of('journal.sqlite');
  const read = {
    newest: Math.max(rules, ledger, cursor, followed),
    checkpoint: Math.min(checkpoint, followed),
    ledger,
  };
  const missing = missingBlocks(read, { oldest, newest });
  if (missing !== null) throw new LamppostError('busy', `the copies do not go together: ${missing}`);
}

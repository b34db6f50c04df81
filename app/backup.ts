import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MEDIA_FOLDER } from '../citizens/index.ts';
import { LamppostError } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import { createLedgerStore } from '../ingest/index.ts';
import { JournalReader, missingBlocks } from '../journal/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import { type BackupFile, type BackupSource, copyDatabase, copyFolder } from '../store/index.ts';

interface Options {
  readonly dir: string;
  /** Copies the embedded history and resolves to its cursor; null with InfluxDB, which has backups of its own. */
  readonly copyHistory: ((to: string) => Promise<number>) | null;
}

/**
 * The files of a data folder, in the order in which a backup copies them. They belong to different rooms and change
 * while they
 * are copied, so only the order makes the copies fit together:
 * - Deliveries before the state: their cursor points into its outbox. Some events are then sent again; none is lost.
 * - Sessions after the state, for the same reason: the outbox brings them up to date.
 * - The history after the state: blocks that only the history has are counted again without being stored again (ADR 5).
 * - The journal after both: it has every block from which they were made.
 * - The registry after the journal: a start appends to the journal what it lacks of the registry.
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
  const history: BackupSource[] =
    copyHistory === null ? [] : [{ name: 'history.duckdb', copy: async (to) => ({ cursor: await copyHistory(to) }) }];
  return [
    file('deliveries.sqlite'),
    file('state.sqlite', ofState),
    file('sessions.sqlite'),
    ...history,
    file('journal.sqlite', ofJournal),
    file('registry.sqlite'),
    file('reporters.sqlite'),
    folder(MEDIA_FOLDER),
  ];
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
  const { oldest = 0, newest = 0 } = of('journal.sqlite');
  const missing = missingBlocks({ newest: Math.max(rules, ledger, cursor), checkpoint, ledger }, { oldest, newest });
  if (missing !== null) throw new LamppostError('busy', `the copies do not go together: ${missing}`);
}

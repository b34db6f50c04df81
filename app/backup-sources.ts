import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MEDIA_FOLDER } from '../citizens/index.ts';
import { LamppostError } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import { createLedgerStore } from '../ingest/index.ts';
import { JournalReader, missingBlocks } from '../journal/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import { type BackupFile, type BackupSource, copyDatabase, copyFolder } from '../store/index.ts';

interface Owners {
  readonly dir: string;
  /** Copies the embedded history; null where an InfluxDB is the history, which has backups of its own. */
  readonly copyHistory: ((to: string) => Promise<number>) | null;
}

/**
 * The files of a data folder in the order in which a backup copies them: the history after the state, because blocks that
 * it has and the state has not are counted again without being stored again (ADR 5); the journal after both, so that it has
 * every block they came from; the registry after the journal, because what the journal lacks of it is told to it at
 * the start. A file with a cursor into the outbox belongs before the state, one that the outbox is brought to after it: then
 * events are told again rather than never. Reporters and photos are kept before their ticket is, so they come after the
 * state: no ticket lacks its own.
 */
export function backupSources({ dir, copyHistory }: Owners): BackupSource[] {
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

/** Numbers of blocks, and of the newest event. */
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

/** Numbers of blocks, and how many messages ever came in. */
function ofJournal(copy: string): BackupFile['positions'] {
  const journal = new JournalReader(copy).open();
  const { seq, messages } = journal.head();
  const positions = { oldest: journal.after(0, 1)[0]?.seq ?? 0, newest: seq, messages };
  journal.close();
  return positions;
}

/** Throws `busy` where the journal's copy lacks a block that a start over these files would need. */
export function checkTogether(files: readonly BackupFile[]): void {
  const of = (name: string) => files.find((file) => file.name === name)?.positions ?? {};
  const { rules = 0, checkpoint = 0, ledger = 0 } = of('state.sqlite');
  const { cursor = 0 } = of('history.duckdb');
  const { oldest = 0, newest = 0 } = of('journal.sqlite');
  const missing = missingBlocks({ newest: Math.max(rules, ledger, cursor), checkpoint, ledger }, { oldest, newest });
  if (missing !== null) throw new LamppostError('busy', `the copies do not go together: ${missing}`);
}

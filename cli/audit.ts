import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type AuditFault, createAuditReader, type LoggedAction, loggedIn, verifyAudit } from '../actions/index.ts';
import { type ActionsControl, type AuditHead, LamppostError } from '../domain/index.ts';
import { JournalReader } from '../journal/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import type { AUDIT_VERIFY } from './flags.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

/** `audit verify`: checks the trail of a folder. Returns the exit code: 1 where an entry does not fit. */
export async function auditCommand(
  { flags }: Given<typeof AUDIT_VERIFY>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const verified = verifyFolder(flags.data ?? environment.LAMPPOST_DATA ?? './data');
  print(flags.json, verified, ({ entries, anchors, fault }) => [
    fault === null
      ? `audit: ${entries} entries and ${anchors} anchors in the log fit`
      : `audit: entry ${fault.n} does not fit: ${fault.why}`,
  ]);
  return verified.fault === null ? 0 : 1;
}

interface Verified {
  readonly entries: number;
  readonly anchors: number;
  readonly fault: AuditFault | null;
}

function verifyFolder(folder: string): Verified {
  const state = join(folder, 'state.sqlite');
  if (!existsSync(state)) throw new LamppostError('config', `${folder} is no data folder: it has no state.sqlite`);
  const db = new DatabaseSync(state, { readOnly: true });
  try {
    const reader = createAuditReader(db);
    // A running server goes on: what it decides from here on may be in the trail, and need not be.
    const decided = createConsumerStore(db).progress()?.cursor ?? 0;
    const { anchors, newest } = saidByLog(join(folder, 'journal.sqlite'), decided);
    const entries = Number(db.prepare('select count(*) as n from audit').get()!.n);
    return { entries, anchors: anchors.length, fault: verifyAudit(reader, anchors, newest) };
  } finally {
    db.close();
  }
}

const BLOCKS_AT_ONCE = 256;

/** What the log says about the trail, as far as it reaches back. */
interface Said {
  /** The heads of the trail that it names. */
  readonly anchors: readonly AuditHead[];
  /** Its newest actions up to a block, of which it may name no head yet. */
  readonly newest: readonly LoggedAction[];
}

function saidByLog(path: string, upTo: number): Said {
  const journal = new JournalReader(path).open();
  const anchors: AuditHead[] = [];
  let newest: LoggedAction[] = [];
  try {
    for (let seq = 0; ; ) {
      const blocks = journal.ofKind('actions', seq, BLOCKS_AT_ONCE);
      const controls = blocks.map(({ seq, body }) => {
        return { seq, ...(JSON.parse(Buffer.from(body).toString('utf8')) as ActionsControl) };
      });
      anchors.push(...controls.flatMap(({ anchor }) => anchor ?? []));
      const logged = controls.flatMap((control) => (control.seq <= upTo ? loggedIn(control.seq, control) : []));
      newest = [...newest, ...logged].slice(-MOST_NEWEST);
      if (blocks.length < BLOCKS_AT_ONCE) return { anchors, newest };
      seq = blocks.at(-1)!.seq;
    }
  } finally {
    journal.close();
  }
}

/** More than one record has, and than are on their way while the next one is appended. */
const MOST_NEWEST = 1_024;

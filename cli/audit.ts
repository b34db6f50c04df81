import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type AuditFault, createAuditReader, verifyAudit } from '../actions/index.ts';
import { type ActionsControl, type AuditHead, LamppostError } from '../domain/index.ts';
import { JournalReader } from '../journal/index.ts';
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
    const anchors = [...anchorsIn(join(folder, 'journal.sqlite'))];
    const entries = Number(db.prepare('select count(*) as n from audit').get()!.n);
    return { entries, anchors: anchors.length, fault: verifyAudit(reader, anchors) };
  } finally {
    db.close();
  }
}

const BLOCKS_AT_ONCE = 256;

/** The heads of the trail that the log names, as far as it reaches back. */
function* anchorsIn(path: string): Generator<AuditHead> {
  const journal = new JournalReader(path).open();
  try {
    for (let seq = 0; ; ) {
      const blocks = journal.ofKind('actions', seq, BLOCKS_AT_ONCE);
      for (const { body } of blocks) {
        const { anchor } = JSON.parse(Buffer.from(body).toString('utf8')) as ActionsControl;
        if (anchor !== null) yield anchor;
      }
      if (blocks.length < BLOCKS_AT_ONCE) return;
      seq = blocks.at(-1)!.seq;
    }
  } finally {
    journal.close();
  }
}

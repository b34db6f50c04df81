import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { JournalStore } from '../../../journal/index.ts';
import { journalDir, removeJournals } from '../../kit/journal/kit.ts';

afterAll(removeJournals);

const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(300) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('trim' as const), seq: fc.nat(40), most: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'open' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'of before' as const }) },
  ),
  { minLength: 1, maxLength: 40 },
);

/** Makes the blocks as a version wrote them that had no totals. */
function forgetTotals(path: string): void {
  const db = new DatabaseSync(path);
  db.exec('update blocks set total = null');
  db.close();
}

describe('journal', () => {
  test('knows the bytes that it keeps, whatever was appended, trimmed and opened again', () => {
    fc.assert(
      fc.property(steps, (some) => {
        const path = join(journalDir(), 'journal.sqlite');
        let store = new JournalStore(path).open();
        for (const step of some) {
          if (step.kind === 'append') store.appendMessages(new Uint8Array(step.bytes), 1, 1_000);
          else if (step.kind === 'trim') store.trim(step.seq, step.most);
          else {
            store.close();
            if (step.kind === 'of before') forgetTotals(path);
            store = new JournalStore(path).open();
          }
          const reader = new DatabaseSync(path, { readOnly: true });
          const { bytes } = reader.prepare('select coalesce(sum(length(body)), 0) as bytes from blocks').get()!;
          reader.close();
          expect(store.bytes).toBe(bytes);
        }
        store.close();
      }),
      { numRuns: 25 },
    );
  });
});

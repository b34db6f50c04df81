import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import { createThreadEffects } from '../../../../app/threads/effects.ts';
import { openStateFile } from '../../../../app/threads/state.ts';
import type { SessionDrop } from '../../../../domain/index.ts';
import { JournalReader, JournalStore } from '../../../../journal/index.ts';
import { createChecksumReader, createRulesConsumer } from '../../../../rules/index.ts';
import { atOnce } from '../../../../store/index.ts';
import { openIntake, testClock, testDir, write } from '../../../kit/ingest/intake.ts';

const START = 1_700_000_000_000;
const KEPT = 300;

const drop = (id: number): SessionDrop => ({
  ...{ id: `s${id}`, session: 'screen', user: 'screen', department: null, reason: 'expired', messages: 1 },
  ...{ fromMs: START, toMs: START },
});

/** A node that reads the log; after every so many blocks its process ends, and another one goes on. */
function node(name: string, dir: string, lives: number) {
  const path = join(dir, name);
  mkdirSync(path);
  let read = 0;
  const open = () => {
    const db = openStateFile(path);
    const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
    const { context, intake } = openIntake(db);
    const log = pino({ level: 'silent' });
    const forEver = { auditMs: Number.MAX_SAFE_INTEGER, quarantineMs: Number.MAX_SAFE_INTEGER };
    const { effects, blocks, checksum } = createThreadEffects({ db, context, log, ...forEver, eventsKept: KEPT });
    const clock = testClock();
    const rules = createRulesConsumer({
      ...{ db, journal, intake, context, clock, log, blocks, checksum, onEffects() {} },
      effects: (transition, more) => void effects.apply({ transition, ...more }),
    });
    atOnce(rules.start());
    const close = () => {
      rules.checkpoint();
      for (const one of [db, journal]) one.close();
    };
    return { db, rules, close };
  };
  let life = open();
  for (let count = -1; count !== 0; ) {
    count = life.rules.step().length;
    read += count;
    if (read < lives) continue;
    life.close();
    life = open();
    read = 0;
  }
  life.rules.checkpoint();
  const ids = life.db.prepare('select n, id from outbox order by n').all();
  const found = { ids, checksum: createChecksumReader(life.db)() };
  life.close();
  return found;
}

test('outbox - which events are kept follows from the log, so a notice that comes again is an event on all nodes or on none', () => {
  const dir = testDir();
  const journal = new JournalStore(join(dir, 'journal.sqlite')).open();
  const notices = (...ids: number[]) =>
    write(journal, { kind: 'notices', atMs: START, body: { drops: ids.map(drop), logins: [] } });
  for (let id = 0; id < 900; id += 9) notices(...Array.from({ length: 9 }, (_, i) => id + i));
  // One that has gone, and one that is kept.
  notices(3, 899);
  for (let i = 0; i < 1_000; i++) write(journal, { kind: 'tick', atMs: START + i, body: {} });
  journal.close();
  const [one, other] = [node('a', dir, 1e9), node('b', dir, 7)];
  expect(one).toEqual(other);
  expect(one.ids.at(-1)).toMatchObject({ n: 901, id: 's3.session' });
  expect(one.ids.length).toBeGreaterThanOrEqual(KEPT);
  expect(one.ids.length).toBeLessThan(KEPT + 256);
  expect(one.checksum).toMatchObject({ since: 0, newest: { seq: 101 }, marks: [{ seq: 1_000 }] });
  expect(one.checksum.marks[0]!.hash).toBe(one.checksum.newest.hash);
});

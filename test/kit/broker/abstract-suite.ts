/**
 * Runs the suite that aedes-persistence ships for any persistence, unmodified, against ours: `node --test` on this
 * file. Its tests of outgoing messages do not apply: our queues are in the outbox, and Aedes sends none of them.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { Sessions } from '../../../broker/index.ts';
import { systemClock } from '../../../domain/index.ts';
import { MemoryOutbox } from './outbox.ts';

type Suite = (options: { test: typeof test; persistence: () => unknown; testAsync: true }) => void;
const abstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js') as Suite;

const deps = {
  clock: systemClock,
  log: pino({ level: 'silent' }),
  newId: randomUUID,
  ownerOf: (user: string) => ({ user, secret: Buffer.alloc(32) }),
  mayRead: () => true,
  onArrived: () => {},
  onDownlink: () => {},
  waitingDownlinks: () => [],
  waiting: () => [],
  resting: () => null,
  outbox: new MemoryOutbox(),
};
const limits = { days: 7, messages: 10_000, bytes: 16 * 1024 * 1024, perUser: 100 };

abstractSuite({
  test,
  persistence() {
    const path = join(mkdtempSync(join(tmpdir(), 'lamppost-sessions-')), 'sessions.sqlite');
    return new Sessions(deps, path, limits).persistence;
  },
  testAsync: true,
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { type Clock, systemClock, unsteppedClock } from '../../../domain/index.ts';
import {
  createJournalAppender,
  type JournalAppender,
  type JournalLimits,
  JournalServer,
  type JournalSignal,
} from '../../../journal/index.ts';

const dirs: string[] = [];

/** Creates a folder for one journal. */
export function journalDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-journal-'));
  dirs.push(dir);
  return dir;
}

/** Removes all these folders. */
export function removeJournals(): void {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
}

/** A message that tests write and read. */
export interface Written {
  readonly identity: string;
  readonly topic: string;
  readonly payload: string;
}

/** A journal with its server and its appender in this thread. */
export interface WholeJournal {
  readonly path: string;
  readonly server: JournalServer;
  readonly appender: JournalAppender;
  readonly signal: JournalSignal;
  close(): void;
}

const PLENTY: JournalLimits & { tickMs: number } = { maxBytes: 1 << 30, retentionMs: 3_600_000, tickMs: 3_600_000 };

/** Opens a journal in a folder. Limits that are not given are generous. */
export function openJournal(
  dir: string,
  limits: Partial<typeof PLENTY> = {},
  patience: { patienceMs: number; retryMs: number } = { patienceMs: 10_000, retryMs: 5 },
  clock: Clock = systemClock,
  onLeadGone: () => void = () => {},
): WholeJournal {
  const path = join(dir, 'journal.sqlite');
  const signal = { counter: new Int32Array(new SharedArrayBuffer(4)) };
  const server = new JournalServer(
    { path, clock: unsteppedClock(clock), timekeeper: null, signal, onLeadGone },
    { ...PLENTY, ...limits },
  ).open();
  const { port1, port2 } = new MessageChannel();
  server.serve(port2);
  const appender = createJournalAppender(port1, unsteppedClock(clock), patience);
  appender.start();
  return {
    path,
    server,
    appender,
    signal,
    close() {
      appender.stop();
      server.stop();
    },
  };
}

/** Appends one message; resolves with the result for its publisher. */
export function append(journal: WholeJournal, message: Written): Promise<Error | null> {
  const route = journal.appender.route(message.identity, message.topic);
  return new Promise((resolve) => journal.appender.append(route, Buffer.from(message.payload), resolve));
}

/** Returns the payload of message `n`, from which a reader sees whether it is complete. Some are longer than a page. */
export function payloadOf(n: number): Buffer {
  return Buffer.from(`${n}:`.padEnd(n % 50 === 49 ? 30_000 : 20 + (n % 7) * 40, String(n)));
}

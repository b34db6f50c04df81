import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { LamppostError } from '../domain/index.ts';
import { keyFileFault, restoreReceivers } from '../notify/index.ts';
import { isDamage, PRIVATE_FILE, setAside } from '../store/index.ts';
import { SECRETS_KEY_FILE } from './backup.ts';
import { SIGNED_IN } from './people-deps.ts';

/** A file that was moved aside at this start, and made anew. */
export interface SetAside {
  readonly file: string;
  readonly aside: string;
  readonly why: string;
  readonly lost: string;
}

/** A file that serves only itself: without it, readings still come in and are counted. */
interface Aside {
  readonly file: string;
  /** Reads what a start reads: it fails where a table is missing or a text is no JSON. */
  readonly probes: readonly string[];
  readonly lost: string;
  /** Takes over what can still be read of the old file; returns what is lost then. */
  readonly salvage?: (from: string, to: string) => string;
}

export const ASIDE: readonly Aside[] = [
  {
    file: 'sessions.sqlite',
    probes: [
      'select sum(json(body) is null) from subscriptions',
      // A file of an earlier version has no such column, and is sound without it.
      "select (select sum(json(sent) is null) from sessions) from (select '[]' as sent)",
      'select count(*) from retained, (select count(*) from wills), (select count(*) from drops)',
    ],
    lost: 'kept MQTT sessions and their queues: clients subscribe again; open tickets are published again as retained',
  },
  {
    file: 'deliveries.sqlite',
    probes: [
      'select sum(cursor) from receivers',
      'select count(*) from outbox_known, (select count(*) from events), (select count(*) from deliveries)',
      'select count(*) from delivery_events, (select count(*) from attempts), (select count(*) from receiver_log)',
    ],
    lost: 'the log of deliveries; what was not delivered is made again from the outbox',
    salvage: restoreReceivers,
  },
  {
    file: 'reporters.sqlite',
    probes: ['select count(*) from reporters'],
    lost: 'what citizens wrote, their names and contacts: their requests stay, without them',
  },
  {
    file: SIGNED_IN,
    probes: ['select count(*) from web_sessions, (select count(*) from links), (select count(*) from codes)'],
    lost: 'who is signed in: people sign in again',
  },
];

/** What webhooks' secrets are sealed with, and nothing else is needed for. */
export const SECRETS_KEY = {
  file: SECRETS_KEY_FILE,
  lost:
    "the key of webhooks' secrets and people's authenticators: restore it from a backup with the server stopped; until " +
    'then, or until their secrets are rotated, events of webhooks wait',
} as const;

/** Files up to this size are read in full at every start, which takes well under a second. */
const SMALL_BYTES = 64 * 1024 ** 2;
const SUSPECTED = 'damage-suspected';

/** Makes the next start read every file that it may set aside, whatever its size. */
export function suspect(dir: string): void {
  try {
    writeFileSync(join(dir, SUSPECTED), '', { mode: PRIVATE_FILE });
  } catch {
    // A full disk: the next start reads the small ones.
  }
}

/**
 * Moves files that serve only themselves aside where they are damaged, so that they keep no reading out; the start
 * makes them anew. Returns what it moved, and logs each.
 */
export function setAsideDamaged(dir: string, nowMs: number, log: Pick<Logger, 'error'>): SetAside[] {
  const thorough = existsSync(join(dir, SUSPECTED));
  const moved = ASIDE.flatMap((one) => {
    const why = faultIn(join(dir, one.file), one.probes, thorough ? Number.POSITIVE_INFINITY : SMALL_BYTES);
    return why === null ? [] : [moveAside(dir, one, why, nowMs)];
  });
  const why = keyFileFault(join(dir, SECRETS_KEY.file));
  if (why !== null) moved.push(moveAside(dir, SECRETS_KEY, why, nowMs));
  for (const { file, aside, why, lost } of moved)
    log.error({ file, aside, lost }, `${file} is damaged (${why}): it was moved aside and made anew. Lost: ${lost}`);
  rmSync(join(dir, SUSPECTED), { force: true });
  return moved;
}

/** Moves one file aside and makes it anew from what can still be read. */
export function moveAside(
  dir: string,
  { file, lost, salvage }: Omit<Aside, 'probes'>,
  why: string,
  nowMs: number,
): SetAside {
  const path = join(dir, file);
  const aside = setAside(path, nowMs);
  const canBeRead = salvage !== undefined && statSync(aside).isFile();
  return { file, aside, why, lost: canBeRead ? salvage(aside, path) : lost };
}

/**
 * Returns what is wrong with a file; null where it is sound or does not exist. Throws `disk` where it cannot be read.
 */
function faultIn(path: string, probes: readonly string[], mostBytes: number): string | null {
  if (!existsSync(path)) return null;
  if (!statSync(path).isFile()) return 'it is no file';
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path);
    if (Number(db.prepare('select count(*) as n from sqlite_schema').get()!.n) === 0) return null;
    for (const probe of probes) db.prepare(probe).get();
    const pages = Number(db.prepare('pragma page_count').get()!.page_count);
    const bytes = pages * Number(db.prepare('pragma page_size').get()!.page_size);
    if (bytes > mostBytes) return null;
    const fault = db.prepare('pragma quick_check(1)').get()!.quick_check;
    return fault === 'ok' ? null : String(fault).replaceAll('\n', ' ');
  } catch (error) {
    if (!isDamage(error, true))
      throw new LamppostError('disk', `${path}: ${(error as Error).message}`, { cause: error });
    return (error as Error).message;
  } finally {
    db?.close();
  }
}

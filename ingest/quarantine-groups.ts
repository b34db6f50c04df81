import type { DatabaseSync } from 'node:sqlite';
import { isoOf, type QuarantineGroup, type Reason } from '../domain/index.ts';

/** Which groups are asked for: of some devices (absent: all), and of those that somebody may see (absent: all). */
export interface GroupQuery {
  readonly devices?: readonly string[];
  readonly owns?: (device: string) => boolean;
  /** Those with the most entries. */
  readonly limit: number;
}

/** Entries that are counted in one step: a few milliseconds. */
const COUNTED = 5_000;
const NOT_DISCARDED =
  'not exists (select 1 from quarantine_discarded m where m.position = q.position and m.ordinal = q.ordinal)';
const COUNTS = 'device, reason, count(*) as entries, max(position) as newest from quarantine q';

interface Counted {
  readonly device: string;
  readonly reason: Reason;
  readonly entries: number;
  readonly newest: number;
}

/**
 * Counts what is refused by device and reason, in steps; what was discarded is left out. The largest groups are first.
 */
export function* groupsOf(
  db: DatabaseSync,
  { devices, owns, limit }: GroupQuery,
): Generator<void, QuarantineGroup[], undefined> {
  const groups = new Map<string, Counted>();
  const rows = devices === undefined ? windows(db) : ofDevices(db, devices);
  for (const some of rows) {
    for (const { device, reason, entries, newest } of some) {
      if (owns !== undefined && !owns(device)) continue;
      const key = `${reason} ${device}`;
      const before = groups.get(key);
      const sum = (before?.entries ?? 0) + entries;
      groups.set(key, { device, reason, entries: sum, newest: Math.max(before?.newest ?? 0, newest) });
    }
    yield;
  }
  const received = db.prepare('select received_at from quarantine_raw where position = ?');
  return [...groups.values()]
    .sort((a, b) => b.entries - a.entries || b.newest - a.newest)
    .slice(0, limit)
    .map(({ newest, ...group }) => ({ ...group, newestAt: isoOf(Number(received.get(newest)!.received_at)) }));
}

function* ofDevices(db: DatabaseSync, devices: readonly string[]): Generator<Counted[], void, undefined> {
  const select = db.prepare(`select ${COUNTS} where device = ? and ${NOT_DISCARDED} group by reason`);
  for (const device of new Set(devices)) yield select.all(device) as unknown as Counted[];
}

/** Yields the counts of one window of messages after the other. */
function* windows(db: DatabaseSync): Generator<Counted[], void, undefined> {
  const end = db.prepare(
    'select max(position) as at from (select position from quarantine where position > ? order by position limit ?)',
  );
  const select = db.prepare(
    `select ${COUNTS} where position > ? and position <= ? and ${NOT_DISCARDED} group by device, reason`,
  );
  for (let after = -1; ; ) {
    const to = end.get(after, COUNTED)!.at as number | null;
    if (to === null) return;
    yield select.all(after, to) as unknown as Counted[];
    after = to;
  }
}

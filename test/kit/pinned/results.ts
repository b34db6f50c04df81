import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';

/** Device, metric, time and value. */
export type PinnedReading = readonly [device: string, metric: string, ts: number, value: number];

/** What a version made of the stream, by the names that every version has. */
export interface PinnedResults {
  /** The series `device metric` with the number of its readings, the last one, and the SHA-256 of all. */
  readonly readings: Readonly<Record<string, readonly [count: number, last: number, sha256: string]>>;
  /** `time rule group state value`, in order. */
  readonly alerts: readonly string[];
  /** The last version of each ticket; an entry of its history is `at by from to note`. */
  readonly tickets: readonly (Readonly<Record<string, unknown>> & { readonly history: readonly string[] })[];
  readonly ledger: object;
}

interface PinnedEvent {
  readonly type: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const TICKET = [
  ...['id', 'status', 'rule', 'group', 'service', 'department', 'district', 'severity', 'title', 'titleZh'],
  ...['openedAt', 'updatedAt', 'acknowledgeBy', 'dueAt'],
];
/** Whom a reminder goes to: how the note says so has changed since. */
const WHOM = /: \S+ is \w+$/;
const ENTRY = ['at', 'by', 'from', 'to', 'note'];

/** Returns the results of a state file with an outbox, and of the readings of a history. */
export function pinnedResults(db: DatabaseSync, rows: readonly PinnedReading[], ledger: object): PinnedResults {
  const events = db
    .prepare('select body from outbox order by n')
    .all()
    .map(({ body }) => JSON.parse(String(body)) as PinnedEvent);
  const alerts = events
    .filter(({ type }) => type.includes('.alert.'))
    .map(({ time, type, data }) => [time, data.rule, data.group, type.split('.').at(-1), data.value].join(' '));
  const tickets = new Map<unknown, { readonly history: Map<string, string> }>();
  for (const { type, data } of events) {
    if (!type.includes('.ticket.')) continue;
    // An event has the whole history, or what is new of it.
    const history = tickets.get(data.id)?.history ?? new Map<string, string>();
    for (const entry of data.history as Record<string, unknown>[]) {
      const shown = ENTRY.map((name) => entry[name]).join(' ');
      history.set(shown, shown.replace(WHOM, ''));
    }
    const shown = Object.fromEntries(TICKET.map((name) => [name, data[name]]));
    tickets.set(data.id, { ...shown, history });
  }
  const series = Map.groupBy(
    rows.toSorted(([, , a], [, , b]) => a - b),
    ([device, metric]) => `${device} ${metric}`,
  );
  const readings = [...series]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, all]) => {
      const text = all.map(([, , ts, value]) => `${ts} ${value}\n`).join('');
      return [
        name,
        [all.length, all.at(-1)![3], createHash('sha256').update(text).digest('hex').slice(0, 16)],
      ] as const;
    });
  const shown = [...tickets.values()].map((ticket) => ({ ...ticket, history: [...ticket.history.values()] }));
  return { readings: Object.fromEntries(readings), alerts, tickets: shown, ledger };
}

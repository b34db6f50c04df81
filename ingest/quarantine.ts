import type { DatabaseSync } from 'node:sqlite';
import type { Page, Quarantined, Reason } from '../domain/index.ts';
import type { Outcome } from './intake.ts';

/** SQL of the quarantine: the raw message once, and each thing that was refused of it. */
export const QUARANTINE_SCHEMA = `
  create table if not exists quarantine_raw (
    position integer primary key, topic text not null, received_at integer not null, payload blob not null
  ) strict;
  create table if not exists quarantine (
    position integer not null, ordinal integer not null, device text not null, scope text not null,
    reason text not null, path text not null, detail text not null, primary key (position, ordinal)
  ) strict, without rowid;
  create index if not exists quarantine_device on quarantine (device, position);
  create index if not exists quarantine_reason on quarantine (reason, position);
`;

/** The writing side. */
export interface QuarantineStore {
  /** Keeps what was refused; to be called inside a transaction; the same block again adds nothing. */
  keep(outcomes: readonly Outcome[]): void;
}

/** Opens the quarantine of a state file. */
export function createQuarantineStore(db: DatabaseSync): QuarantineStore {
  const keepRaw = db.prepare('insert or ignore into quarantine_raw values (?, ?, ?, ?)');
  const keepFault = db.prepare('insert or ignore into quarantine values (?, ?, ?, ?, ?, ?, ?)');
  return {
    keep(outcomes) {
      let position = -1;
      let ordinal = 0;
      for (const { refusals } of outcomes) {
        for (const one of refusals) {
          if (one.position !== position) {
            position = one.position;
            ordinal = 0;
            keepRaw.run(position, one.topic, one.receivedAt, one.raw);
          }
          keepFault.run(position, ordinal++, one.device, one.scope, one.reason, one.path, one.detail);
        }
      }
    },
  };
}

/** Which refusals to list, newest first. */
export interface QuarantineQuery {
  readonly device?: string;
  readonly reason?: Reason;
  readonly limit: number;
  /** Id of the last one of the page before. */
  readonly after: string | null;
}

/** Reads the quarantine from any thread. */
export function createQuarantineReader(db: DatabaseSync) {
  const page = db.prepare(`
    select q.*, r.topic, r.received_at, r.payload from quarantine q join quarantine_raw r using (position)
    where (?1 is null or device = ?1) and (?2 is null or reason = ?2) and (position, -ordinal) < (?3, ?4)
    order by position desc, ordinal limit ?5`);
  return {
    list({ device, reason, limit, after }: QuarantineQuery): Page<Quarantined> {
      const [position, ordinal] = (after ?? `${Number.MAX_SAFE_INTEGER}-0`).split('-').map(Number);
      const rows = page.all(device ?? null, reason ?? null, position ?? 0, -(ordinal ?? 0), limit + 1);
      const items = rows.slice(0, limit).map(quarantinedOf);
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
  };
}

function quarantinedOf(row: Record<string, unknown>): Quarantined {
  return {
    id: `${row.position}-${row.ordinal}`,
    device: row.device as string,
    topic: row.topic as string,
    receivedAt: new Date(Number(row.received_at)).toISOString(),
    scope: row.scope as Quarantined['scope'],
    reason: row.reason as Reason,
    path: row.path as string,
    detail: row.detail as string,
    raw: Buffer.from(row.payload as Uint8Array).toString('base64'),
  };
}

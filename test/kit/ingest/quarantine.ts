import type { Quarantined } from '../../../domain/index.ts';
import {
  createLedgerStore,
  createQuarantineReader,
  createQuarantineStore,
  type Outcome,
  type QuarantineFilter,
  type QuarantineLimits,
} from '../../../ingest/index.ts';
import { transact } from '../../../store/index.ts';
import { cityControl, intakeBench, openState } from './intake.ts';

/** A profile that measures `a` only; in `widened` it measures `x`, too. */
const narrow = cityControl({ profiles: { bin: ['a'] } });
export const widened = cityControl({
  metrics: { a: { min: 0, max: 100 }, x: { min: 0, max: 100 } },
  profiles: { bin: ['a', 'x'] },
});

/** An intake with a quarantine and a ledger in memory behind it; what it is sent is settled at once. */
export function quarantineBench(limits?: QuarantineLimits, devices: readonly string[] = ['d']) {
  const intake = intakeBench();
  const db = openState(':memory:');
  const store = createQuarantineStore(db, limits);
  const ledger = createLedgerStore(db);
  const reader = createQuarantineReader(db);
  intake.city(narrow);
  intake.devices(devices.map((id) => ({ id, profile: 'bin', district: 'east' })));
  const settle = (outcome: Outcome): Outcome => {
    transact(db, () => ledger.count([outcome], store.settle([outcome])));
    return outcome;
  };
  return {
    ...{ intake, db, store, reader, settle },
    send: (...args: Parameters<typeof intake.send>) => settle(intake.send(...args)),
    /** Reads the whole list, page by page. */
    listed(filter: QuarantineFilter = {}, limit = 1_000): Quarantined[] {
      const items: Quarantined[] = [];
      for (let after: string | null = null, first = true; first || after !== null; first = false) {
        const page = reader.list({ ...filter, limit, after });
        items.push(...page.items);
        after = page.next;
      }
      return items;
    },
    /** Replays entries by id. */
    replay(ids: readonly string[]): Outcome[] {
      return [...reader.chosen(ids)].map((items) => settle(intake.replay({ items })));
    },
    /** The sums of the ledger over all devices. */
    counts() {
      const names = ['decoded', 'quarantined', 'stored', 'duplicate', 'replaced', 'refused'];
      const row = db.prepare(`select ${names.map((name) => `sum(${name}) as ${name}`).join()} from ledger`).get();
      return Object.fromEntries(names.map((name) => [name, Number(row?.[name])]));
    },
  };
}

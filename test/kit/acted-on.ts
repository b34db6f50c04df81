import type { DatabaseSync } from 'node:sqlite';
import type { ActedOn } from '../../actions/index.ts';
import { CommandWriter } from '../../commands/index.ts';
import { DAY_MS } from '../../domain/index.ts';
import { createDiscards } from '../../ingest/index.ts';
import { createReceiverWriter } from '../../notify/index.ts';
import { createPeopleStore, createRegistryReader, RegistryRecords } from '../../registry/index.ts';
import { createRuleWriter } from '../../rules/index.ts';
import type { TicketService } from '../../tickets/index.ts';
import { cityControl, parseOnce } from './ingest/intake.ts';

/** The rooms that commands change, over one file; the city never changes here. */
export function actedOn(db: DatabaseSync, tickets: TicketService): ActedOn {
  const control = cityControl();
  const registry = createRegistryReader(db);
  return {
    ...{ tickets, registry: new RegistryRecords(db), people: createPeopleStore(db) },
    rules: createRuleWriter(db, () => ({ control, city: parseOnce(control)! })),
    commands: new CommandWriter({
      db,
      profileOf: (device) => registry.get(device)?.profile ?? null,
      devEuiOf: (device) => registry.get(device)?.devEui,
      city: () => parseOnce(control)!,
      onCommand: () => {},
      onResent: () => {},
      onDesired: () => {},
    }),
    discards: createDiscards(db, DAY_MS),
    receivers: createReceiverWriter(db, () => 41),
    imported: () => ({ rows: 1, stored: 1, refused: 0, repeated: 0, faults: [], more: 0 }),
    reload: (version) => version !== control.version,
  };
}

import type { RoomSchema } from '../store/index.ts';
import { CONTEXT_SCHEMA } from './context.ts';
import { INTAKE_SCHEMA } from './intake.ts';
import { LEDGER_SCHEMA } from './ledger.ts';
import { QUARANTINE_SCHEMA } from './quarantine.ts';

/** What this room keeps in the engine's state file. */
export const INGEST_SCHEMAS: readonly RoomSchema[] = [CONTEXT_SCHEMA, INTAKE_SCHEMA, LEDGER_SCHEMA, QUARANTINE_SCHEMA];

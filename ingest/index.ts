import { CONTEXT_SCHEMA } from './context.ts';
import { INTAKE_SCHEMA } from './intake.ts';
import { LEDGER_SCHEMA } from './ledger.ts';
import { QUARANTINE_SCHEMA } from './quarantine.ts';

export {
  type CityVersion,
  type Context,
  createContext,
  createRuleRecordReader,
  type RuleRecordReader,
  versionAt,
} from './context.ts';
export { type Decoded, decodePayload, type Format, formatOf, type RawReading } from './decode/index.ts';
export { liveOf, rejectionsOf } from './feed.ts';
export { Intake } from './intake.ts';
export { createLedgerReader, createLedgerStore, type LedgerStore } from './ledger.ts';
export { emptyTally, type Outcome, type Refusal, type Replayed, refusedBytes, type Tally } from './outcome.ts';
export { createQuarantineStore, type QuarantineLimits, type QuarantineStore } from './quarantine.ts';
export {
  createQuarantineReader,
  listSql,
  type QuarantineFilter,
  QuarantineReader,
  replaySql,
} from './quarantine-reader.ts';
export { createReplays, type ReplayJob, ReplayJobSchema, type ReplayRequest } from './replay.ts';
export { summaryOf } from './summary.ts';
export { Checked, checkReading, compileChecks, type ProfileChecks, parseTimestamp } from './validate.ts';

/** The tables of this room in the engine's state file. */
export const INGEST_SCHEMAS = [CONTEXT_SCHEMA, INTAKE_SCHEMA, LEDGER_SCHEMA, QUARANTINE_SCHEMA] as const;

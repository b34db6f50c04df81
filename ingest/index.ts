export { type CityVersion, type Context, createContext, versionAt } from './context.ts';
export { type Decoded, type Format, formatOf, type RawReading } from './decode/index.ts';
export { createIntake, type Intake } from './intake.ts';
export { createLedgerReader, createLedgerStore, type LedgerStore } from './ledger.ts';
export { emptyTally, type Outcome, type Refusal, type Replayed, type Tally } from './outcome.ts';
export { createQuarantineStore, type QuarantineStore } from './quarantine.ts';
export { createQuarantineReader, type QuarantineFilter } from './quarantine-reader.ts';
export { createReplays, type ReplayJob, type ReplayRequest } from './replay.ts';
export {
  createRuleRecordReader,
  type RuleRecordReader,
} from './rule-records.ts';
export { INGEST_SCHEMAS } from './schemas.ts';
export { parseTimestamp } from './timestamp.ts';
export { Checked, checkReading, compileChecks, type ProfileChecks } from './validate.ts';

import { CONTEXT_SCHEMA } from './context.ts';
import { INTAKE_SCHEMA } from './intake.ts';
import { LEDGER_SCHEMA } from './ledger.ts';
import { QUARANTINE_SCHEMA } from './quarantine.ts';

export { compileCalibrations } from './calibrations.ts';
export { compileChecks, type ProfileChecks } from './checks.ts';
export { createClockReader, type DeviceClock, DeviceClockSchema } from './clocks.ts';
export {
  type CityVersion,
  type Context,
  createContext,
  newestCity,
  versionAt,
} from './context.ts';
export { compileFormats } from './declared/index.ts';
export {
  type DeclaredFormats,
  type Decoded,
  decodePayload,
  type Format,
  formatOf,
  type RawReading,
  readJson,
} from './decode/index.ts';
export { createDiscards, type Discards } from './discards.ts';
export { liveOf, rejectionsOf } from './feed.ts';
export { type ImportFormat, importParts } from './import/index.ts';
export { bodyOfPart, type Part } from './import/part.ts';
export { type ImportReport, ImportReportSchema } from './import/report.ts';
export { PRECISIONS } from './import/values.ts';
export { createImports, type ImportAsked, type Imports, type StoredSpan } from './imports.ts';
export { Intake } from './intake.ts';
export { createHistoryProgress, createLedgerReader, createLedgerStore, type LedgerStore } from './ledger.ts';
export {
  emptyTally,
  type Imported,
  type Outcome,
  type Refusal,
  type Replayed,
  refusedBytes,
  type Tally,
} from './outcome.ts';
export { createQuarantineStore, type QuarantineLimits, type QuarantineStore } from './quarantine.ts';
export {
  createQuarantineReader,
  listSql,
  type QuarantineFilter,
  QuarantineReader,
  replaySql,
} from './quarantine-reader.ts';
export { newestOf } from './reading-times.ts';
export { type Recomputed, RecomputedSchema, recompute } from './recompute.ts';
export { createReplays, type ReplayJob, ReplayJobSchema, type ReplayRequest } from './replay.ts';
export { createRuleRecordReader, createRuleRecords, type RuleRecordReader, type RuleRecords } from './rule-records.ts';
export { summaryOf } from './summary.ts';
export { parseTimestamp } from './times.ts';
export { type FormatTrial, type FormatTrialReport, FormatTrialSchema, tryFormat } from './try-format.ts';
export { Checked, checkReading } from './validate.ts';

/** The tables of this room in the engine's state file. */
export const INGEST_SCHEMAS = [CONTEXT_SCHEMA, INTAKE_SCHEMA, LEDGER_SCHEMA, QUARANTINE_SCHEMA] as const;
export { createTextReader, type TextOf } from './texts.ts';

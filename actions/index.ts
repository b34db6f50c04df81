export {
  type AuditEntry,
  AuditEntrySchema,
  type AuditFault,
  type AuditQuery,
  type AuditReader,
  createAuditReader,
  createAuditWriter,
  type LoggedAction,
  loggedIn,
  verifyAudit,
} from './audit.ts';
export type { CitizenCommand } from './citizen-commands.ts';
export type { ActedOn, Command, Place, Results } from './command.ts';
export { createDecider, createResultReader, type Decider } from './decider.ts';
export { ActionLog, type Caller } from './log.ts';
export type { PersonCommand } from './people.ts';
export type { ActionResult, Decided } from './result.ts';
export { ACTION_SCHEMA } from './schema.ts';

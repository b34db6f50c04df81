import { type AuditHead, type ErrorCode, LamppostError } from '../domain/index.ts';

/** Why an action was refused; code null: a bug, the log has the details. */
export interface ActionFault {
  readonly code: ErrorCode | null;
  readonly reason: LamppostError['reason'];
  readonly message: string;
}

/** What the engine decided about an action. */
export interface ActionResult {
  /** The id of the action's record. */
  readonly id: string;
  /** The response of the API; null where it was refused. */
  readonly value: unknown;
  /** Null where it was done. */
  readonly error: ActionFault | null;
}

/** What the engine decided in one commit. */
export interface Decided {
  readonly results: readonly ActionResult[];
  /** The newest entry of the audit trail after it. */
  readonly head: AuditHead | null;
}

/** Returns the fault of an error that a decision threw. */
export function faultOf(error: unknown): ActionFault {
  if (!(error instanceof LamppostError)) return { code: null, reason: null, message: (error as Error).message };
  const { code, reason, message } = error;
  return { code, reason, message };
}

/** Returns the error of a fault. */
export function errorOf({ code, reason, message }: ActionFault): Error {
  return code === null ? new Error(message) : new LamppostError(code, message, reason === null ? {} : { reason });
}

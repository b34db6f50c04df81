import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { type ActionRecord, DAY_MS, LamppostError, type Requester, requesterId, type Ticket } from '../domain/index.ts';
import { diskFault, undoing } from '../store/index.ts';
import { type Audited, createAuditWriter } from './audit.ts';
import { type ActedOn, actionOf, type Command, carryOut, type Done, type Place, targetOf } from './command.ts';
import { refuseUnknown } from './known.ts';
import { actorNow } from './people.ts';
import { type ActionFault, type ActionResult, faultOf } from './result.ts';

interface Parts {
  /** A file that has `ACTION_SCHEMA`. */
  readonly db: DatabaseSync;
  readonly on: ActedOn;
  /** Appends the events of changed tickets. */
  readonly publish: (changes: readonly Ticket[]) => void;
  readonly log: Logger;
  /** How long entries of the audit trail are kept, ms. */
  readonly auditMs: number;
}

/** Repeated requests get the first result for this long. */
const REPEATED_MS = DAY_MS;
/** Expired results, and entries of the trail, that one action deletes. */
const MOST_EXPIRED = 100;

/** Decides what people ask for, at its place in the log. */
export interface Decider {
  /**
   * Does one action, or refuses it; writes its result and its entry of the audit trail. The caller holds the
   * transaction. A refusal changes nothing else. Throws only where the disk does not take it, and `too-new` for an
   * action that it does not know.
   */
  decide(record: ActionRecord, place: Place): ActionResult;
}

/** Returns the decider of a file. It keeps nothing in memory: the same records lead to the same rows (promise 4). */
export function createDecider({ db, on, publish, log, auditMs }: Parts): Decider {
  const audit = createAuditWriter(db);
  const results = createResultStore(db);

  function attempt({ command, actor, id }: ActionRecord, place: Place): ActionResult & { readonly target: string } {
    try {
      const done = undoing(db, () => carryOutAndPublish(command as Command, actor, place));
      return { id, value: done.value, error: null, target: done.target };
    } catch (error) {
      if (!db.isTransaction || (!(error instanceof LamppostError) && diskFault(error, 'the state') !== null))
        throw error;
      const fault = faultOf(error);
      if (fault.code === null)
        log.error({ err: error, action: command.do }, 'an action failed; nothing of it was done');
      return { id, value: null, error: fault, target: targetOf(command as Command) };
    }
  }

  function carryOutAndPublish(command: Command, actor: Requester, place: Place): Done {
    const done = carryOut(command, actorNow(actor, on), place, on);
    publish(done.changes);
    return done;
  }

  function repeated(record: ActionRecord, place: Place): ActionResult | null {
    const { id, actor, key, command } = record;
    const first = key === null ? null : results.get(requesterId(actor), key);
    if (first === null) return null;
    if (first.command !== fingerprintOf(command)) {
      const message = `the Idempotency-Key "${key}" was used before, for another action or with another secret; use a new one for each action`;
      const error = { code: 'mistakes', reason: null, message } as const;
      write(record, place, { target: targetOf(command as Command), result: error.code, detail: message });
      return { id, value: null, error };
    }
    write(record, place, { target: targetOf(command as Command), result: 'repeated', detail: '' });
    return { ...first.result, id };
  }

  /** A note is written before what it is about is done, which may fail. */
  const resultOf = ({ command }: ActionRecord, error: ActionFault | null) =>
    error === null ? (command.do === 'note' ? 'requested' : 'done') : (error.reason ?? error.code ?? 'failed');

  function write(
    { actor, address, command }: ActionRecord,
    place: Place,
    what: Pick<Audited, 'target' | 'result' | 'detail'>,
  ) {
    const { role, department } = actor;
    const who = { actor: requesterId(actor), role, department, address, action: actionOf(command as Command) };
    audit.add({ atMs: place.atMs, place: place.name, ...who, ...what });
  }

  return {
    decide(record, place) {
      refuseUnknown(record.command.do, place.name);
      results.expire(place.agedMs - REPEATED_MS);
      audit.expire(place.agedMs - auditMs, MOST_EXPIRED);
      const again = repeated(record, place);
      if (again !== null) return again;
      const { target, ...result } = attempt(record, place);
      const { error } = result;
      write(record, place, { target, result: resultOf(record, error), detail: error?.message ?? '' });
      if (record.key !== null) results.put(record, place.agedMs, result);
      return result;
    },
  };
}

/** Reads the results that a repeated request gets, over any connection to the file. */
export function createResultReader(db: DatabaseSync) {
  const one = db.prepare('select command, result from action_results where actor = ? and key = ?');
  return {
    get(actor: string, key: string): { command: string; result: ActionResult } | null {
      const row = one.get(actor, key);
      if (row === undefined) return null;
      return { command: String(row.command), result: JSON.parse(String(row.result)) as ActionResult };
    },
  };
}

function createResultStore(db: DatabaseSync) {
  const add = db.prepare('insert into action_results values (?, ?, ?, ?, ?)');
  const expire = db.prepare(`
    delete from action_results where (actor, key) in (
      select actor, key from action_results where at_ms < ? order by at_ms limit ${MOST_EXPIRED})`);
  return {
    ...createResultReader(db),
    put({ actor, key, command }: ActionRecord, atMs: number, result: ActionResult): void {
      add.run(requesterId(actor), key, fingerprintOf(command), atMs, JSON.stringify(result));
    },
    expire: (beforeMs: number) => void expire.run(beforeMs),
  };
}

/** What was drawn for a request differs each time that it is sent. */
function fingerprintOf(command: ActionRecord['command'] & { readonly drawn?: unknown }): string {
  const { drawn: _, ...asked } = command;
  return createHash('sha256').update(JSON.stringify(asked)).digest('hex');
}

import type { DatabaseSync } from 'node:sqlite';
import { type Clock, LamppostError } from '../../domain/index.ts';
import { createOutbox, createPipeline } from '../../events/index.ts';
import type { Context } from '../../ingest/index.ts';
import { createAlertReader, createAlertStore } from '../../rules/index.ts';
import { transact } from '../../store/index.ts';
import {
  type Act,
  createTicketOffice,
  type Rating,
  type Request,
  type Silence,
  type Split,
  type TicketCity,
} from '../../tickets/index.ts';

/** Due things that are done in one call; what is left is done by the next. */
const MOST_DUE = 5_000;

/** Tickets and what follows from them, in the engine's state file: for the rules, for people, and for the clock. */
export function createOfficeOfThread(deps: {
  readonly db: DatabaseSync;
  readonly context: Pick<Context, 'cityAt'>;
  readonly clock: Clock;
  /** Told after a commit that added events. */
  readonly onEvents: () => void;
}) {
  const { db, context, clock, onEvents } = deps;
  const firing = createAlertReader(db).firing;
  const office = createTicketOffice({ db, clock, city, firing });
  const outbox = createOutbox(db);
  const pipeline = createPipeline({ alerts: createAlertStore(db), office, outbox });

  function city(): TicketCity {
    const version = context.cityAt(Number.MAX_SAFE_INTEGER);
    if (version === null) throw new LamppostError('busy', 'the city is not read yet', { retryable: true });
    return version.city;
  }

  /** One act, its history and its events: all or nothing. */
  function committed<T>(work: () => T): T {
    const result = transact(db, work);
    onEvents();
    return result;
  }

  return {
    pipeline,
    outbox,
    /** What the API asks for; every answer is on disk. Throw `not-found` and refusals of `TICKET_REFUSALS`. */
    functions: {
      act: (act: Act) => committed(() => pipeline.tell(office.desk.act(act))),
      openTicket: (request: Request) => committed(() => pipeline.tell(office.desk.open(request))),
      splitTicket: (split: Split) => committed(() => pipeline.tell(office.desk.split(split))),
      rateTicket: (rating: Rating) => committed(() => pipeline.tell(office.desk.rate(rating))),
      addSilence: (silence: Silence) => transact(db, () => office.silences.add(silence)),
      endSilence: (id: string, atMs: number) => transact(db, () => office.silences.end(id, atMs)),
      /** Does what is due at a moment, each thing in a transaction of its own; answers how many. */
      due(nowMs: number): number {
        if (context.cityAt(Number.MAX_SAFE_INTEGER) === null) return 0;
        let done = 0;
        while (done < MOST_DUE && transact(db, () => pipeline.due(nowMs, city()))) done++;
        if (done > 0) onEvents();
        return done;
      },
    },
  };
}

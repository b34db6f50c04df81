import type { Publication, Timers } from '../domain/index.ts';
import { diskFault } from '../store/index.ts';
import type { Outbox } from './outbox.ts';
import { publicationsOf } from './publications.ts';

/** What brings the outbox to the broker. */
export interface EventPublisherDeps {
  readonly outbox: Pick<Outbox, 'pending' | 'published' | 'publishedTo'>;
  /**
   * Hands over to the broker, which takes what comes in the order of the calls. Resolves to true when all of it outlives the
   * broker; to false where the broker is gone.
   */
  readonly publish: (publications: readonly Publication[]) => Promise<boolean>;
  readonly timers: Timers;
}

/** Brings events to MQTT, in order, at least once. */
export interface EventPublisher {
  /** There may be more events. An event does not wait until those before it are on the broker's disk. */
  appended(): void;
  /** Resolves to true when the broker has everything on its disk, to false where it is gone. */
  drained(): Promise<boolean>;
  /** Notes how far everything was taken, once all that is under way is answered. */
  stop(): Promise<void>;
}

const AT_ONCE = 200;
/** Batches at the broker that are not answered yet: while its disk is full, the rest waits in the outbox. */
const MOST_UNDER_WAY = 8;
/** A note is a write to the disk for which the rules wait; what is not noted before a crash is told again. */
const NOTE_MS = 250;

/** Makes the publisher. */
export function createEventPublisher({ outbox, publish, timers }: EventPublisherDeps): EventPublisher {
  /** Handed over, and taken: numbers of events. */
  let sent = outbox.publishedTo();
  let taken = sent;
  let underWay = 0;
  let gone = false;
  let answered: Promise<void> = Promise.resolve();
  let stopNoting: (() => void) | null = null;

  const next = () => (gone ? [] : outbox.pending(AT_ONCE, sent));

  function appended(): void {
    while (underWay < MOST_UNDER_WAY) {
      const events = next();
      const last = events.at(-1);
      if (last === undefined) return;
      sent = last.n;
      underWay++;
      const answer = publish(events.flatMap(({ event }) => publicationsOf(event)));
      answered = Promise.all([answer, answered]).then(([isTaken]) => settle(last.n, isTaken));
    }
  }

  function settle(n: number, isTaken: boolean): void {
    underWay--;
    // What the broker did not take stays in the outbox and goes out after the next start.
    gone ||= !isTaken;
    if (gone) return;
    taken = n;
    stopNoting ??= timers.after(NOTE_MS, note);
    appended();
  }

  function note(): void {
    stopNoting = null;
    try {
      outbox.published(taken);
    } catch (error) {
      // Nothing is lost with a note.
      if (diskFault(error, 'the outbox') === null) throw error;
    }
  }

  async function drained(): Promise<boolean> {
    for (appended(); underWay > 0; appended()) await answered;
    return !gone;
  }

  return {
    appended,
    drained,
    async stop() {
      await drained();
      stopNoting?.();
      note();
    },
  };
}

import pino from 'pino';
import { LamppostError, type NotifyProgress } from '../../../domain/index.ts';
import type { Envelope } from '../../../notify/email/smtp.ts';
import type { Post } from '../../../notify/http.ts';
import {
  createDefinitionReader,
  createIncidentReader,
  createNotifier,
  createResultReader,
  createResultWriter,
  openDeliveries,
} from '../../../notify/index.ts';
import type { AttemptResult, Outcome } from '../../../notify/retry-policy.ts';
import { transact } from '../../../store/index.ts';
import { openState } from '../events/state.ts';
import { CITY, ManualTime } from './kit.ts';
import { peopleOf, sealer } from './people.ts';

/** One attempt of a node: what it sent, and whether that was accepted. */
export interface Sent {
  readonly node: number;
  readonly to: string;
  readonly events: readonly string[];
  readonly outcome: Outcome;
}

/**
 * Nodes that follow one log, each with deliveries of its own. What they decided is the same, so that they share one
 * state; of what the log says of deliveries each sees what it was shown.
 */
export function openNodes(count: number) {
  const time = new ManualTime();
  const state = openState();
  const writer = createResultWriter(state.db);
  const sent: Sent[] = [];
  const log: NotifyProgress[] = [];
  let isAway = false;
  let script: (node: number) => Outcome | Promise<Outcome> = () => 'delivered';

  async function append(progress: NotifyProgress): Promise<void> {
    if (isAway) throw new LamppostError('log-away', 'no server can be reached', { retryable: true });
    log.push(progress);
    transact(state.db, () => writer.add(log.length, progress));
    for (const node of nodes) node.wake();
  }

  function makeNode(index: number) {
    const db = openDeliveries(':memory:');
    const results = createResultReader(state.db);
    let sees = Number.MAX_SAFE_INTEGER;
    let life = { over: false };
    let isOver = false;

    async function attempt(to: string, events: readonly string[]): Promise<AttemptResult> {
      const mine = life;
      const outcome = await script(index);
      // A process that was killed may have sent it.
      sent.push({ node: index, to, events, outcome });
      if (mine.over) return new Promise(() => {});
      return { outcome, status: null, retryAfterMs: null, text: `it was ${outcome}`, ms: 0 };
    }

    function start() {
      const mine = { over: false };
      life = mine;
      const deps = {
        ...{ db, outbox: state.events, sealer, clock: time, random: () => 0, city: () => CITY },
        definitions: createDefinitionReader(state.db),
        incidentOf: createIncidentReader(state.db),
        poster: { post: (post: Post) => attempt(post.url, [post.headers['webhook-id']!]), stop() {} },
        mailer: { send: ({ to, events }: Envelope) => attempt(to, events), stop() {} },
        timers: { after: (ms: number, run: () => void) => time.after(ms, () => mine.over || run()) },
        log: pino({ level: 'silent' }),
        wordsOf: () => null,
      };
      const shared = {
        isOver: () => isOver,
        results: { after: (seq: number) => results.after(seq).filter((one) => one.seq <= sees) },
        append: (progress: NotifyProgress) => (mine.over ? new Promise<void>(() => {}) : append(progress)),
      };
      const made = createNotifier(deps, { publicUrl: 'https://lamppost.example', gatherMs: 0, shared });
      made.start();
      return made;
    }

    let notifier = start();
    return {
      db,
      hold: (revision: number | null) => notifier.hold(revision),
      /** Its lease is over or not, without anybody telling it. */
      expire(over: boolean) {
        isOver = over;
      },
      wake: () => notifier.appended(),
      get notifier() {
        return notifier;
      },
      /** A new process over the same files, without a duty. */
      kill() {
        life.over = true;
        notifier = start();
      },
      /** It takes nothing of the log from here on; `catchUp` ends that. */
      lag() {
        sees = log.length;
      },
      catchUp() {
        sees = Number.MAX_SAFE_INTEGER;
        notifier.appended();
      },
      waiting: () => notifier.counts().waiting,
    };
  }

  const nodes = Array.from({ length: count }, (_, index) => makeNode(index));
  const people = peopleOf({ db: state.db, outbox: state.events, clock: time, notifier: () => nodes[0]!.notifier });
  return {
    ...{ time, state, nodes, sent, log, people },
    away(now: boolean) {
      isAway = now;
    },
    answer(next: typeof script) {
      script = next;
    },
    wakeAll() {
      for (const node of nodes) node.wake();
    },
  };
}

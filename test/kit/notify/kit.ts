import pino from 'pino';
import type { Timers, Transition } from '../../../domain/index.ts';
import type { Envelope, Mailer } from '../../../notify/email/smtp.ts';
import type { FanOutLimits } from '../../../notify/fanout.ts';
import type { Post, Poster } from '../../../notify/http.ts';
import {
  createDefinitionReader,
  createIncidentReader,
  createNotifier,
  type EmailSettings,
  openDeliveries,
  type WebhookSettings,
} from '../../../notify/index.ts';
import type { NotifyCity } from '../../../notify/notifier.ts';
import type { AttemptResult, Outcome } from '../../../notify/retry-policy.ts';
import { openState } from '../events/state.ts';
import * as scene from '../tickets/scene.ts';
import { peopleOf, sealer } from './people.ts';

/** 2026-01-01T00:00:00Z. */
export const T0 = Date.UTC(2026, 0, 1);
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** Waits until everything that is ready has run. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A clock and timers that move only by `pass()`. */
export class ManualTime implements Timers {
  ms = T0;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  now(): number {
    return this.ms;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.ms + Math.max(0, ms), run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the time on by `ms`, running each timer at its time. */
  async pass(ms: number): Promise<void> {
    const until = this.ms + ms;
    for (;;) {
      await settled();
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.ms = Math.max(this.ms, next.at);
      next.run();
    }
    this.ms = until;
    await settled();
  }
}

/** Returns the outcomes that a test scripts; by default every post is delivered. */
class ScriptedPoster implements Poster {
  readonly posts: (Post & { id: string; atMs: number })[] = [];
  /** Returns the outcome of a post; a promise keeps it under way. */
  script: (post: Post & { id: string }) => Outcome | Promise<Outcome> = () => 'delivered';
  retryAfterMs: number | null = null;
  readonly #time: ManualTime;

  constructor(time: ManualTime) {
    this.#time = time;
  }

  async post(post: Post, signal: AbortSignal): Promise<AttemptResult> {
    const known = { ...post, id: post.headers['webhook-id']! };
    this.posts.push({ ...known, atMs: this.#time.now() });
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const outcome = await Promise.race([this.script(known), promise]);
    const status = outcome === 'delivered' ? 200 : null;
    return { outcome, status, retryAfterMs: this.retryAfterMs, text: `it was ${outcome}`, ms: 0 };
  }

  stop(): void {}

  /** Returns the ids of the events that were posted to a URL, in order. */
  idsTo(url: string): string[] {
    return this.posts.filter((post) => post.url === url).map(({ id }) => id);
  }
}

const text = (en: string, zh: string) => ({ en, zh });

/** What notifications read of the city. */
export const CITY: NotifyCity = {
  name: { en: 'Linjiang', zh: '临江市' },
  timezone: 'Asia/Shanghai',
  departments: new Map([
    [
      'environment',
      { id: 'environment', title: text('Environment Bureau', '生态环境局'), kind: 'department' as const },
    ],
  ]),
  calendars: new Map(),
  services: new Map([['air-quality', scene.serviceOf('air-quality', { cap: { category: 'Env' } })]]),
  districts: new Map([
    [
      'harbour',
      {
        id: 'harbour',
        title: { en: 'Harbour', zh: '港区' },
        geometry: {
          type: 'Polygon' as const,
          coordinates: [
            [
              [121.5, 31.2],
              [121.6, 31.2],
              [121.6, 31.3],
              [121.5, 31.2],
            ],
          ],
        },
      },
    ],
  ]),
};

/** Accepts every mail, or returns the outcomes that a test scripts. */
class ScriptedMailer implements Mailer {
  readonly mails: (Envelope & { atMs: number })[] = [];
  script: (envelope: Envelope) => Outcome | Promise<Outcome> = () => 'delivered';
  readonly #time: ManualTime;

  constructor(time: ManualTime) {
    this.#time = time;
  }

  async send(envelope: Envelope): Promise<AttemptResult> {
    this.mails.push({ ...envelope, atMs: this.#time.now() });
    const outcome = await this.script(envelope);
    return { outcome, status: null, retryAfterMs: null, text: `it was ${outcome}`, ms: 0 };
  }

  stop(): void {}
}

export const EMAIL: EmailSettings = {
  to: 'duty@city.example',
  party: 'environment',
  filter: {},
  language: 'en',
  digest: null,
  quietHours: null,
  critical: 'at-once',
};

export const WEBHOOK: WebhookSettings = {
  url: 'https://a.example/hook',
  format: 'cloudevents',
  filter: {},
  concurrency: 4,
  party: null,
  description: '',
  authorization: null,
};

/** Opens a notifier over an outbox in memory; `restart` is a new process over the same files, as after kill -9. */
export function openNotifier(
  limits: FanOutLimits = { page: 10, mostWaiting: 100, mostSettled: 1_000 },
  path = ':memory:',
) {
  const time = new ManualTime();
  const poster = new ScriptedPoster(time);
  const mailer = new ScriptedMailer(time);
  const state = openState();
  const db = openDeliveries(path);
  const words = new Map<string, string>();
  /** Starts a process; after its end none of its timers runs and no result reaches it. */
  const start = () => {
    const life = { over: false };
    const never = new Promise<never>(() => {});
    const alive = (result: AttemptResult) => (life.over ? never : result);
    const deps = {
      db,
      outbox: state.events,
      definitions: createDefinitionReader(state.db),
      incidentOf: createIncidentReader(state.db),
      wordsOf: (statement: string) => words.get(statement) ?? null,
      sealer,
      poster: { post: (...given: Parameters<Poster['post']>) => poster.post(...given).then(alive), stop() {} },
      mailer: { send: (envelope: Envelope) => mailer.send(envelope).then(alive), stop() {} },
      clock: time,
      timers: { after: (ms: number, run: () => void) => time.after(ms, () => life.over || run()) },
      random: () => 0,
      city: () => CITY,
      log: pino({ level: 'silent' }),
    };
    const options = { publicUrl: 'https://lamppost.example', limits, gatherMs: 0 };
    const notifier = createNotifier(deps, options);
    notifier.start();
    return { notifier, life };
  };
  let { notifier, life } = start();
  const people = peopleOf({ db: state.db, outbox: state.events, clock: time, notifier: () => notifier });
  const kit = {
    time,
    poster,
    mailer,
    state,
    /** What citizens wrote, by its name. */
    words,
    db,
    people,
    /** The notifier of today's process, with what people do. */
    get notifier() {
      return {
        webhooks: people.webhooks(),
        subscriptions: people.subscriptions(),
        appended: () => notifier.appended(),
        counts: () => notifier.counts(),
        expire: (beforeMs: number) => notifier.expire(beforeMs),
        stop: (patienceMs: number) => notifier.stop(patienceMs),
      };
    },
    restart() {
      life.over = true;
      ({ notifier, life } = start());
    },
    /** Applies a transition of an incident: alert and ticket, two events. */
    happen(id: string, to: Transition['to'], changes: Partial<Transition> = {}) {
      state.apply(scene.transition(id, to, changes));
      kit.notifier.appended();
    },
    /** Opens incidents of `count` devices g1, g2 …, in blocks from `from` on. */
    incidents(count: number, from = 1) {
      for (let i = 0; i < count; i++) kit.happen(`${from + i}.0`, 'firing', { group: `g${from + i}` });
    },
    ids: () => state.events.page({ after: 0, limit: 1_000 }).items.map(({ event }) => event.id),
  };
  return kit;
}

/**
 * Entry of the thread that sends events to receivers; owns the file of the deliveries. A slow receiver delays no other
 * thread.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type MessagePort, parentPort } from 'node:worker_threads';
import pino from 'pino';
import { CITIZENS_FILE, createWords } from '../../citizens/index.ts';
import { parseCity } from '../../city-model/index.ts';
import {
  type City,
  type CityControl,
  DutyDeadlines,
  LamppostError,
  SharedClock,
  systemTimers as timers,
} from '../../domain/index.ts';
import { createOutboxReader } from '../../events/index.ts';
import {
  createDefinitionReader,
  createIncidentReader,
  createMailer,
  createNotifier,
  createPoster,
  createResultReader,
  createSealer,
  type Envelope,
  noMailer,
  openDeliveries,
  type Post,
  type SmtpSettings,
} from '../../notify/index.ts';
import type { ToLog } from './duties.ts';
import { collectAfterStart } from './memory.ts';
import { begun, offer, remote, under } from './rpc.ts';

/** The data that the main thread passes to this one. */
export interface NotifyThreadData {
  readonly dir: string;
  readonly logLevel: string;
  /** The log's clock. */
  readonly clock: SharedArrayBuffer;
  /** Whether webhooks may go to private addresses. */
  readonly allowPrivate: boolean;
  /** What secrets of webhooks are sealed with. */
  readonly secretsKey: string;
  /** The mail server; null where none is set. */
  readonly smtp: SmtpSettings | null;
  /** Where people reach this Lamppost. */
  readonly publicUrl: string;
  /** The city folder in force. */
  readonly city: CityControl;
  /** Appends how far this node got to the log that it shares; null: this node is alone. */
  readonly progress: MessagePort | null;
  /** Until when each duty is this node's; null: it is alone. */
  readonly deadlines: SharedArrayBuffer | null;
}

const TIMEOUT_MS = 15_000;
const MOST_KEPT = 4 * 1024;
const PATIENCE_MS = 3_000;

const data = await begun<NotifyThreadData>();
const log = pino({ level: data.logLevel, name: 'notify' });
const clock = new SharedClock(data.clock);
const db = openDeliveries(join(data.dir, 'deliveries.sqlite'));
const state = new DatabaseSync(join(data.dir, 'state.sqlite'), { readOnly: true });
const { allowPrivate, publicUrl } = data;
let city = cityOf(data.city);
const poster = createPoster({ clock }, { allowPrivate, timeoutMs: TIMEOUT_MS, mostKept: MOST_KEPT });
const ownPoster = createPoster({ clock }, { allowPrivate: true, timeoutMs: TIMEOUT_MS, mostKept: MOST_KEPT });
const ended = new AbortController();
const outbox = createOutboxReader(state);
const mailer = data.smtp === null ? null : createMailer({ clock }, { ...data.smtp, timeoutMs: TIMEOUT_MS });
const definitions = createDefinitionReader(state);
const incidentOf = createIncidentReader(state);
const words = createWords(join(data.dir, CITIZENS_FILE));
const sealer = createSealer(data.secretsKey);
const deps = {
  db,
  outbox,
  definitions,
  incidentOf,
  wordsOf: words.of,
  sealer,
  poster,
  mailer,
  clock,
  timers,
  random: Math.random,
  log,
  city: () => city,
};
const toLog = data.progress === null ? null : remote<ToLog>(data.progress).call;
const deadlines = new DutyDeadlines(data.deadlines);
const isOver = () => deadlines.isOver('notify');
const shared = toLog === null ? null : { results: createResultReader(state), append: toLog.append, isOver };
const notifier = createNotifier(deps, { publicUrl, shared });

/** A folder that was checked before it came here. */
function cityOf(control: CityControl): City {
  return parseCity(control).city!;
}

const functions = {
  ...under('webhooks', notifier.webhooks),
  ...under('subscriptions', notifier.subscriptions),
  run() {
    collectAfterStart();
    return notifier.start();
  },
  /** Makes one attempt to send a mail whose retries are another's. */
  mail: (envelope: Envelope) => (mailer ?? noMailer).send(envelope, ended.signal),
  /** Makes one attempt to post to an address of the settings, which may be private. */
  post: (post: Post) => ownPoster.post(post, ended.signal),
  /** Another city folder is in force. */
  city(control: CityControl) {
    city = cityOf(control);
  },
  /** Begins to make attempts under a lease; null: another node makes them. */
  hold: (revision: number | null) => notifier.hold(revision),
  earlier: () => notifier.earlier(),
  counts: () => notifier.counts(),
  expire: (beforeMs: number) => notifier.expire(beforeMs),
  async stop() {
    ended.abort(new LamppostError('busy', 'the server stops', { retryable: true }));
    ownPoster.stop();
    await notifier.stop(PATIENCE_MS);
    words.close();
    state.close();
    db.close();
    data.progress?.close();
    // After the reply has left.
    setImmediate(() => parentPort!.close());
  },
};
export type NotifyThread = typeof functions;
offer(parentPort!, functions);
parentPort!.on('message', (message: { event?: string }) => {
  if (message.event === 'appended') notifier.appended();
});

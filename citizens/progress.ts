import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import {
  type City,
  type Clock,
  DAY_MS,
  type HistoryAction,
  LamppostError,
  MINUTE_MS,
  SECOND_MS,
  type Ticket,
  type Timers,
} from '../domain/index.ts';
import { isTicketEvent, type NumberedEvent, type OutboxReader } from '../events/index.ts';
import { type AttemptResult, decideNext } from '../notify/index.ts';
import { diskFault } from '../store/index.ts';
import type { FollowChannel, Follower, Followers, Waiting } from './followers.ts';
import { type ProgressMessage, pageOfFollower, progressOf, type Told } from './messages.ts';
import { textOf } from './page.ts';

/** A message on its way to a citizen. */
export interface Outgoing {
  readonly channel: FollowChannel;
  readonly to: string;
  readonly language: 'en' | 'zh';
  readonly message: ProgressMessage;
  /** The same at every attempt. */
  readonly id: string;
  /** Where one click ends it. */
  readonly endUrl: string;
}

interface Parts {
  readonly followers: Followers;
  readonly outbox: Pick<OutboxReader, 'page' | 'head' | 'store'>;
  readonly tickets: { get(id: string): Ticket | null };
  /** Makes one attempt. The thread of notifications has the mail server. */
  readonly send: (outgoing: Outgoing) => Promise<AttemptResult>;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly city: () => Pick<City, 'name' | 'services'>;
}

interface Options {
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
  /** What the city can send. */
  readonly channels: readonly FollowChannel[];
}

/** A wish to follow a request. */
export interface Wish {
  readonly ticket: Ticket;
  readonly token: string;
  readonly channel: FollowChannel;
  readonly to: string;
  readonly language: 'en' | 'zh';
}

/** What of a ticket's history its followers hear of. */
const HEARD: readonly HistoryAction[] = ['acknowledged', 'started', 'resolved', 'closed', 'reopened', 'replied'];
const MOST_FOLLOWERS = 5;
/** Messages that ask whether somebody wants to follow, to one contact in a day. */
const MOST_ASKED = 5;
const CONFIRM_MS = DAY_MS;
const WIDTH = 4;
const PAGE = 200;
const MOST_NAMED = 2_000;
const DISK_WAIT_MS = SECOND_MS;
/** A message whose attempt nobody could note is sent again after this: longer than an attempt takes. */
const CLAIM_MS = MINUTE_MS;
/** How long a stop waits for attempts. */
const PATIENCE_MS = 3 * SECOND_MS;
/** The place is written with messages, and after so many events without any. */
const PLACE_EVERY = 1_000;

/**
 * Sends citizens what happens to their requests, where they asked for it and confirmed it: at least once, in order, by
 * the retry policy of webhooks. Contacts and messages are in the citizens' file only.
 */
export class ProgressSender {
  readonly #parts: Parts;
  readonly #options: Options;
  /** `left`: attempts are still under way, and their results are not stored any more. */
  #state: 'new' | 'started' | 'stopped' | 'left' = 'new';
  #turning: Promise<void> | null = null;
  #again = false;
  #cancelTimer = () => {};
  /** The event up to which all were read. */
  #readTo = 0;

  constructor(parts: Parts, options: Options) {
    this.#parts = parts;
    this.#options = options;
  }

  get channels(): readonly FollowChannel[] {
    return this.#options.channels;
  }

  /** Events from before the first start are not sent. */
  start(): void {
    const { followers, outbox } = this.#parts;
    if (followers.place()?.store !== outbox.store()) followers.put([], { store: outbox.store(), n: outbox.head() });
    this.#readTo = followers.place()!.n;
    this.#state = 'started';
    this.wake();
  }

  /** Called when events were added, or a message. */
  wake(): void {
    if (this.#state !== 'started') return;
    this.#again = true;
    this.#turning ??= this.#turn().finally(() => {
      this.#turning = null;
      if (this.#again) this.wake();
    });
  }

  /** Ends after the attempts under way, or some seconds: what they send is sent again then. Idempotent. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#cancelTimer();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.timers.after(PATIENCE_MS, resolve);
    await Promise.race([this.#turning, late]);
    cancel();
    this.#state = 'left';
  }

  /** Asks the contact whether they want to follow a request. Throws `invalid`, and `limit` where it was asked too often. */
  follow({ ticket, token, channel, to, language }: Wish): void {
    const { followers, clock } = this.#parts;
    if (!this.#options.channels.includes(channel))
      throw new LamppostError('invalid', `channel: this city does not send ${channel}`);
    if (followers.count(ticket.id) >= MOST_FOLLOWERS || followers.asked(to, clock.now() - DAY_MS) >= MOST_ASKED)
      throw new LamppostError('limit', 'this was asked too often; try again tomorrow', { retryAfterMs: DAY_MS });
    const drawn = { id: `f-${randomBytes(12).toString('hex')}`, secret: randomBytes(32).toString('base64url') };
    const about = { ...drawn, ticket: ticket.id, token, channel, contact: to, language, createdMs: clock.now() };
    const wanted = { ...about, confirmedMs: null, failingMs: null };
    let follower = followers.add(wanted);
    // It was asked for before, and not confirmed in time.
    if (this.get(follower.secret) === null) {
      followers.remove([follower.id]);
      follower = followers.add(wanted);
    }
    if (follower.id === drawn.id) this.#put([this.#messageTo(follower, 'confirm', ticket, null)]);
  }

  /** Returns the follower of a secret; null where there is none, or where it was not confirmed within a day. */
  get(secret: string): Follower | null {
    const found = this.#parts.followers.bySecret(secret);
    const isOver = found?.confirmedMs === null && found.createdMs + CONFIRM_MS < this.#parts.clock.now();
    return isOver ? null : found;
  }

  /** Returns whether there is such a follower. Confirming twice is confirming once. */
  confirm(secret: string): boolean {
    const found = this.get(secret);
    if (found !== null) this.#parts.followers.confirm(found.id, this.#parts.clock.now());
    return found !== null;
  }

  /** Ends it, and forgets the contact. */
  end(secret: string): boolean {
    const found = this.get(secret);
    if (found !== null) this.#parts.followers.remove([found.id]);
    return found !== null;
  }

  /** Forgets contacts that were not confirmed in time; returns how many. */
  expire(): number {
    return this.#parts.followers.expire(this.#parts.clock.now() - CONFIRM_MS);
  }

  #put(messages: Parameters<Followers['put']>[0]): void {
    this.#parts.followers.put(messages, null);
    this.wake();
  }

  #messageTo(follower: Follower, name: string, ticket: Ticket, action: Told | null) {
    const { city, tickets, clock } = this.#parts;
    const { name: cityName, services } = city();
    const whole = ticket.relation === 'report' ? tickets.get(ticket.parent!) : null;
    const service = services.get(ticket.service)?.title ?? { en: ticket.service, zh: ticket.service };
    const last = ticket.history.at(-1);
    const words = action === null || last === undefined ? null : textOf(last, whole);
    const { publicUrl } = this.#options;
    const progress = { id: ticket.id, service, city: cityName, action, words, publicUrl };
    const body = JSON.stringify(progressOf(follower, progress));
    return { follower: follower.id, name, body, dueMs: clock.now() };
  }

  async #turn(): Promise<void> {
    while (this.#again && this.#state === 'started') {
      this.#again = false;
      try {
        while (this.#take()) await nextTurn();
        await this.#sendDue();
      } catch (error) {
        if (diskFault(error, '')?.retryable !== true) throw error;
        this.#parts.log.error({ err: error }, 'messages to citizens cannot be taken; trying again');
        // What is due stays due: without this wait it would be tried again at once, for ever.
        this.#cancelTimer();
        this.#cancelTimer = this.#parts.timers.after(DISK_WAIT_MS, () => this.wake());
        return;
      }
    }
    this.#schedule();
  }

  /** Takes a page of events; returns whether there are more. Where nobody follows anything, nothing is read. */
  #take(): boolean {
    const { followers, outbox } = this.#parts;
    const head = outbox.head();
    const followed = followers.followed(MOST_NAMED);
    if (this.#readTo >= head) return false;
    if (followed.length === 0) {
      this.#moveTo(head, []);
      return false;
    }
    const ticket = followed.length < MOST_NAMED ? { ticket: followed } : {};
    const { items, next } = outbox.page({
      ...ticket,
      after: this.#readTo,
      limit: PAGE,
      within: { events: 5_000, characters: 1e6 },
    });
    // An event may have come after the head was read.
    const end = Math.max(head, items.at(-1)?.n ?? 0);
    this.#moveTo(
      next === null ? end : Number(next),
      items.flatMap((one) => this.#messagesOf(one)),
    );
    return next !== null;
  }

  /** Most events are about nothing that is followed: they cost no write. A start reads the last of them again. */
  #moveTo(n: number, messages: Parameters<Followers['put']>[0]): void {
    const { followers, outbox } = this.#parts;
    if (messages.length > 0 || n - followers.place()!.n >= PLACE_EVERY)
      followers.put(messages, { store: outbox.store(), n });
    this.#readTo = n;
  }

  #messagesOf({ event }: NumberedEvent) {
    if (!isTicketEvent(event)) return [];
    const { data } = event;
    const action = HEARD.find((one) => one === data.history.at(-1)?.action) as Told | undefined;
    if (action === undefined) return [];
    const followers = this.#parts.followers.of(data.id);
    // What happened before they confirmed it is nothing new to them.
    const sinceMs = Date.parse(event.time) + SECOND_MS;
    return followers
      .filter(({ confirmedMs }) => confirmedMs! <= sinceMs)
      .map((follower) => this.#messageTo(follower, event.id, data, action));
  }

  async #sendDue(): Promise<void> {
    const { followers, clock } = this.#parts;
    for (;;) {
      const due = this.#state === 'started' ? followers.due(clock.now(), WIDTH) : [];
      if (due.length === 0) return;
      await Promise.all(due.map((one) => this.#attempt(one)));
    }
  }

  async #attempt(waiting: Waiting): Promise<void> {
    const { followers, send, clock, random, log } = this.#parts;
    const { n, name, body, follower } = waiting;
    const { id, channel, contact: to, language, secret } = follower;
    const message = JSON.parse(body) as ProgressMessage;
    const endUrl = `${pageOfFollower(this.#options.publicUrl, secret)}/end`;
    // Nothing is sent where nothing could be noted of it.
    followers.later(n, waiting.attempt, clock.now() + CLAIM_MS);
    const result = await send({ channel, to, language, message, id: `${name}.${id}`, endUrl }).catch(() => null);
    if (this.#state === 'left') return;
    // The thread that sends is stopping.
    if (result === null) return followers.later(n, waiting.attempt, clock.now() + SECOND_MS);
    const nowMs = clock.now();
    const attempt = waiting.attempt + 1;
    const failingMs = follower.failingMs === null ? 0 : nowMs - follower.failingMs;
    const decision = decideNext(result, { attempt, failingMs, random: random() });
    followers.failing(id, result.outcome === 'delivered' ? null : (follower.failingMs ?? nowMs));
    if (decision.kind === 'retry') return followers.later(n, attempt, nowMs + decision.afterMs);
    followers.done(n);
    if (decision.kind === 'done') return;
    // The address does not exist, or takes nothing any more. Whose it is stays out of the log.
    log.warn({ follower: id, channel, outcome: result.outcome }, 'a citizen cannot be reached, and is forgotten');
    followers.remove([id]);
  }

  #schedule(): void {
    this.#cancelTimer();
    const at = this.#state === 'started' ? this.#parts.followers.nextDue() : null;
    if (at === null) return;
    this.#cancelTimer = this.#parts.timers.after(Math.max(0, at - this.#parts.clock.now()), () => this.wake());
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

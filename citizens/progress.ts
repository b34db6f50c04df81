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
import type { FollowChannel, Follower, Followers, Message, Waiting } from './followers.ts';
import { type ProgressMessage, pageOfFollower, progressOf, type RequestAction } from './messages.ts';
import { textOf } from './page.ts';
import { ASKING } from './rows.ts';
import type { CitizenWrites } from './writes.ts';

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
  readonly writes: CitizenWrites;
  /** Whether this node sends; null: it is alone. The others of a cluster keep what waits, until it was sent. */
  readonly holds: (() => boolean) | null;
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

/** What of a ticket's history its followers are notified of. */
const NOTIFIED: readonly HistoryAction[] = ['acknowledged', 'started', 'resolved', 'closed', 'reopened', 'replied'];
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

  /** Events from before the first start are not sent. In a cluster each follower says what was sent to them. */
  start(): void {
    const { followers, outbox, holds } = this.#parts;
    if (followers.place()?.store !== outbox.store())
      followers.put([], { store: outbox.store(), n: holds === null ? outbox.head() : 0 });
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

  /**
   * Asks the contact whether they want to follow a request. Throws `invalid`, `limit` where it was asked too often, and
   * `log-away`.
   */
  async follow({ ticket, token, channel, to, language }: Wish): Promise<void> {
    const { followers, writes, clock } = this.#parts;
    if (!this.#options.channels.includes(channel))
      throw new LamppostError('invalid', `channel: this city does not send ${channel}`);
    const drawn = { id: `f-${randomBytes(12).toString('hex')}`, secret: randomBytes(32).toString('base64url') };
    const about = { ...drawn, ticket: ticket.id, token, channel, contact: to, language, createdMs: clock.now() };
    const follower = { ...about, confirmedMs: null, failingMs: null };
    await writes.ask(() => {
      if (followers.count(ticket.id) >= MOST_FOLLOWERS || followers.asked(to, clock.now() - DAY_MS) >= MOST_ASKED)
        throw new LamppostError('limit', 'this was asked too often; try again tomorrow', { retryAfterMs: DAY_MS });
      const before = followers.same(ticket.id, channel, to);
      if (before !== null && this.get(before.secret) !== null) return null;
      // It was asked for before, and not confirmed in time.
      return { follower, before, message: this.#messageTo(follower, { name: ASKING, event: 0, ticket, action: null }) };
    });
    this.wake();
  }

  /** Returns the follower of a secret; null where there is none, or where it was not confirmed within a day. */
  get(secret: string): Follower | null {
    const found = this.#parts.followers.bySecret(secret);
    const isOver = found?.confirmedMs === null && found.createdMs + CONFIRM_MS < this.#parts.clock.now();
    return isOver ? null : found;
  }

  /** Resolves to whether there is such a follower. Confirming twice is confirming once. */
  async confirm(secret: string): Promise<boolean> {
    const found = this.get(secret);
    if (found !== null) await this.#parts.writes.confirm(found.id, this.#parts.clock.now());
    return found !== null;
  }

  /** Removes a follower and the contact; resolves to false where there is none of this secret. */
  async end(secret: string): Promise<boolean> {
    const found = this.get(secret);
    if (found !== null) await this.#parts.writes.unfollow([found.id]);
    return found !== null;
  }

  #messageTo(
    follower: Follower,
    { name, event, ticket, action }: Pick<Message, 'name' | 'event'> & { ticket: Ticket; action: RequestAction | null },
  ): Message {
    const { city, tickets, clock } = this.#parts;
    const { name: cityName, services } = city();
    const whole = ticket.relation === 'report' ? tickets.get(ticket.parent!) : null;
    const service = services.get(ticket.service)?.title ?? { en: ticket.service, zh: ticket.service };
    const last = ticket.history.at(-1);
    const words = action === null || last === undefined ? null : textOf(last, whole);
    const { publicUrl } = this.#options;
    const progress = { id: ticket.id, service, city: cityName, action, words, publicUrl };
    const body = JSON.stringify(progressOf(follower, progress));
    return { follower: follower.id, name, body, event, dueMs: clock.now() };
  }

  async #turn(): Promise<void> {
    while (this.#again && this.#state === 'started') {
      this.#again = false;
      try {
        await this.#takeAll();
        await this.#sendDue();
      } catch (error) {
        const isAway = error instanceof LamppostError && error.retryable;
        if (!isAway && diskFault(error, '')?.retryable !== true) throw error;
        this.#parts.log.error({ err: error }, 'messages to citizens cannot be taken; trying again');
        // What is due stays due: without this wait it would be tried again at once, for ever.
        this.#cancelTimer();
        this.#cancelTimer = this.#parts.timers.after(DISK_WAIT_MS, () => this.wake());
        return;
      }
    }
    this.#schedule();
  }

  /** Whoever confirmed before an event is known here before the event is read. */
  async #takeAll(): Promise<void> {
    const head = this.#parts.outbox.head();
    if (this.#readTo < head) await this.#parts.writes.caughtUp();
    while (this.#take(head)) await nextTurn();
  }

  /**
   * Takes a page of the events up to a number; returns whether there are more. Where nobody follows anything, nothing
   * is read.
   */
  #take(head: number): boolean {
    const { followers, outbox } = this.#parts;
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
    // What came after the head was read is for the next turn.
    const here = items.filter(({ n }) => n <= head);
    const isLast = next === null || here.length < items.length || Number(next) >= head;
    this.#moveTo(
      isLast ? head : Number(next),
      here.flatMap((one) => this.#messagesOf(one)),
    );
    return !isLast;
  }

  /** Most events are about nothing that is followed: they cost no write. A start reads the last of them again. */
  #moveTo(n: number, messages: readonly Message[]): void {
    const { followers, outbox } = this.#parts;
    if (messages.length > 0 || n - followers.place()!.n >= PLACE_EVERY)
      followers.put(messages, { store: outbox.store(), n });
    this.#readTo = n;
  }

  #messagesOf({ n, event }: NumberedEvent): Message[] {
    if (!isTicketEvent(event)) return [];
    const { data } = event;
    const action = NOTIFIED.find((one) => one === data.history.at(-1)?.action) as RequestAction | undefined;
    if (action === undefined) return [];
    const followers = this.#parts.followers.of(data.id, n);
    // What happened before they confirmed it is nothing new to them.
    const sinceMs = Date.parse(event.time) + SECOND_MS;
    return followers
      .filter(({ confirmedMs }) => confirmedMs! <= sinceMs)
      .map((follower) => this.#messageTo(follower, { name: event.id, event: n, ticket: data, action }));
  }

  async #sendDue(): Promise<void> {
    const { followers, writes, clock } = this.#parts;
    if (!this.#sends() || followers.due(clock.now(), 1).length === 0) return;
    // Another node may have sent it just now.
    await writes.caughtUp();
    for (;;) {
      const due = this.#sends() ? followers.due(clock.now(), WIDTH) : [];
      if (due.length === 0) return;
      await Promise.all(due.map((one) => this.#attempt(one)));
    }
  }

  #sends(): boolean {
    return this.#state === 'started' && this.#parts.holds?.() !== false;
  }

  async #attempt(waiting: Waiting): Promise<void> {
    const { followers, writes, send, clock, random, log } = this.#parts;
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
    const isOver = decision.kind !== 'retry';
    if (!isOver) followers.later(n, attempt, nowMs + decision.afterMs);
    const failing = result.outcome === 'delivered' ? null : (follower.failingMs ?? nowMs);
    await writes.attempted(waiting, { failingMs: failing, isOver });
    if (!isOver || decision.kind === 'done') return;
    // The address does not exist, or takes nothing any more. Whose it is stays out of the log.
    log.warn({ follower: id, channel, outcome: result.outcome }, 'a citizen cannot be reached, and is forgotten');
    await writes.unfollow([id]);
  }

  #schedule(): void {
    this.#cancelTimer();
    const at = this.#sends() ? this.#parts.followers.nextDue() : null;
    if (at === null) return;
    this.#cancelTimer = this.#parts.timers.after(Math.max(0, at - this.#parts.clock.now()), () => this.wake());
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

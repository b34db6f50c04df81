import {
  type Clock,
  LamppostError,
  type SessionChange,
  type SessionsControl,
  type Timers,
} from '../../domain/index.ts';
import { Changes } from './changes.ts';
import type { SessionsFile } from './file.ts';
import { GONE_MS, type Holders } from './holders.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './table.ts';

/** Where changes of sessions go; what it returns resolves once they count and are on disk. */
export interface SessionLog {
  append(changes: readonly SessionChange[]): Promise<void>;
}

/** One machine: a change counts at once, and is in the file of sessions. */
export class OwnLog implements SessionLog {
  readonly #changes: Changes;
  readonly #file: SessionsFile;
  readonly #clock: Clock;

  constructor(changes: Changes, file: SessionsFile, clock: Clock) {
    this.#changes = changes;
    this.#file = file;
    this.#clock = clock;
  }

  append(changes: readonly SessionChange[]): Promise<void> {
    const from = { node: null, atMs: this.#clock.now() };
    for (const change of changes) this.#changes.apply(change, from);
    return this.#file.synced();
  }
}

/** A `sessions` block of the log. */
export interface SessionsRecord {
  readonly seq: number;
  /** Steady ms. */
  readonly atMs: number;
  readonly control: SessionsControl;
}

/** The log that a node shares with others. */
export interface SessionRecords {
  /** The name of this node. */
  readonly node: string;
  /** Appends a record; resolves once it is on disk and can be read. Rejects with a `LamppostError` where it is not. */
  append(control: SessionsControl): Promise<unknown>;
  /** Returns the number of the newest block. */
  head(): number;
  /** Returns the next `sessions` blocks after a block, in order. */
  after(seq: number, limit: number): readonly SessionsRecord[];
  /** Called with the block up to which this node does not need the log any more. */
  followed(seq: number): void;
}

/** What the shared log is made of. */
export interface SharedParts {
  readonly records: SessionRecords;
  /** Names this run of the process. */
  readonly run: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly file: SessionsFile;
  readonly table: SessionTable;
  readonly holders: Holders;
  /** Called where the others take this node for gone: it ends its connections, whose clients may be elsewhere. */
  readonly onCutOff: () => void;
}

interface Waiting {
  readonly changes: readonly SessionChange[];
  /** Asked when they are about to be appended. */
  readonly isWanted: () => boolean;
  readonly done: () => void;
}

type Timed = 'send' | 'places' | 'beat' | 'retry';

/** Between two records of a node, at least: what happens meanwhile shares the next one. */
const EVERY_MS = 100;
/** Between two places of a session, at least. */
const PLACES_MS = 1_000;
/** A node without changes says so often that it is there. */
const BEAT_MS = 2_000;
/** How long a client waits for its record before it is refused. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 250;
const STOP_MS = 2_000;
/** One record, at most; a SUBSCRIBE may be larger. */
const MOST_CHANGES = 2_000;
const MOST_BYTES = 256 * 1_024;
/** What waits for the log, at most, before logins are refused. */
const MOST_WAITING = 50_000;
const PAGE = 64;

/**
 * A cluster: changes go into the log, in one record at a time, and count where they stand there. Every node applies
 * what it reads, its own changes included.
 */
export class SharedLog implements SessionLog {
  readonly #parts: SharedParts;
  #changes!: Changes;
  readonly #waiting: Waiting[] = [];
  readonly #moved = new Set<Session>();
  #sending: { readonly control: SessionsControl; readonly done: readonly (() => void)[] } | null = null;
  #n = 0;
  #sentMs = 0;
  #placedMs = 0;
  /** The block up to which the log was read. */
  #seq: number;
  #isReading = false;
  /** Whether the log has a record of this run. */
  #isThere = false;
  #isCutOff = false;
  #isRunning = false;
  readonly #cancels = new Map<Timed, () => void>();

  constructor(parts: SharedParts) {
    this.#parts = parts;
    this.#seq = parts.holders.seq;
  }

  /** Says that this run begins, and follows the log. The sessions of a folder from before become records. */
  start(changes: Changes): void {
    this.#changes = changes;
    this.#isRunning = true;
    const { holders, table } = this.#parts;
    this.#send();
    this.#beat();
    if (holders.adopted) return;
    const known = [...table.all()].filter(({ id }) => holders.get(id) === undefined);
    for (const session of known) void this.append(adopting(session, table)).catch(() => {});
    // After all of these.
    void this.append([])
      .then(() => holders.followed(this.#seq, true))
      .catch(() => {});
  }

  /** `isWanted`: asked when they are about to be appended; where it returns false they are not. */
  append(changes: readonly SessionChange[], isWanted = () => true): Promise<void> {
    const { timers } = this.#parts;
    return new Promise((resolve, reject) => {
      const cancel = timers.after(PATIENCE_MS, () => reject(away()));
      const done = () => {
        cancel();
        resolve();
      };
      this.#waiting.push({ changes, isWanted, done });
      this.#sendSoon();
    });
  }

  /** Whether so much waits that no more logins are taken. */
  get isFull(): boolean {
    return this.#waiting.length >= MOST_WAITING;
  }

  moved(session: Session): void {
    if (!session.isHere) return;
    this.#moved.add(session);
    this.#placesSoon();
  }

  /** The log has more. */
  read(): void {
    if (!this.#isReading && this.#isRunning) void this.#readOn();
  }

  /** Appends what waits, where the log takes it soon; then appends nothing more. */
  async stop(): Promise<void> {
    this.#stopLater('beat');
    this.#placedMs = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.timers.after(STOP_MS, resolve);
    await Promise.race([this.append([]).catch(() => {}), promise]);
    cancel();
    this.#isRunning = false;
    for (const name of [...this.#cancels.keys()]) this.#stopLater(name);
  }

  async #readOn(): Promise<void> {
    const { records, file, holders } = this.#parts;
    this.#isReading = true;
    const before = holders.seq;
    for (let isMore = true; isMore && this.#isRunning; ) {
      const head = records.head();
      const page = records.after(this.#seq, PAGE);
      isMore = page.length === PAGE;
      for (const record of page) this.#apply(record);
      this.#seq = isMore ? page.at(-1)!.seq : Math.max(this.#seq, head, page.at(-1)?.seq ?? 0);
      if (page.length > 0) holders.followed(this.#seq);
      if (isMore) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#isReading = false;
    const { seq } = holders;
    if (seq > before)
      file.synced().then(
        () => records.followed(seq),
        () => {},
      );
  }

  #apply({ atMs, control }: SessionsRecord): void {
    const { holders, run } = this.#parts;
    const { node, changes } = control;
    const taken = holders.take(control, atMs);
    if (taken === null) return;
    for (const id of taken.ended) this.#changes.ended(id, atMs);
    const isLate = atMs - control.atMs > GONE_MS;
    for (const change of changes) this.#changes.apply(change, { node, atMs, isLate });
    if (this.#isThere && (holders.isGone() || (isLate && node === holders.me))) this.#cutOff();
    const sent = this.#sending;
    if (sent === null || node !== holders.me || control.run !== run || control.n !== sent.control.n) return;
    this.#sending = null;
    this.#stopLater('retry');
    this.#isThere = true;
    this.#isCutOff = false;
    for (const done of sent.done) done();
    if (this.#waiting.length > 0) this.#sendSoon();
    if (this.#moved.size > 0) this.#placesSoon();
  }

  #placesSoon(): void {
    const waitMs = this.#placedMs + PLACES_MS - this.#parts.clock.now();
    this.#later('places', Math.max(0, waitMs), () => this.#sendSoon());
  }

  #sendSoon(): void {
    if (this.#sending !== null || !this.#isRunning) return;
    const waitMs = Math.max(0, this.#sentMs + EVERY_MS - this.#parts.clock.now());
    this.#later('send', waitMs, () => this.#send());
  }

  #send(): void {
    if (this.#sending !== null || !this.#isRunning) return;
    const { run, holders, clock } = this.#parts;
    const { changes, done } = this.#take();
    this.#sentMs = clock.now();
    const control = { node: holders.me, run, n: this.#n++, atMs: this.#sentMs, changes };
    this.#sending = { control, done };
    void this.#put(control);
  }

  /**
   * Takes what waits, as far as one record goes. The first record of a run has no changes: it says that this begins.
   */
  #take(): { changes: SessionChange[]; done: (() => void)[] } {
    const changes: SessionChange[] = [];
    const done: (() => void)[] = [];
    if (this.#n === 0) return { changes, done };
    for (let bytes = 0; this.#waiting.length > 0 && changes.length < MOST_CHANGES; ) {
      const next = this.#waiting[0]!;
      bytes += JSON.stringify(next.changes).length;
      if (changes.length > 0 && bytes > MOST_BYTES) break;
      this.#waiting.shift();
      if (next.isWanted()) changes.push(...next.changes);
      done.push(next.done);
    }
    if (this.#parts.clock.now() - this.#placedMs >= PLACES_MS) changes.push(...this.#places(MOST_CHANGES));
    return { changes, done };
  }

  #places(most: number): SessionChange[] {
    const { table, clock } = this.#parts;
    const found: SessionChange[] = [];
    for (const session of this.#moved) {
      if (found.length >= most) break;
      this.#moved.delete(session);
      const place = table.acknowledged(session);
      if (session.isHere && place !== session.recorded && table.get(session.id) === session)
        found.push({ do: 'place', id: session.id, place });
    }
    if (this.#moved.size === 0) this.#placedMs = clock.now();
    return found;
  }

  /** The same record until the log has it, which a reply that was lost does not show. */
  async #put(control: SessionsControl): Promise<void> {
    const { records } = this.#parts;
    while (this.#isRunning && this.#sending?.control === control) {
      try {
        await records.append(control);
        this.read();
        return;
      } catch (error) {
        if (!(error instanceof LamppostError)) throw error;
        if (this.#sending?.control !== control) return;
        await new Promise<void>((resolve) => this.#later('retry', RETRY_MS, resolve));
      }
    }
  }

  /** Says that this node is there, and notices where it cannot: then its clients are better off with another one. */
  #beat(): void {
    this.#later('beat', BEAT_MS, () => {
      const quietMs = this.#parts.clock.now() - this.#sentMs;
      if (this.#sending === null && quietMs >= BEAT_MS) this.#send();
      else if (this.#sending !== null && quietMs > GONE_MS) this.#cutOff();
      this.read();
      this.#beat();
    });
  }

  /** Once until the log has a record of this node again: who has come since then waits for that. */
  #cutOff(): void {
    if (this.#isCutOff) return;
    this.#isCutOff = true;
    this.#parts.onCutOff();
  }

  #later(name: Timed, ms: number, run: () => void): void {
    if (this.#cancels.has(name)) return;
    const cancel = this.#parts.timers.after(ms, () => {
      this.#cancels.delete(name);
      run();
    });
    this.#cancels.set(name, cancel);
  }

  #stopLater(name: Timed): void {
    this.#cancels.get(name)?.();
    this.#cancels.delete(name);
  }
}

/** Returns what makes a session of this folder one of all nodes. */
function adopting(session: Session, table: SessionTable): SessionChange[] {
  const { id, owner, expiry } = session;
  const begin = { ...Changes.begin(id, owner), place: table.acknowledged(session), connected: false, expiry };
  const subscribed = [...session.subscriptions.values()].map(
    ({ subscription, since }): SessionChange => ({ do: 'subscribe', id, subscriptions: [subscription], since }),
  );
  return [begin, ...subscribed];
}

function away(): LamppostError {
  return new LamppostError('log-away', 'the log does not take what happens to sessions', { retryable: true });
}

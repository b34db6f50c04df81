import type { JetStreamClient, JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { LamppostError } from '../domain/index.ts';
import { ASKED_MS, bucketOf, isOvertaken, jetStreamOf, mayPass, patiently } from './jetstream.ts';
import { nats } from './nats.ts';
import type { ClusterSettings } from './settings.ts';

/** What a key holds by now; null: it was deleted. */
export interface KeyChange {
  readonly key: string;
  readonly value: string | null;
  /** Grows with every change of the bucket. */
  readonly revision: number;
}

/** What a node has of a bucket. Its functions return when that is on its disk. */
export interface KeyCopy {
  /** Of which bucket it is, and the revision up to which it has everything; null: of none. */
  place(): { readonly bucket: string; readonly revision: number } | null;
  /** Begins with another bucket: nothing of it is known yet. */
  begin(bucket: string): void;
  /**
   * Takes over a change, unless a newer one of its key is known. `followed`: everything up to its revision was taken
   * over.
   */
  apply(change: KeyChange, followed: boolean): void;
}

/** Seals values: they are not readable on the disks of NATS. */
interface Seal {
  seal(text: string): string;
  open(sealed: string): string;
}

interface Parts {
  readonly seal: Seal;
  readonly copy: KeyCopy;
  readonly log: Pick<Logger, 'warn' | 'error'>;
}

interface Bucket {
  readonly connection: NatsConnection;
  /** The name of the bucket. */
  readonly name: string;
  /** The subject on which nodes say that they wrote. */
  readonly changes: string;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
}

/** Keys that all nodes of a cluster have, in a bucket of NATS, and each node in a copy of its own. */
export interface SharedKeys {
  /** Begins to follow what others write. */
  start(): void;
  /** Idempotent. */
  stop(): Promise<void>;
  /** Resolves once the copy has all that was acknowledged before. Throws `log-away`. */
  caughtUp(): Promise<void>;
  /**
   * Makes the value of a key another one, by the value that it has then; `edit` may be called again. Null deletes.
   * Resolves when the bucket acknowledged it and the copy has it. Throws `log-away`.
   */
  change(key: string, edit: (value: string | null) => string | null): Promise<void>;
  /**
   * Writes what follows from the copy while it has everything, and nobody else writes in between; `plan` may be called
   * again. Null writes nothing. Throws `log-away`, and what `plan` throws.
   */
  exclusively(plan: () => Pick<KeyChange, 'key' | 'value'> | null): Promise<void>;
  /** Returns every key as it was at a revision, also those that only have the mark of a deletion. Throws `log-away`. */
  keys(): Promise<{ readonly names: ReadonlySet<string>; readonly revision: number }>;
  /** Takes away the marks of those of some keys that were deleted before a moment, epoch ms. Throws `log-away`. */
  forgetDeleted(names: Iterable<string>, beforeMs: number): Promise<void>;
}

/** Somebody may have written without a word of it. */
const ASK_MS = 1_500;
/** So many writes of others in one attempt are no accident. */
const MOST_OVERTAKEN = 100;
const OPERATION = 'KV-Operation';
const ROLLUP = 'Nats-Rollup';

/**
 * Opens the bucket `<cluster>-<what>`, and creates it where there is none; resolves to what returns its keys for a
 * copy. Throws `log-away`.
 */
export async function openSharedKeys(
  connection: NatsConnection,
  settings: ClusterSettings,
  what: string,
): Promise<(parts: Parts) => SharedKeys> {
  await bucketOf(connection, settings, what);
  const client = jetStreamOf(connection, settings);
  const names = { name: `${settings.name}-${what}`, changes: `${settings.name}.${what}` };
  const bucket = { connection, ...names, client, manager: await client.jetstreamManager(false) };
  return (parts) => new KeysOfCluster(bucket, parts);
}

class KeysOfCluster implements SharedKeys {
  readonly #bucket: Bucket;
  readonly #parts: Parts;
  readonly #stream: string;
  readonly #prefix: string;
  #subscription: Subscription | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** One pass at a time. */
  #passing: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | null = null;
  /** The revision up to which the copy has everything. */
  #at = 0;
  #stopped = false;

  constructor(bucket: Bucket, parts: Parts) {
    this.#bucket = bucket;
    this.#parts = parts;
    this.#stream = `KV_${bucket.name}`;
    this.#prefix = `$KV.${bucket.name}.`;
  }

  start(): void {
    const callback = () => this.#follow();
    this.#subscription = this.#bucket.connection.subscribe(this.#bucket.changes, { callback });
    this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#subscription?.unsubscribe();
    await this.#passing.catch(() => {});
  }

  caughtUp(): Promise<void> {
    return patiently(this.#stream, () => this.#pass(), ASKED_MS);
  }

  change(key: string, edit: (value: string | null) => string | null): Promise<void> {
    return this.#unlessOvertaken(async () => {
      const found = await this.#last(key);
      const before = found === null ? null : this.#valueOf(found);
      const after = edit(before);
      if (after === before) {
        if (found !== null) this.#parts.copy.apply({ key, value: after, revision: found.seq }, false);
        return;
      }
      const revision = await this.#write(key, after, { lastSubjectSequence: found?.seq ?? 0 });
      this.#parts.copy.apply({ key, value: after, revision }, false);
    });
  }

  exclusively(plan: () => Pick<KeyChange, 'key' | 'value'> | null): Promise<void> {
    return this.#unlessOvertaken(async () => {
      await this.#pass();
      const planned = plan();
      if (planned === null) return;
      const revision = await this.#write(planned.key, planned.value, { lastSequence: this.#at });
      this.#parts.copy.apply({ ...planned, revision }, false);
    });
  }

  async keys(): Promise<{ names: ReadonlySet<string>; revision: number }> {
    const filter = { subjects_filter: `${this.#prefix}>` };
    const info = () => this.#bucket.manager.streams.info(this.#stream, filter);
    const { state } = await patiently(this.#stream, info, ASKED_MS);
    const names = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.#prefix.length));
    return { names: new Set(names), revision: state.last_seq };
  }

  async forgetDeleted(names: Iterable<string>, beforeMs: number): Promise<void> {
    for (const key of names) {
      const found = await patiently(this.#stream, () => this.#last(key), ASKED_MS);
      if (found === null || !isMark(found) || found.time.getTime() >= beforeMs) continue;
      const purge = { filter: this.#prefix + key, seq: found.seq + 1 };
      await patiently(this.#stream, () => this.#bucket.manager.streams.purge(this.#stream, purge), ASKED_MS);
    }
  }

  /** Follows now, and again after a while. */
  #follow(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const again = () => {
      clearTimeout(this.#timer);
      if (!this.#stopped) this.#timer = setTimeout(() => this.#follow(), ASK_MS).unref();
    };
    this.#pass().then(again, (error: unknown) => {
      const { log } = this.#parts;
      if (!mayPass(error) && !this.#stopped) log.warn({ err: error }, `${this.#stream} is followed later`);
      again();
    });
  }

  /** Takes over all that was written before. Who asks while a pass waits for another one shares it. */
  #pass(): Promise<void> {
    this.#waiting ??= this.#passing
      .catch(() => {})
      .then(() => {
        this.#waiting = null;
        this.#passing = this.#readAll();
        return this.#passing;
      });
    return this.#waiting;
  }

  async #readAll(): Promise<void> {
    const { copy } = this.#parts;
    if (this.#stopped) throw new LamppostError('busy', 'the server stops', { retryable: true });
    const { created, state } = await this.#bucket.manager.streams.info(this.#stream);
    const place = copy.place();
    this.#at = Math.max(this.#at, place?.revision ?? 0);
    // Another bucket, or one that lost its end: its revisions are others.
    if (place?.bucket !== created || state.last_seq < this.#at) {
      copy.begin(created);
      this.#at = 0;
    }
    while (this.#at < state.last_seq && !this.#stopped) {
      const query = { seq: this.#at + 1, next_by_subj: `${this.#prefix}>` };
      const found = await this.#bucket.manager.streams.getMessage(this.#stream, query);
      if (found === null) this.#at = state.last_seq;
      else this.#take(found);
    }
  }

  #take(found: StoredMsg): void {
    const key = found.subject.slice(this.#prefix.length);
    try {
      this.#parts.copy.apply({ key, value: this.#valueOf(found), revision: found.seq }, true);
    } catch (error) {
      if (!(error instanceof LamppostError) || error.code !== 'invalid') throw error;
      this.#parts.log.error({ err: error, key }, 'what another node stored cannot be read here');
    }
    this.#at = found.seq;
  }

  #last(key: string): Promise<StoredMsg | null> {
    return this.#bucket.manager.streams.getMessage(this.#stream, { last_by_subj: this.#prefix + key });
  }

  #valueOf(found: StoredMsg): string | null {
    return isMark(found) ? null : this.#parts.seal.open(found.string());
  }

  async #write(
    key: string,
    value: string | null,
    expect: { readonly lastSequence: number } | { readonly lastSubjectSequence: number },
  ): Promise<number> {
    const headers = nats().core.headers();
    if (value === null) {
      headers.set(OPERATION, 'PURGE');
      headers.set(ROLLUP, 'sub');
    }
    const body = value === null ? '' : this.#parts.seal.seal(value);
    const { seq } = await this.#bucket.client.publish(this.#prefix + key, body, { headers, expect });
    this.#bucket.connection.publish(this.#bucket.changes);
    return seq;
  }

  /** Does something again where somebody else wrote in between, or NATS is away for a moment. */
  #unlessOvertaken(work: () => Promise<void>): Promise<void> {
    const attempt = async () => {
      for (let n = 0; n < MOST_OVERTAKEN; n++) {
        try {
          return await work();
        } catch (error) {
          if (!isOvertaken(error)) throw error;
        }
      }
      throw new LamppostError('busy', `too many write to ${this.#stream}`, { retryable: true });
    };
    return patiently(this.#stream, attempt, ASKED_MS);
  }
}

const isMark = ({ header }: StoredMsg) => header.get(OPERATION) !== '';

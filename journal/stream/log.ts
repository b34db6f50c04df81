import type { JetStreamClient, JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { type ClusterSettings, connectTo, electAnother, isOvertaken, nats } from '../../cluster/index.ts';
import { LamppostError, MINUTE_MS } from '../../domain/index.ts';

/** How long the stream knows the names of messages: whoever repeats one within it adds nothing. */
const DUPLICATE_WINDOW_MS = 2 * MINUTE_MS;
/** Within a fail-over, servers that know no leader yet do not reply. */
const API_MS = 2_000;
/** A publisher learns sooner that nobody leads the stream, and tries again. */
const PUBLISH_MS = 2_000;
/** Bytes of a message beside a block's body. */
const BESIDE_BYTES = 2_048;

/** The subject of a cluster's log. */
const subjectOf = ({ name }: Pick<ClusterSettings, 'name'>): string => `${name}.log`;

const appendedOf = ({ name }: ClusterSettings) => `${name}.appended`;

/** The numbers of the records that the stream has: `first` is 1 more than `last` where it has none. */
export interface StreamEnds {
  readonly first: number;
  readonly last: number;
}

/** The stream that is the log of a cluster. */
export class StreamLog {
  readonly settings: ClusterSettings;
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly #manager: JetStreamManager;

  private constructor(settings: ClusterSettings, connection: NatsConnection, manager: JetStreamManager) {
    this.settings = settings;
    this.connection = connection;
    this.#manager = manager;
    this.client = nats().jetstream.jetstream(connection, apiOf(settings));
  }

  /** Connects, and makes the stream where there is none. Throws `log-away`, `config`. */
  static async open(settings: ClusterSettings): Promise<StreamLog> {
    const connection = await connectTo(settings, 'log');
    try {
      const manager = await nats().jetstream.jetstreamManager(connection, { ...apiOf(settings), checkAPI: false });
      const log = new StreamLog(settings, connection, manager);
      await log.#ensure();
      return log;
    } catch (error) {
      await connection.close();
      throw error instanceof LamppostError ? error : away(error);
    }
  }

  /** The most bytes of a block's body: the servers' `max_payload`. */
  get mostBytes(): number {
    return (this.connection.info?.max_payload ?? 1_048_576) - BESIDE_BYTES;
  }

  /** Throws `log-away`. */
  async ends(): Promise<StreamEnds> {
    const { state } = await this.#info();
    return { first: state.first_seq, last: state.last_seq };
  }

  /**
   * Resolves to the number of the record; another one of the same name adds nothing, and gets the number of the first.
   * Throws `log-away`: it may be in the stream nevertheless.
   */
  async publish(message: Uint8Array, name: string): Promise<{ seq: number; isFirst: boolean }> {
    try {
      const ack = await this.client.publish(subjectOf(this.settings), message, {
        msgID: name,
        timeout: PUBLISH_MS,
        expect: { streamName: this.settings.name },
      });
      // NATS 2.10 knows a name from when it is proposed, and then has no number for it: nothing is written yet.
      if (!(ack.seq > 0)) throw new Error(`${name} has no number yet`);
      return { seq: ack.seq, isFirst: !ack.duplicate };
    } catch (cause) {
      throw away(cause);
    }
  }

  /**
   * Appends a record where the newest one is still `after`; resolves to its number, and to null where it is another
   * one. Throws `log-away`: it may be in the stream nevertheless.
   */
  async publishAfter(after: number, message: Uint8Array, name: string): Promise<number | null> {
    try {
      const expect = { streamName: this.settings.name, lastSequence: after };
      const ack = await this.client.publish(subjectOf(this.settings), message, {
        ...{ msgID: name, timeout: PUBLISH_MS, expect },
      });
      return ack.duplicate ? null : ack.seq;
    } catch (cause) {
      if (isOvertaken(cause)) return null;
      throw away(cause);
    }
  }

  /**
   * Returns a record as it is in the stream; null where it has it no more, or not yet. The server that leads replies:
   * what another one has may differ from it for good after a fail-over (ADR 56). Throws `log-away`.
   */
  async record(seq: number): Promise<Uint8Array | null> {
    try {
      return (await this.#manager.streams.getMessage(this.settings.name, { seq }))?.data ?? null;
    } catch (cause) {
      if (/message not found|no message found/i.test((cause as Error).message)) return null;
      throw away(cause);
    }
  }

  /** Resolves to the server that leads the stream; null where none does, or it has one replica. Throws `log-away`. */
  async leader(): Promise<string | null> {
    const { cluster, config } = await this.#info();
    return config.num_replicas > 1 ? (cluster?.leader ?? null) : null;
  }

  /** Lets another server lead the stream, where one can. */
  async electAnother(): Promise<void> {
    await electAnother(this.connection, this.settings);
  }

  /** Notifies the other nodes up to which record they can read: best effort. */
  announce(seq: number): void {
    this.connection.publish(appendedOf(this.settings), String(seq));
  }

  /** Calls the listener with the numbers that other nodes announce. */
  onAnnounced(listener: (seq: number) => void): void {
    this.connection.subscribe(appendedOf(this.settings), {
      callback: (_error, message) => listener(Number(message.string())),
    });
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  async #info(): Promise<StreamInfo> {
    try {
      return await this.#manager.streams.info(this.settings.name);
    } catch (cause) {
      throw away(cause);
    }
  }

  async #ensure(): Promise<void> {
    const { name, replicas } = this.settings;
    const wanted: Partial<StreamConfig> & { name: string } = {
      name,
      subjects: [subjectOf(this.settings)],
      num_replicas: replicas,
      duplicate_window: nats().core.nanos(DUPLICATE_WINDOW_MS),
      // A full stream refuses what is new; it never drops what is old.
      discard: 'new',
      deny_delete: true,
      allow_direct: true,
    };
    try {
      await this.#manager.streams.info(name);
    } catch (error) {
      if (!/stream not found/i.test((error as Error).message)) throw error;
      // Two nodes that start at once make the same.
      await this.#manager.streams.add(wanted);
    }
  }
}

const apiOf = ({ domain }: ClusterSettings) => ({ timeout: API_MS, ...(domain === null ? {} : { domain }) });

function away(cause: unknown): LamppostError {
  const why = (cause as Error).message;
  return new LamppostError('log-away', `the replicated log cannot be reached: ${why}`, { retryable: true, cause });
}

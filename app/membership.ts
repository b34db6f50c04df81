import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { CITIZENS_FILE, MEDIA_FOLDER } from '../citizens/index.ts';
import {
  type ClusterSettings,
  connectTo,
  createLeases,
  createNodes,
  electAnother,
  type FailuresOfCluster,
  identityOf,
  type Leases,
  type NodeIdentity,
  type NodeReport,
  type Nodes,
  type OnceKeys,
  openFailures,
  openOnceKeys,
  openSharedKeys,
  openSharedObjects,
  openSnapshots,
  type SeenNode,
  type Snapshots,
  trimStream,
} from '../cluster/index.ts';
import { type Clock, DUTIES, type Duties, type Duty, isoOf, LamppostError, monotonicClock } from '../domain/index.ts';
import { isSameBlock } from '../journal/index.ts';
import type { CountedFailures } from '../limits/index.ts';
import packaged from '../package.json' with { type: 'json' };
import { type ChecksumReport, compareMarks, whyToStop } from '../rules/index.ts';
import { SECRETS_KEY_FILE } from './backup.ts';
import type { SharedCitizens } from './citizen-deps.ts';
import { joinCluster } from './join.ts';

interface Options {
  /** The data folder, which belongs to this process. */
  readonly dir: string;
  readonly settings: ClusterSettings;
  /** The largest message of a device, bytes. */
  readonly maxPacket: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called where this node must end: another one has its name, or it decided something else than the others. */
  readonly onFault: (error: Error) => void;
}

/** What a node says of itself to the others. */
interface Describing {
  /** Whether it serves, and how far it is. */
  readonly state: () => Promise<Pick<NodeReport, 'ready' | 'reasons' | 'mirrored' | 'decided' | 'stored' | 'lagMs'>>;
  readonly checksum: () => Promise<ChecksumReport>;
  readonly clients: () => Promise<number>;
  readonly http: string | null;
  readonly mqtt: string | null;
}

/** A node that is further behind the log does nothing for all. */
const MOST_LAG_MS = 10_000;
/** What is known of a node for so long is not known now. */
const DESCRIBED_MS = 10_000;
const AGAIN_MS = 500;
/** Blocks that stay in the stream behind a snapshot: a node that was away for a moment needs none. */
const MARGIN_BLOCKS = 10_000;
const MARKS_SAID = 16;

/**
 * Connects to the cluster and makes the data folder one that can follow its log. Throws `conflict`, `config`, `disk`.
 */
export async function beginMembership(options: Options): Promise<Membership> {
  const { dir, settings, clock, log } = options;
  const identity = identityOf(dir, settings.node);
  const connection = await connectPatiently(settings, log);
  try {
    refuseLarge(options.maxPacket, connection.info?.max_payload);
    await joinCluster({ dir, settings, connection, isSame: isSameBlock, clock, log });
    return new Membership(options, identity, connection, await openSnapshots(connection, settings));
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** This node of a cluster: which duties it has, and what it knows of the others. */
export class Membership {
  readonly duties: Duties;
  readonly #options: Options;
  readonly #identity: NodeIdentity;
  readonly #connection: NatsConnection;
  readonly #snapshots: Snapshots;
  readonly #leases: Leases;
  #nodes: Nodes | null = null;
  #isFit = false;
  /** When it last knew that, monotonic. */
  #describedAt = 0;
  #isClosing = false;
  /** Counted from this block: checksums of others that count from another one say nothing. */
  #since = 0;
  #marks: ChecksumReport['marks'] = [];
  /** The mark of the newest difference that was said. */
  #differsAt = 0;
  /** Whether it decided something else than most, and ends. */
  #isDifferent = false;

  constructor(options: Options, identity: NodeIdentity, connection: NatsConnection, snapshots: Snapshots) {
    const { settings, log } = options;
    this.#options = options;
    this.#identity = identity;
    this.#connection = connection;
    this.#snapshots = snapshots;
    this.#leases = createLeases({ connection, settings, run: identity.run, isFit: () => this.#fit(), log });
    this.duties = this.#leases;
    void connection.closed().then((cause) => {
      if (this.#isClosing) return;
      const why = `the connection to NATS ended: ${cause?.message ?? 'it was closed'}`;
      options.onFault(new LamppostError('log-away', why));
    });
  }

  get node(): string {
    return this.#identity.node;
  }

  /** Begins to say how this node is, and to apply for duties. Throws `conflict` where another node has its name. */
  async start(describing: Describing): Promise<void> {
    const { settings, log, clock, onFault } = this.#options;
    const startedAt = isoOf(clock.now());
    const describe = async () => {
      const asked = [describing.state(), describing.checksum(), describing.clients()] as const;
      const [state, checksum, clients] = await Promise.all(asked);
      return this.#report(state, checksum, { ...describing, clients, startedAt });
    };
    const of = { connection: this.#connection, settings, identity: this.#identity };
    this.#nodes = createNodes({ ...of, describe, onTaken: onFault, log });
    await this.#nodes.start();
    await this.#leases.start();
  }

  /** All nodes that were seen in a week. */
  list(): readonly SeenNode[] {
    return this.#nodes?.list() ?? [];
  }

  /**
   * Puts a complete backup, whose log ends with block `seq`, into the object store, and trims the stream behind
   * the older of the two that stay. Throws `busy` where this is another node's duty by now, `log-away`.
   */
  async snapshot(folder: string, seq: number): Promise<{ seq: number; bytes: number; trimmed: number }> {
    const isMine = () => this.duties.holds('snapshots') !== null;
    const { bytes } = await this.#snapshots.put(folder, { seq, isMine, leaveOut: isOfThisNode });
    // A node may be downloading the older one, or find the newer one damaged.
    const oldest = (await this.#snapshots.list()).at(-1)?.seq ?? seq;
    const until = Math.min(seq, oldest) - MARGIN_BLOCKS;
    const trimmed = isMine() ? await trimStream(this.#connection, this.#options.settings, until) : 0;
    return { seq, bytes, trimmed };
  }

  /** The newest block that a snapshot has; 0: there is none. */
  async newestSnapshot(): Promise<number> {
    return (await this.#snapshots.list())[0]?.seq ?? 0;
  }

  /** Opens what counts once among the nodes. Throws `log-away`. */
  openOnce(): Promise<OnceKeys> {
    return openOnceKeys(this.#connection, this.#options.settings);
  }

  /** Begins to listen to what the other nodes say of failed logins. */
  openFailures(onReceived: (failures: CountedFailures) => void): FailuresOfCluster {
    const of = { connection: this.#connection, settings: this.#options.settings, identity: this.#identity };
    return openFailures({ ...of, onReceived });
  }

  /** Opens what the nodes share of citizens. Throws `log-away`. */
  async openCitizens(): Promise<Pick<SharedCitizens, 'keys' | 'objects'>> {
    const { settings } = this.#options;
    const keys = await openSharedKeys(this.#connection, settings, 'citizens');
    return { keys, objects: await openSharedObjects(this.#connection, settings, 'photos') };
  }

  /** Gives back its duties and says that it stops, while its threads still run. Idempotent. */
  async leave(): Promise<void> {
    await this.#leases.stop();
    await this.#nodes?.stop();
  }

  async stop(): Promise<void> {
    await this.leave();
    this.#isClosing = true;
    await this.#connection.close();
  }

  #report(
    state: Awaited<ReturnType<Describing['state']>>,
    { since, marks }: ChecksumReport,
    facts: Pick<Describing, 'http' | 'mqtt'> & { readonly clients: number; readonly startedAt: string },
  ): NodeReport {
    [this.#since, this.#marks] = [since, marks];
    this.#compare();
    this.#isFit = state.ready && state.lagMs <= MOST_LAG_MS;
    this.#describedAt = monotonicClock.now();
    const { http, mqtt, clients, startedAt } = facts;
    return {
      ...{ version: packaged.version, startedAt, http, mqtt, clients },
      ...state,
      holds: (Object.keys(DUTIES) as Duty[]).filter((duty) => this.duties.holds(duty) !== null),
      checksums: this.#marks.slice(-MARKS_SAID).map(({ seq, hash }) => ({ seq, hash: `${this.#since}:${hash}` })),
    };
  }

  /** A node whose threads do not respond has no duty. */
  #fit(): boolean {
    return this.#isFit && monotonicClock.now() - this.#describedAt < DESCRIBED_MS;
  }

  /** A node that decided something else than most of the others ends. */
  #compare(): void {
    const { log, onFault } = this.#options;
    const marks = this.#marks.map(({ seq, hash }) => ({ seq, hash: `${this.#since}:${hash}` }));
    const others = this.list()
      // During an upgrade two versions may say the same in other words.
      .filter(({ state, version }) => state !== 'gone' && version === packaged.version)
      .map(({ node, checksums }) => ({ node, since: 0, marks: comparable(checksums, this.#since) }));
    const difference = compareMarks({ node: this.node, since: 0, marks }, others);
    if (difference === null) return;
    if (difference.seq !== this.#differsAt) log.error({ difference }, 'nodes of this cluster decided different things');
    this.#differsAt = difference.seq;
    const why = whyToStop(this.node, difference);
    if (why === null || this.#isDifferent) return;
    this.#isDifferent = true;
    // The server that leads may be the one that differs: whoever begins anew with an empty folder reads another one.
    void electAnother(this.#connection, this.#options.settings)
      .catch((error: unknown) => log.warn({ err: error }, 'no other server leads the log'))
      .then(() => onFault(new LamppostError('damaged', why)));
  }
}

/** Bytes of a record beside the message in it. */
const BESIDE_MESSAGE = 4_096;

/** A message that no record can hold would be refused again and again, and whatever is in its group commit with it. */
function refuseLarge(maxPacket: number, maxPayload = 1_048_576): void {
  if (maxPacket + BESIDE_MESSAGE <= maxPayload) return;
  const why = `MQTT_MAX_PACKET is ${maxPacket} bytes, and max_payload of the nats-servers ${maxPayload}`;
  throw new LamppostError('config', `${why}: raise max_payload on each of them, or lower the setting`);
}

/** The marks that count from the same block as this node's. */
const comparable = (marks: NodeReport['checksums'], since: number) =>
  marks.filter(({ hash }) => hash.startsWith(`${since}:`));

/** What belongs to one node, or must be erasable (names, contacts, photos), is in no snapshot. */
const isOfThisNode = (name: string) => [SECRETS_KEY_FILE, CITIZENS_FILE, MEDIA_FOLDER].includes(name.split('/')[0]!);

/** A start waits for NATS. */
async function connectPatiently(settings: ClusterSettings, log: Logger): Promise<NatsConnection> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await connectTo(settings, 'node');
    } catch (error) {
      if (!(error instanceof LamppostError) || !error.retryable) throw error;
      if (attempt % 20 === 0) log.warn(`this node waits: ${error.message}`);
      await pause(AGAIN_MS);
    }
  }
}

import type { KV, KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  type Clock,
  DAY_MS,
  DUTIES,
  type Duty,
  isoOf,
  LamppostError,
  monotonicClock,
  type ShapeOf,
  systemClock,
  systemTimers,
  type Timers,
} from '../domain/index.ts';
import type { NodeIdentity } from './identity.ts';
import { bucketOf, isOvertaken, jsonOf, keysIn, mayPass, patiently, REQUEST_MS } from './jetstream.ts';
import type { ClusterSettings } from './settings.ts';

/** How often a node says how it is. */
const REPORT_MS = 1_500;
/** A node that has said nothing for so long is taken for gone. */
const GONE_MS = 15_000;
/** A node of the same name that runs would have said something by then. */
const SILENT_MS = 3 * REPORT_MS;
const LOOK_MS = 250;
/** A node that is gone for good is forgotten by then. */
const BUCKET = { ttl: 7 * DAY_MS };

/** How a node is, as it says itself. Numbers of blocks; 0: none yet. */
export const NodeReportSchema = z.object({
  version: z.string(),
  startedAt: z.iso.datetime(),
  /** Whether it serves, as `/ready` says it; the sentences are why it does not. */
  ready: z.boolean(),
  reasons: z.array(z.string()),
  /** The newest block in its own log file, decided by its engine, and stored in its history. */
  mirrored: z.int().min(0),
  decided: z.int().min(0),
  stored: z.int().min(0),
  /** How old the newest block that it decided is, ms. */
  lagMs: z.number().min(0),
  holds: z.array(z.enum(Object.keys(DUTIES) as [Duty, ...Duty[]])),
  /** Its running checksum at some blocks, the newest last. */
  checksums: z.array(z.object({ seq: z.int(), hash: z.string() })),
  /** Where others reach it; null: it does not listen there. */
  http: z.string().nullable(),
  mqtt: z.string().nullable(),
  /** MQTT clients that are connected. */
  clients: z.int().min(0),
});
export type NodeReport = ShapeOf<typeof NodeReportSchema>;

const Stored = NodeReportSchema.extend({
  node: z.string(),
  installation: z.string(),
  run: z.string(),
  /** When it stopped in order; null while it runs. */
  stoppedAt: z.iso.datetime().nullable(),
});

/** What is known of a node of the cluster. */
export const SeenNodeSchema = Stored.extend({
  /** How long ago it said this, ms. */
  ageMs: z.number().min(0),
  state: z.enum(['running', 'stopped', 'gone']).describe('gone: it said nothing for 15 s'),
}).meta({ id: 'ClusterNode', description: 'A node of a cluster as it described itself last' });
export type SeenNode = ShapeOf<typeof SeenNodeSchema>;

/** The nodes of a cluster, and this one among them. */
export interface Nodes {
  /**
   * Takes the name of this node and begins to report. Throws `conflict` where another process of that name runs,
   * `log-away` where NATS cannot be reached.
   */
  start(): Promise<void>;
  /** All nodes that were seen in a week, by name; from memory, read every 1.5 s. */
  list(): readonly SeenNode[];
  /** Reports now, beside the regular ones: something has changed that others wait for. */
  report(): void;
  /** Reports that it stopped. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly connection: NatsConnection;
  readonly settings: ClusterSettings;
  readonly identity: NodeIdentity;
  /** How this node is now. */
  readonly describe: () => NodeReport | Promise<NodeReport>;
  /** Called where another process took the name of this node: this one must stop. */
  readonly onTaken: (error: LamppostError) => void;
  readonly log: Pick<Logger, 'warn'>;
  /** Monotonic. */
  readonly clock?: Clock;
  readonly wall?: Clock;
  readonly timers?: Timers;
}

/** Returns the nodes of a cluster as one of them sees them, by the bucket `<cluster>-nodes`. */
export function createNodes(options: Options): Nodes {
  return new NodesOfCluster(options);
}

interface Found {
  readonly revision: number;
  readonly said: z.infer<typeof Stored>;
  /** When this revision was seen first, monotonic; before that where it was old already. */
  readonly sinceMs: number;
}

class NodesOfCluster implements Nodes {
  readonly #options: Required<Options>;
  readonly #found = new Map<string, Found>();
  #keys: KV | null = null;
  /** Of this node's entry; 0: there is none. */
  #revision = 0;
  #cancel: () => void = () => {};
  #working: Promise<void> = Promise.resolve();
  #again = false;
  /** Whether the name is this process's. */
  #isNamed = false;
  #taken: LamppostError | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: Options) {
    this.#options = { clock: monotonicClock, wall: systemClock, timers: systemTimers, ...options };
  }

  async start(): Promise<void> {
    this.#keys = await bucketOf(this.#options.connection, this.#options.settings, 'nodes', BUCKET);
    await this.#takeName();
    this.#isNamed = true;
    this.#beat();
    await this.#working;
    if (this.#taken !== null) throw this.#taken;
  }

  list(): readonly SeenNode[] {
    const nowMs = this.#options.clock.now();
    return seen([...this.#found.values()].map(({ said, sinceMs }) => ({ said, ageMs: nowMs - sinceMs })));
  }

  report(): void {
    this.#again = true;
    this.#cancel();
    this.#cancel = this.#options.timers.after(0, () => this.#beat());
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#cancel();
    await this.#working;
    if (this.#isNamed && this.#taken === null) await this.#write(isoOf(this.#options.wall.now())).catch(() => {});
  }

  /** Waits until nobody of this name reports, unless that was a process over this very data folder: it has ended. */
  async #takeName(): Promise<void> {
    const { identity, clock } = this.#options;
    let first: KvEntry | null = null;
    const since = clock.now();
    for (;;) {
      const entry = await patiently('the entry of this node', () => this.#keys!.get(identity.node));
      this.#revision = entry?.revision ?? 0;
      const said = entry === null ? null : readEntry(entry);
      if (said === null || said.stoppedAt !== null || said.installation === identity.installation) return;
      first ??= entry;
      if (entry!.revision !== first!.revision) throw nameTaken(said);
      if (clock.now() - since > SILENT_MS) return;
      await new Promise<void>((resolve) => this.#options.timers.after(LOOK_MS, resolve));
    }
  }

  #beat(): void {
    if (this.#stopping !== null) return;
    this.#again = false;
    this.#working = this.#working.then(() => this.#reportAndLook());
    void this.#working.then(() => {
      if (this.#stopping !== null || this.#again) return;
      this.#cancel();
      this.#cancel = this.#options.timers.after(REPORT_MS, () => this.#beat());
    });
  }

  async #reportAndLook(): Promise<void> {
    try {
      await this.#write(null);
      await this.#look();
    } catch (error) {
      if (!mayPass(error)) this.#options.log.warn({ err: error }, 'this node could not report to the cluster');
    }
  }

  async #write(stoppedAt: string | null): Promise<void> {
    const { identity, describe } = this.#options;
    const body = JSON.stringify({ ...(await describe()), ...identity, stoppedAt });
    try {
      const options = { previousSeq: this.#revision, timeout: REQUEST_MS };
      this.#revision = await this.#keys!.put(identity.node, body, options);
    } catch (error) {
      if (!isOvertaken(error)) throw error;
      await this.#overtaken();
    }
  }

  /** Somebody wrote since: this process, whose acknowledgement was lost, or another one of the same name. */
  async #overtaken(): Promise<void> {
    const { identity, onTaken } = this.#options;
    const entry = await this.#keys!.get(identity.node);
    this.#revision = entry?.revision ?? 0;
    const said = entry === null ? null : readEntry(entry);
    if (said === null || said.run === identity.run || this.#taken !== null) return;
    this.#taken = nameTaken(said);
    onTaken(this.#taken);
  }

  async #look(): Promise<void> {
    const { connection, settings, clock, wall } = this.#options;
    const entries = await entriesOf(this.#keys!, await keysIn(connection, settings, 'nodes'));
    const nowMs = clock.now();
    for (const [node, { revision, createdMs, said }] of entries) {
      if (this.#found.get(node)?.revision === revision) continue;
      // What was there before this process looked is as old as the wall clocks say.
      const oldMs = this.#found.has(node) ? 0 : Math.max(0, wall.now() - createdMs);
      this.#found.set(node, { revision, said, sinceMs: nowMs - oldMs });
    }
    for (const node of this.#found.keys()) if (!entries.has(node)) this.#found.delete(node);
  }
}

/** Reads the nodes of a cluster once, without being one of them. Ages are by this machine's wall clock. */
export async function readNodes(connection: NatsConnection, settings: ClusterSettings): Promise<readonly SeenNode[]> {
  const keys = await bucketOf(connection, settings, 'nodes', BUCKET);
  const entries = await entriesOf(keys, await keysIn(connection, settings, 'nodes'));
  const nowMs = systemClock.now();
  return seen([...entries.values()].map(({ said, createdMs }) => ({ said, ageMs: Math.max(0, nowMs - createdMs) })));
}

interface Entry {
  readonly revision: number;
  readonly createdMs: number;
  readonly said: z.infer<typeof Stored>;
}

async function entriesOf(keys: KV, names: readonly string[]): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  for (const name of names) {
    const entry = await keys.get(name);
    const said = entry === null ? null : readEntry(entry);
    if (said !== null) found.set(name, { revision: entry!.revision, createdMs: entry!.created.getTime(), said });
  }
  return found;
}

/** Null where it was deleted, or a Lamppost of another version wrote what this one cannot read. */
function readEntry(entry: KvEntry): z.infer<typeof Stored> | null {
  return Stored.safeParse(jsonOf(entry)).data ?? null;
}

function seen(all: readonly { readonly said: z.infer<typeof Stored>; readonly ageMs: number }[]): SeenNode[] {
  return all
    .map(({ said, ageMs }): SeenNode => {
      const state = said.stoppedAt !== null ? 'stopped' : ageMs > GONE_MS ? 'gone' : 'running';
      return { ...said, ageMs: Math.round(ageMs), state };
    })
    .toSorted((a, b) => (a.node < b.node ? -1 : 1));
}

function nameTaken({ node, http, startedAt }: z.infer<typeof Stored>): LamppostError {
  const where = http === null ? '' : ` at ${http}`;
  return new LamppostError(
    'conflict',
    `LAMPPOST_NODE: another Lamppost with the name ${node} runs${where} since ${startedAt}: ` +
      'give each node a name of its own, or stop that one',
  );
}

import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { ObjectStore } from '@nats-io/obj';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { LamppostError } from '../domain/index.ts';
import { ASKED_MS, jetStreamOf, patiently } from './jetstream.ts';
import { nats } from './nats.ts';
import type { ClusterSettings } from './settings.ts';

/** Small objects that all nodes of a cluster have, in an object store of NATS. Everything throws `log-away`. */
export interface SharedObjects {
  /** Resolves when the store acknowledged it. One that is there counts as new. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Resolves to an object; null where there is none. */
  get(name: string): Promise<Uint8Array | null>;
  /** Takes an object away, with no mark of it. */
  remove(name: string): Promise<void>;
  names(): Promise<ReadonlySet<string>>;
  /** Removes what is not used, and what interrupted writes left, where it was stored before a moment, epoch ms. */
  sweep(isUsed: (name: string) => boolean, beforeMs: number): Promise<number>;
}

/** What the store says of an object. */
const MetaSchema = z.object({ nuid: z.string(), chunks: z.int(), size: z.int(), deleted: z.boolean().optional() });

/** Opens the object store `<cluster>-<what>`, and creates it where there is none. Throws `log-away`. */
export async function openSharedObjects(
  connection: NatsConnection,
  settings: ClusterSettings,
  what: string,
): Promise<SharedObjects> {
  const { Objm, setSha256Backend } = nats().objects;
  setSha256Backend('native');
  const bucket = `${settings.name}-${what}`;
  const client = jetStreamOf(connection, settings);
  const options = { replicas: settings.replicas };
  const store = await patiently(`the object store ${bucket}`, () => new Objm(client).create(bucket, options));
  return new ObjectsOfCluster(store, await client.jetstreamManager(false), bucket);
}

class ObjectsOfCluster implements SharedObjects {
  readonly #store: ObjectStore;
  readonly #manager: JetStreamManager;
  readonly #stream: string;
  readonly #metas: string;
  readonly #chunks: string;

  constructor(store: ObjectStore, manager: JetStreamManager, bucket: string) {
    this.#store = store;
    this.#manager = manager;
    this.#stream = `OBJ_${bucket}`;
    this.#metas = `$O.${bucket}.M.`;
    this.#chunks = `$O.${bucket}.C.`;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#patiently(() => this.#store.putBlob({ name }, bytes));
  }

  /** Reads it message by message from the leader: a consumer would end with its server. */
  get(name: string): Promise<Uint8Array | null> {
    return this.#patiently(async () => {
      const meta = metaIn(await this.#last(this.#metaOf(name)));
      if (meta === null) return null;
      const parts: Uint8Array[] = [];
      for (let seq = 1; parts.length < meta.chunks; ) {
        const query = { seq, next_by_subj: this.#chunks + meta.nuid };
        const found = await this.#manager.streams.getMessage(this.#stream, query);
        // It was removed meanwhile.
        if (found === null) return null;
        parts.push(found.data);
        seq = found.seq + 1;
      }
      const whole = Buffer.concat(parts);
      if (whole.length !== meta.size) throw new LamppostError('damaged', `${name} in ${this.#stream} is not whole`);
      return whole;
    });
  }

  async remove(name: string): Promise<void> {
    const found = await this.#patiently(() => this.#last(this.#metaOf(name)));
    if (found !== null) await this.#purge(found);
  }

  async names(): Promise<ReadonlySet<string>> {
    return new Set((await this.#subjects(this.#metas)).map((subject) => this.#nameOf(subject)));
  }

  async sweep(isUsed: (name: string) => boolean, beforeMs: number): Promise<number> {
    let removed = 0;
    const owned = new Set<string>();
    // Contents before names: those of a name that came in between are not among them.
    const chunks = await this.#subjects(this.#chunks);
    for (const subject of await this.#subjects(this.#metas)) {
      const found = await this.#patiently(() => this.#last(subject));
      if (found === null) continue;
      if (isUsed(this.#nameOf(subject)) || found.time.getTime() >= beforeMs) {
        owned.add(this.#chunks + metaIn(found)?.nuid);
        continue;
      }
      await this.#purge(found);
      removed++;
    }
    for (const subject of chunks) {
      const found = owned.has(subject) ? null : await this.#patiently(() => this.#last(subject));
      if (found === null || found.time.getTime() >= beforeMs) continue;
      await this.#purgeSubject({ filter: subject });
    }
    return removed;
  }

  /** The name before the content: what is half removed must not count. One that was stored meanwhile stays. */
  async #purge(found: StoredMsg): Promise<void> {
    await this.#purgeSubject({ filter: found.subject, seq: found.seq + 1 });
    const meta = metaIn(found);
    if (meta !== null) await this.#purgeSubject({ filter: this.#chunks + meta.nuid });
  }

  async #purgeSubject(purge: { readonly filter: string; readonly seq?: number }): Promise<void> {
    await this.#patiently(() => this.#manager.streams.purge(this.#stream, purge));
  }

  async #subjects(prefix: string): Promise<string[]> {
    const filter = { subjects_filter: `${prefix}>` };
    const { state } = await this.#patiently(() => this.#manager.streams.info(this.#stream, filter));
    return Object.keys(state.subjects ?? {});
  }

  #last(subject: string): Promise<StoredMsg | null> {
    return this.#manager.streams.getMessage(this.#stream, { last_by_subj: subject });
  }

  #metaOf(name: string): string {
    return this.#metas + Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  }

  #nameOf(subject: string): string {
    return Buffer.from(subject.slice(this.#metas.length), 'base64url').toString();
  }

  #patiently<T>(work: () => Promise<T>): Promise<T> {
    return patiently(this.#stream, work, ASKED_MS);
  }
}

function metaIn(found: StoredMsg | null): z.infer<typeof MetaSchema> | null {
  if (found === null) return null;
  const meta = MetaSchema.safeParse(found.json()).data ?? null;
  return meta?.deleted === true ? null : meta;
}

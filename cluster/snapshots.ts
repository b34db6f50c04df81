import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { ObjectInfo, ObjectStore } from '@nats-io/obj';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { type Clock, isoOf, LamppostError, type ShapeOf, systemClock } from '../domain/index.ts';
import {
  folderOnDisk,
  freeBytes,
  MANIFEST,
  ManifestSchema,
  PRIVATE_FILE,
  readManifest,
  sha256Of,
} from '../store/index.ts';
import { away, jetStreamOf, patiently } from './jetstream.ts';
import { nats } from './nats.ts';
import type { ClusterSettings } from './settings.ts';

/** A file is cut into objects of this size: the client's object store has a whole one in memory. */
const PART_BYTES = 8 * 1024 ** 2;
/** How many snapshots stay: one that is damaged, or is being read, leaves the one before it. */
const KEEP = 2;
/** A part that sends nothing for so long is asked for again. */
const STALLED_MS = 20_000;
const ATTEMPTS = 3;
/** The object that makes a snapshot count; it is written last. */
const LAST = 'snapshot.json';

const SnapshotSchema = z.object({
  id: z.string(),
  /** The newest block of the log that is in it. */
  seq: z.int().min(0),
  node: z.string(),
  at: z.iso.datetime(),
  bytes: z.int().min(0),
  manifest: ManifestSchema,
});

/** A complete backup of one node in the object store. */
export type Snapshot = ShapeOf<typeof SnapshotSchema>;

export interface Snapshots {
  /**
   * Uploads the folder of a complete backup, whose log ends with block `seq`, and deletes all but the newest two. Files
   * that `leaveOut` names stay behind. Throws `log-away`, or `busy` where `isMine` says that it is another's duty by
   * now; then nothing of it counts, and the next upload deletes its remains.
   */
  put(
    folder: string,
    about: { readonly seq: number; readonly isMine?: () => boolean; readonly leaveOut?: (name: string) => boolean },
  ): Promise<Snapshot>;
  /** The complete snapshots, the newest first. */
  list(): Promise<readonly Snapshot[]>;
  /**
   * Writes a snapshot into a folder, which then is a complete backup; what an interrupted download left there is used.
   * Throws `damaged` where a part is missing or is not what was uploaded, `disk` where it does not fit, `log-away`.
   */
  download(snapshot: Snapshot, to: string, onProgress?: (bytes: number) => void): Promise<void>;
}

/** Returns the snapshots of a cluster, in the object store `<cluster>-snapshots`. */
export async function openSnapshots(
  connection: NatsConnection,
  settings: ClusterSettings,
  clock: Clock = systemClock,
): Promise<Snapshots> {
  const { Objm, setSha256Backend } = nats().objects;
  setSha256Backend('native');
  const bucket = `${settings.name}-snapshots`;
  const client = jetStreamOf(connection, settings);
  const options = { replicas: settings.replicas };
  const store = await patiently(`the object store ${bucket}`, () => new Objm(client).create(bucket, options));
  const manager = await client.jetstreamManager(false);
  return new SnapshotsOfCluster(store, { manager, bucket, node: settings.node, clock });
}

interface Place {
  readonly manager: JetStreamManager;
  readonly bucket: string;
  readonly node: string;
  readonly clock: Clock;
}

interface Part {
  readonly name: string;
  readonly start: number;
  readonly bytes: number;
}

class SnapshotsOfCluster implements Snapshots {
  readonly #store: ObjectStore;
  readonly #place: Place;

  constructor(store: ObjectStore, place: Place) {
    this.#store = store;
    this.#place = place;
  }

  async put(folder: string, { seq, isMine = () => true, leaveOut = () => false }: Parameters<Snapshots['put']>[1]) {
    const whole = await readManifest(folder);
    const manifest = { ...whole, files: whole.files.filter(({ name }) => !leaveOut(name)) };
    const { node, clock } = this.#place;
    const id = `${String(seq).padStart(12, '0')}-${randomUUID().slice(0, 8)}`;
    for (const file of manifest.files) {
      for (const part of partsOf(id, file)) {
        if (!isMine())
          throw new LamppostError('busy', 'snapshots are the duty of another node now', { retryable: true });
        await this.#putPart(join(folder, file.name), part);
      }
    }
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    const snapshot = { id, seq, node, at: isoOf(clock.now()), bytes, manifest };
    if (!isMine()) throw new LamppostError('busy', 'snapshots are the duty of another node now', { retryable: true });
    const text = new TextEncoder().encode(JSON.stringify(snapshot));
    await patiently('a snapshot', () => this.#store.putBlob({ name: `${id}/${LAST}` }, text));
    await this.#keepNewest(isMine);
    return snapshot;
  }

  async list(): Promise<Snapshot[]> {
    const found = [];
    for (const { name } of await this.#objects()) {
      if (!name.endsWith(`/${LAST}`)) continue;
      const body = await patiently('a snapshot', () => this.#store.getBlob(name));
      const snapshot = body === null ? null : (SnapshotSchema.safeParse(jsonIn(body)).data ?? null);
      // One of a newer Lamppost cannot be read here.
      if (snapshot !== null) found.push(snapshot);
    }
    return found.toSorted((a, b) => b.seq - a.seq || (a.at < b.at ? 1 : -1));
  }

  async download({ id, bytes, manifest }: Snapshot, to: string, onProgress: (bytes: number) => void = () => {}) {
    await mkdir(to, { recursive: true, mode: 0o700 });
    const free = freeBytes(to);
    if (free < bytes) {
      const lacking = Math.ceil((bytes - free) / 1024 ** 2);
      throw new LamppostError(
        'disk',
        `the snapshot ${id} does not fit on the disk of ${to}: free ${lacking} MiB there`,
      );
    }
    let done = 0;
    for (const file of manifest.files) {
      await this.#download(id, file, join(to, file.name), (more) => {
        done += more;
        onProgress(done);
      });
    }
    for (const path of new Set(manifest.files.map(({ name }) => dirname(join(to, name))))) await folderOnDisk(path);
    await writeFile(join(to, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true, mode: PRIVATE_FILE });
    await folderOnDisk(to);
  }

  async #putPart(path: string, { name, start, bytes }: Part): Promise<void> {
    await patiently('a part of a snapshot', () => {
      const stream = createReadStream(path, { start, end: start + bytes - 1, highWaterMark: 128 * 1024 });
      return this.#store.put({ name }, Readable.toWeb(stream) as ReadableStream<Uint8Array>);
    });
  }

  async #download(id: string, file: Listed, path: string, onBytes: (bytes: number) => void): Promise<void> {
    if (existsSync(path) && statSync(path).size === file.bytes && (await sha256Of(path)) === file.sha256)
      return onBytes(file.bytes);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const hash = createHash('sha256');
    const target = await open(path, 'w', PRIVATE_FILE);
    try {
      for (const part of partsOf(id, file)) {
        const body = await this.#getPart(part);
        hash.update(body);
        await target.write(body);
        onBytes(body.length);
      }
      await target.sync();
    } finally {
      await target.close();
    }
    if (hash.digest('hex') === file.sha256) return;
    await rm(path);
    throw new LamppostError('damaged', `${file.name} of the snapshot ${id} is not what was uploaded`);
  }

  async #getPart({ name, bytes }: Part): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      const found = await patiently(`${name} of a snapshot`, () => this.#store.get(name));
      if (found === null) throw new LamppostError('damaged', `${name} of a snapshot is missing`);
      try {
        return await wholeOf(found.data, bytes);
      } catch (cause) {
        if (attempt === ATTEMPTS) throw away(`${name} of a snapshot`, cause);
      }
    }
  }

  async #objects(): Promise<ObjectInfo[]> {
    return patiently('the list of snapshots', () => this.#store.list());
  }

  /**
   * Deletes what belongs to no kept snapshot: older ones, and what interrupted uploads left. The stream is purged,
   * since the store's own delete leaves a mark for each object for ever.
   */
  async #keepNewest(isMine: () => boolean): Promise<void> {
    const kept = (await this.list()).slice(0, KEEP).map(({ id }) => id);
    const all = await this.#objects();
    const stays = all.filter(({ name }) => kept.includes(name.split('/')[0]!));
    const subjects = new Set(stays.flatMap(({ name, nuid }) => [this.#metaOf(name), this.#chunksOf(nuid)]));
    const { manager, bucket } = this.#place;
    const stream = `OBJ_${bucket}`;
    const { state } = await manager.streams.info(stream, { subjects_filter: `$O.${bucket}.>` });
    const goes = Object.keys(state.subjects ?? {}).filter((subject) => !subjects.has(subject));
    // Names before contents: what is half deleted must not count.
    for (const filter of goes.sort().reverse()) {
      // Whoever has the duty now may be uploading.
      if (!isMine()) return;
      await manager.streams.purge(stream, { filter });
    }
  }

  #metaOf(name: string): string {
    return `$O.${this.#place.bucket}.M.${Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_')}`;
  }

  #chunksOf(nuid: string): string {
    return `$O.${this.#place.bucket}.C.${nuid}`;
  }
}

type Listed = Snapshot['manifest']['files'][number];

function partsOf(id: string, { name, bytes }: Listed): Part[] {
  return Array.from({ length: Math.ceil(bytes / PART_BYTES) }, (_, n) => ({
    name: `${id}/${name}/${n}`,
    start: n * PART_BYTES,
    bytes: Math.min(PART_BYTES, bytes - n * PART_BYTES),
  }));
}

/** Reads a stream that ends with an error where its digest differs. Throws where it stalls, or has another length. */
async function wholeOf(data: ReadableStream<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const whole = new Uint8Array(bytes);
  const reader = data.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await inTime(reader.read(), () => void reader.cancel());
    if (done) break;
    if (at + value.length > bytes) throw new Error('it is longer than it was');
    whole.set(value, at);
    at += value.length;
  }
  if (at < bytes) throw new Error('it is shorter than it was');
  return whole;
}

async function inTime<T>(work: Promise<T>, cancel: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing came in time')), STALLED_MS);
  });
  try {
    return await Promise.race([work, stalled]);
  } catch (error) {
    cancel();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function jsonIn(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return null;
  }
}

import type { SharedObjects } from '../cluster/index.ts';
import { type Media, photoName, typeOfName } from './media.ts';

/** Seals photos: they are not readable on the disks of NATS. */
interface Seal {
  sealBytes(bytes: Uint8Array): Buffer;
  openBytes(sealed: Uint8Array): Buffer;
}

interface Parts {
  /** The folder of this node. */
  readonly local: Media;
  readonly objects: SharedObjects;
  readonly seal: Seal;
  /** Whether something that a citizen wrote has this photo. */
  readonly isUsed: (name: string) => boolean;
}

/** Returns the photos of a cluster: the object store has all of them, the folder those that this node was asked for. */
export function createSharedMedia({ local, objects, seal, isUsed }: Parts): Media {
  /** Brings a photo into the folder. What was removed meanwhile does not come back. */
  async function fetched(name: string): Promise<boolean> {
    const sealed = await objects.get(name);
    if (sealed === null || !isUsed(name)) return false;
    await local.put({ type: typeOfName(name), bytes: seal.openBytes(sealed) });
    if (isUsed(name)) return true;
    await local.remove(name);
    return false;
  }

  return {
    async put(photo) {
      await objects.put(photoName(photo), seal.sealBytes(photo.bytes));
      return local.put(photo);
    },
    async get(name) {
      const found = await local.get(name);
      return found === null && isUsed(name) && (await fetched(name)) ? local.get(name) : found;
    },
    async open(name) {
      const found = await local.open(name);
      return found === null && isUsed(name) && (await fetched(name)) ? local.open(name) : found;
    },
    async remove(name) {
      await local.remove(name);
      await objects.remove(name);
    },
    async sweep(used, beforeMs) {
      await objects.sweep(used, beforeMs);
      return local.sweep(used, beforeMs);
    },
  };
}

/** Puts photos that the folder of this node has, and the object store lacks, into the store. */
export async function sharePhotos({ local, objects, seal }: Parts, names: readonly string[]): Promise<void> {
  const shared = await objects.names();
  for (const name of names) {
    const photo = shared.has(name) ? null : await local.get(name);
    if (photo !== null) await objects.put(name, seal.sealBytes(photo.bytes));
  }
}

import { cleanJpeg } from './jpeg.ts';
import { beginsWith, MOST_PHOTO_BYTES, Parts, type PhotoFault, RefusedPicture } from './picture.ts';
import { cleanPng, PNG_SIGNATURE } from './png.ts';
import { cleanWebp, isWebp } from './webp.ts';

/** An image without metadata of its author: no place, time, camera, comment or thumbnail. */
export interface Photo {
  readonly type: 'image/jpeg' | 'image/png' | 'image/webp';
  readonly bytes: Buffer;
}

const KINDS = [
  { type: 'image/jpeg', is: (bytes: Buffer) => beginsWith(bytes, '\xff\xd8\xff'), clean: cleanJpeg },
  { type: 'image/png', is: (bytes: Buffer) => beginsWith(bytes, PNG_SIGNATURE), clean: cleanPng },
  { type: 'image/webp', is: isWebp, clean: cleanWebp },
] as const;

/**
 * Returns a citizen's file without metadata, or why it is refused. The kind follows from its bytes, never from its
 * name. The work is linear in the bytes, with a bound on the parts that they make.
 */
export function photoOf(bytes: Buffer, parts = new Parts()): Photo | PhotoFault {
  if (bytes.length > MOST_PHOTO_BYTES) return 'too-large';
  const kind = KINDS.find(({ is }) => is(bytes));
  if (kind === undefined) return 'not-an-image';
  try {
    return { type: kind.type, bytes: kind.clean(bytes, parts) };
  } catch (error) {
    if (error instanceof RefusedPicture) return error.fault;
    throw error;
  }
}

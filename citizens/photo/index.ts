import { BrokenPicture, beginsWith } from './bytes.ts';
import { cleanJpeg } from './jpeg.ts';
import { cleanPng } from './png.ts';
import { cleanWebp } from './webp.ts';

/** Why a photo is refused. */
export const PHOTO_FAULTS = {
  'not-an-image': 'the file is neither JPEG nor PNG nor WebP, by its first bytes',
  'broken-image': 'the file begins like an image and is damaged or cut off',
  'too-large': 'the file is larger than 5 MB',
} as const;
export type PhotoFault = keyof typeof PHOTO_FAULTS;

/** The largest photo that is taken, bytes. */
export const MOST_PHOTO_BYTES = 5 * 1024 * 1024;

/** An image without anything that tells of its maker: no place, time, camera, comment or thumbnail. */
export interface Photo {
  readonly type: 'image/jpeg' | 'image/png' | 'image/webp';
  readonly bytes: Buffer;
}

const KINDS = [
  { type: 'image/jpeg', is: (bytes: Buffer) => beginsWith(bytes, '\xff\xd8\xff'), clean: cleanJpeg },
  { type: 'image/png', is: (bytes: Buffer) => beginsWith(bytes, '\x89PNG\r\n\x1a\n'), clean: cleanPng },
  {
    type: 'image/webp',
    is: (bytes: Buffer) => beginsWith(bytes, 'RIFF') && beginsWith(bytes.subarray(8), 'WEBP'),
    clean: cleanWebp,
  },
] as const;

/** What is kept of a file that a citizen sends; the kind is told by its bytes, never by its name. Or why it is refused. */
export function photoOf(bytes: Buffer): Photo | PhotoFault {
  if (bytes.length > MOST_PHOTO_BYTES) return 'too-large';
  const kind = KINDS.find(({ is }) => is(bytes));
  if (kind === undefined) return 'not-an-image';
  try {
    return { type: kind.type, bytes: kind.clean(bytes) };
  } catch (error) {
    if (error instanceof BrokenPicture) return 'broken-image';
    throw error;
  }
}

import { beginsWith } from './picture.ts';

const ORIENTATION = 0x0112;
const SHORT = 3;
const EXIF = 'Exif\0\0';
const ENTRY_LENGTH = 12;

/** Reports whether a segment is Exif. */
export function isExif(segment: Buffer): boolean {
  return beginsWith(segment, EXIF);
}

/**
 * Returns the orientation in a JPEG's Exif segment (1–8, TIFF 6.0 `Orientation`); null where there is none. Entries
 * outside of the segment do not count, whatever their number is said to be.
 */
export function orientationOf(segment: Buffer): number | null {
  const tiff = segment.subarray(EXIF.length);
  const little = beginsWith(tiff, 'II*\0');
  if (tiff.length < 8 || (!little && !beginsWith(tiff, 'MM\0*'))) return null;
  const u16 = (at: number) => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const directory = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  if (directory + 2 > tiff.length) return null;
  const within = Math.floor((tiff.length - directory - 2) / ENTRY_LENGTH);
  for (let i = 0; i < Math.min(u16(directory), within); i++) {
    const entry = directory + 2 + ENTRY_LENGTH * i;
    if (u16(entry) !== ORIENTATION || u16(entry + 2) !== SHORT) continue;
    const orientation = u16(entry + 8);
    return orientation >= 1 && orientation <= 8 ? orientation : null;
  }
  return null;
}

/** Returns an Exif segment with an orientation and nothing else. */
export function orientationSegment(orientation: number): Buffer {
  const entry = Buffer.alloc(ENTRY_LENGTH);
  entry.writeUInt16BE(ORIENTATION, 0);
  entry.writeUInt16BE(SHORT, 2);
  entry.writeUInt32BE(1, 4);
  entry.writeUInt16BE(orientation, 8);
  const head = Buffer.from(`${EXIF}MM\0*\0\0\0\x08\0\x01`, 'latin1');
  return Buffer.concat([head, entry, Buffer.alloc(4)]);
}

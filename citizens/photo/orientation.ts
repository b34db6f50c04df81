import { beginsWith } from './bytes.ts';

const ORIENTATION = 0x0112;
const SHORT = 3;
const EXIF = 'Exif\0\0';

/** How a JPEG's Exif segment says the picture is turned (1–8, TIFF 6.0 `Orientation`); null where it does not. */
export function orientationOf(segment: Buffer): number | null {
  if (!beginsWith(segment, EXIF)) return null;
  const tiff = segment.subarray(EXIF.length);
  const little = beginsWith(tiff, 'II*\0');
  if (!little && !beginsWith(tiff, 'MM\0*')) return null;
  const u16 = (at: number) => (at + 2 > tiff.length ? 0 : little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  if (tiff.length < 8) return null;
  const directory = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  for (let i = 0; i < u16(directory); i++) {
    const entry = directory + 2 + 12 * i;
    if (u16(entry) !== ORIENTATION || u16(entry + 2) !== SHORT) continue;
    const turned = u16(entry + 8);
    return turned >= 1 && turned <= 8 ? turned : null;
  }
  return null;
}

/** An Exif segment that says how the picture is turned and nothing else. */
export function orientationSegment(turned: number): Buffer {
  const entry = Buffer.alloc(12);
  entry.writeUInt16BE(ORIENTATION, 0);
  entry.writeUInt16BE(SHORT, 2);
  entry.writeUInt32BE(1, 4);
  entry.writeUInt16BE(turned, 8);
  const head = Buffer.from(`${EXIF}MM\0*\0\0\0\x08\0\x01`, 'latin1');
  return Buffer.concat([head, entry, Buffer.alloc(4)]);
}

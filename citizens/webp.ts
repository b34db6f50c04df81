import { beginsWith, checkSize, need, type Parts, piece, RefusedPicture } from './picture.ts';

const RIFF_HEADER_LENGTH = 12;
/** Before the chunks of a frame: its place, size, duration and flags (RFC 9649 §2.7.1.1). */
const FRAME_HEADER_LENGTH = 16;
/** The flag of `VP8X`: the picture has transparency. */
const ALPHA = 0x10;

/** Reports whether bytes begin like a WebP. */
export function isWebp(bytes: Buffer): boolean {
  return beginsWith(bytes, 'RIFF') && beginsWith(bytes.subarray(8), 'WEBP');
}

/**
 * Returns a WebP (RFC 9649) with only its picture: one bitstream, and its transparency where that is apart. Of an
 * animation the first frame stays. Left out are colour profiles, Exif, XMP and unknown chunks. Throws `RefusedPicture`.
 */
export function cleanWebp(bytes: Buffer, parts: Parts): Buffer {
  const end = 8 + piece(bytes, 4, 4).readUInt32LE();
  return pictureIn(bytes, { from: RIFF_HEADER_LENGTH, end, parts, inFrame: false });
}

interface Place {
  readonly from: number;
  readonly end: number;
  readonly parts: Parts;
  readonly inFrame: boolean;
}

/** Returns the first picture among the chunks of a file or of a frame; nothing after it is read. */
function pictureIn(bytes: Buffer, { from, end, parts, inFrame }: Place): Buffer {
  let alpha: Buffer | null = null;
  for (let at = from; at < end; ) {
    parts.next();
    const length = piece(bytes, at, 8).readUInt32LE(4);
    const type = bytes.toString('latin1', at, at + 4);
    const content = piece(bytes, at + 8, length);
    if (type === 'VP8L') return lossless(content);
    if (type === 'VP8 ') return lossy(content, alpha);
    if (type === 'ANMF' && !inFrame)
      return pictureIn(content, { from: FRAME_HEADER_LENGTH, end: content.length, parts, inFrame: true });
    if (type === 'ALPH') alpha ??= content;
    // Chunks begin at even offsets.
    at += 8 + length + (length % 2);
  }
  throw new RefusedPicture();
}

/** A bitstream with transparency of its own (RFC 9649 §3.4). */
function lossless(content: Buffer): Buffer {
  need(piece(content, 0, 5)[0] === 0x2f);
  const bits = content.readUInt32LE(1);
  need(bits >>> 29 === 0);
  checkSize((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
  return fileOf(chunk('VP8L', content));
}

/** A key frame of VP8 (RFC 6386 §9.1); transparency needs the extended form of the file. */
function lossy(content: Buffer, alpha: Buffer | null): Buffer {
  need((piece(content, 0, 10)[0]! & 1) === 0 && content.readUIntBE(3, 3) === 0x9d012a);
  const [width, height] = [content.readUInt16LE(6) & 0x3fff, content.readUInt16LE(8) & 0x3fff];
  checkSize(width, height);
  if (alpha === null) return fileOf(chunk('VP8 ', content));
  const canvas = Buffer.alloc(10);
  canvas[0] = ALPHA;
  canvas.writeUIntLE(width - 1, 4, 3);
  canvas.writeUIntLE(height - 1, 7, 3);
  return fileOf([...chunk('VP8X', canvas), ...chunk('ALPH', alpha), ...chunk('VP8 ', content)]);
}

function fileOf(chunks: readonly Buffer[]): Buffer {
  const head = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
  head.writeUInt32LE(4 + chunks.reduce((sum, { length }) => sum + length, 0), 4);
  return Buffer.concat([head, ...chunks]);
}

function chunk(type: string, content: Buffer): Buffer[] {
  const head = Buffer.alloc(8);
  head.write(type, 0, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return [head, content, Buffer.alloc(content.length % 2)];
}

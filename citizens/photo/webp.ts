import { BrokenPicture, piece } from './bytes.ts';

const HEAD_LENGTH = 12;
const KEPT = new Set(['VP8X', 'VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP']);
const PICTURES = new Set(['VP8 ', 'VP8L', 'ANMF']);
/** Of `VP8X`: there is Exif, there is XMP (RFC 9649 §2.7.1). */
const METADATA_FLAGS = 0x0c;

/** A WebP (RFC 9649) with the chunks that its picture needs. Throws `BrokenPicture`. */
export function cleanWebp(bytes: Buffer): Buffer {
  const end = 8 + piece(bytes, 4, 4).readUInt32LE();
  const kept: Buffer[] = [];
  let pictures = 0;
  for (let at = HEAD_LENGTH; at < end; ) {
    const length = piece(bytes, at, 8).readUInt32LE(4);
    const type = bytes.toString('latin1', at, at + 4);
    // Chunks begin at even places; some writers leave the last byte out.
    const padded = Math.min(8 + length + (length % 2), Math.max(8 + length, bytes.length - at));
    const chunk = piece(bytes, at, padded);
    if (KEPT.has(type)) kept.push(type === 'VP8X' ? withoutFlags(chunk) : chunk);
    if (PICTURES.has(type)) pictures++;
    at += padded;
  }
  if (pictures === 0) throw new BrokenPicture();
  const body = Buffer.concat(kept);
  const head = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
  head.writeUInt32LE(body.length + 4, 4);
  return Buffer.concat([head, body]);
}

function withoutFlags(chunk: Buffer): Buffer {
  const copy = Buffer.from(chunk);
  copy[8] = piece(chunk, 8, 1)[0]! & ~METADATA_FLAGS;
  return copy;
}

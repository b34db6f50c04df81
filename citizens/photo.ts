/** Thrown where a picture ends too early; becomes the fault `broken-image`. */
class BrokenPicture extends Error {}

/** Returns `length` bytes from `from` on. Throws `BrokenPicture` where there are fewer. */
function piece(bytes: Buffer, from: number, length: number): Buffer {
  if (length < 0 || from + length > bytes.length) throw new BrokenPicture();
  return bytes.subarray(from, from + length);
}

/** Reports whether bytes begin with a text of one byte a character. */
function beginsWith(bytes: Buffer, text: string): boolean {
  return bytes.length >= text.length && bytes.toString('latin1', 0, text.length) === text;
}

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const APP0 = 0xe0;
const APP1 = 0xe1;
const APP2 = 0xe2;
const APP14 = 0xee;
const APP15 = 0xef;
const COMMENT = 0xfe;
const JFIF_LENGTH = 14;

/**
 * Returns a JPEG (ITU-T T.81) with only what its picture needs: of Exif only the orientation, no XMP, IPTC, comments or
 * thumbnails, and nothing after its end, where phones store films and second pictures. Throws `BrokenPicture`.
 */
function cleanJpeg(bytes: Buffer): Buffer {
  const kept: Buffer[] = [segment(SOI)];
  let scans = 0;
  let at = 2;
  for (;;) {
    const [code, after] = markerAt(bytes, at);
    if (code === EOI) break;
    const length = piece(bytes, after, 2).readUInt16BE();
    if (length < 2) throw new BrokenPicture();
    const body = piece(bytes, after + 2, length - 2);
    at = after + length;
    kept.push(...keptSegments(code, body));
    if (code !== SOS) continue;
    const end = endOfScan(bytes, at);
    kept.push(bytes.subarray(at, end));
    at = end;
    scans++;
  }
  if (scans === 0) throw new BrokenPicture();
  return Buffer.concat([...kept, segment(EOI)]);
}

/** A marker may have any number of 0xFF before it (T.81 §B.1.1.2). */
function markerAt(bytes: Buffer, at: number): [code: number, after: number] {
  if (piece(bytes, at, 2)[0] !== 0xff) throw new BrokenPicture();
  let next = at + 1;
  while (bytes[next] === 0xff) next++;
  return [piece(bytes, next, 1)[0]!, next + 1];
}

/** Inside a scan 0xFF is data where 0x00 follows, and a restart where 0xD0 to 0xD7 do (T.81 §B.1.1.5). */
function endOfScan(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at !== -1; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1] ?? 0;
    if (next !== 0x00 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  throw new BrokenPicture();
}

function keptSegments(code: number, body: Buffer): Buffer[] {
  if (code === COMMENT) return [];
  if (code < APP0 || code > APP15) return [segment(code, body)];
  if (code === APP0 && beginsWith(body, 'JFIF\0') && body.length >= JFIF_LENGTH)
    return [segment(code, withoutThumbnail(body))];
  if (code === APP1) {
    const orientation = orientationOf(body);
    return orientation === null || orientation === 1 ? [] : [segment(APP1, orientationSegment(orientation))];
  }
  if (code === APP2 && beginsWith(body, 'ICC_PROFILE\0')) return [segment(code, body)];
  return code === APP14 && beginsWith(body, 'Adobe') ? [segment(code, body)] : [];
}

/** The last two bytes of the JFIF header are width and height of the thumbnail that follows. */
function withoutThumbnail(jfif: Buffer): Buffer {
  return Buffer.concat([jfif.subarray(0, JFIF_LENGTH - 2), Buffer.alloc(2)]);
}

function segment(code: number, body?: Buffer): Buffer {
  const marker = Buffer.from([0xff, code]);
  if (body === undefined) return marker;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length + 2);
  return Buffer.concat([marker, length, body]);
}

const ORIENTATION = 0x0112;
const SHORT = 3;
const EXIF = 'Exif\0\0';

/** Returns the orientation in a JPEG's Exif segment (1–8, TIFF 6.0 `Orientation`); null where there is none. */
function orientationOf(segment: Buffer): number | null {
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
    const orientation = u16(entry + 8);
    return orientation >= 1 && orientation <= 8 ? orientation : null;
  }
  return null;
}

/** Returns an Exif segment with an orientation and nothing else. */
function orientationSegment(orientation: number): Buffer {
  const entry = Buffer.alloc(12);
  entry.writeUInt16BE(ORIENTATION, 0);
  entry.writeUInt16BE(SHORT, 2);
  entry.writeUInt32BE(1, 4);
  entry.writeUInt16BE(orientation, 8);
  const head = Buffer.from(`${EXIF}MM\0*\0\0\0\x08\0\x01`, 'latin1');
  return Buffer.concat([head, entry, Buffer.alloc(4)]);
}

const SIGNATURE_LENGTH = 8;
/** The chunks that a picture needs (PNG, third edition §11): no texts, times or Exif. */
const PNG_CHUNKS = new Set(
  'IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT'.split(' '),
);

/** Returns a PNG with only the chunks that its picture needs, and nothing after its end. Throws `BrokenPicture`. */
function cleanPng(bytes: Buffer): Buffer {
  const kept = [bytes.subarray(0, SIGNATURE_LENGTH)];
  let at = SIGNATURE_LENGTH;
  for (let type = ''; type !== 'IEND'; ) {
    const length = piece(bytes, at, 8).readUInt32BE();
    type = bytes.toString('latin1', at + 4, at + 8);
    const chunk = piece(bytes, at, length + 12);
    if (at === SIGNATURE_LENGTH && type !== 'IHDR') throw new BrokenPicture();
    if (PNG_CHUNKS.has(type)) kept.push(chunk);
    at += chunk.length;
  }
  return Buffer.concat(kept);
}

const RIFF_HEADER_LENGTH = 12;
const WEBP_CHUNKS = new Set(['VP8X', 'VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP']);
const PICTURES = new Set(['VP8 ', 'VP8L', 'ANMF']);
/** Flags of `VP8X`: the file has Exif, the file has XMP (RFC 9649 §2.7.1). */
const METADATA_FLAGS = 0x0c;

/** Returns a WebP (RFC 9649) with only the chunks that its picture needs. Throws `BrokenPicture`. */
function cleanWebp(bytes: Buffer): Buffer {
  const end = 8 + piece(bytes, 4, 4).readUInt32LE();
  const kept: Buffer[] = [];
  let pictures = 0;
  for (let at = RIFF_HEADER_LENGTH; at < end; ) {
    const length = piece(bytes, at, 8).readUInt32LE(4);
    const type = bytes.toString('latin1', at, at + 4);
    // Chunks begin at even offsets; some writers omit the last padding byte.
    const padded = Math.min(8 + length + (length % 2), Math.max(8 + length, bytes.length - at));
    const chunk = piece(bytes, at, padded);
    if (WEBP_CHUNKS.has(type)) kept.push(type === 'VP8X' ? withoutFlags(chunk) : chunk);
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

/** The reasons why a photo is refused. */
export const PHOTO_FAULTS = {
  'not-an-image': 'the file is neither JPEG nor PNG nor WebP, by its first bytes',
  'broken-image': 'the file begins like an image and is damaged or cut off',
  'too-large': 'the file is larger than 5 MB',
} as const;
export type PhotoFault = keyof typeof PHOTO_FAULTS;

/** The largest photo that is accepted, bytes. */
export const MOST_PHOTO_BYTES = 5 * 1024 * 1024;

/** An image without metadata of its author: no place, time, camera, comment or thumbnail. */
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

/** Returns a citizen's file without metadata, or why it is refused. The kind follows from its bytes, never from its name. */
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

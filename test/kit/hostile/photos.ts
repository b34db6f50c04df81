import { deflateSync } from 'node:zlib';

/** Bytes that a test looks for where they must not be. */
export const HIDDEN = 'a message that only looks like a picture';

const be16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number, little = false) => {
  const bytes = Buffer.alloc(4);
  if (little) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
};

/** A JPEG segment. */
function segment(code: number, body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body as string, 'latin1');
  return Buffer.concat([Buffer.from([0xff, code]), be16(bytes.length + 2), bytes]);
}

const SOI = Buffer.from([0xff, 0xd8]);
const EOI = Buffer.from([0xff, 0xd9]);

/** Repeats a piece up to a size, between a beginning and an end. */
function filled(begin: Buffer, piece: Buffer, end: Buffer, bytes: number): Buffer {
  const times = Math.max(1, Math.floor((bytes - begin.length - end.length) / piece.length));
  return Buffer.concat([begin, Buffer.alloc(times * piece.length, piece), end]);
}

const scan = Buffer.concat([segment(0xda, '\x01\x01\x00\x00\x3f\x00'), Buffer.from([0x12, 0x34])]);

/** JPEGs and others that cost much more to read than to send. */
export const BOMBS: Readonly<Record<string, (bytes: number) => Buffer>> = {
  'Exif that announces 65,535 entries, in segments of 20 bytes': (bytes) =>
    filled(SOI, segment(0xe1, 'Exif\0\0II*\0\x08\0\0\0\xff\xff'), Buffer.concat([scan, EOI]), bytes),
  'the same, big-endian, with its directory at the end of the file': (bytes) =>
    filled(SOI, segment(0xe1, 'Exif\0\0MM\0*\0\0\0\x08\xff\xff'), Buffer.concat([scan, EOI]), bytes),
  'Exif whose directory lies in its own header': (bytes) =>
    filled(SOI, segment(0xe1, 'Exif\0\0II*\0\0\0\0\0'), Buffer.concat([scan, EOI]), bytes),
  'long Exif segments with 5,000 real entries': (bytes) =>
    filled(
      SOI,
      segment(0xe1, `Exif\0\0II*\0\x08\0\0\0\x88\x13${'\0'.repeat(60_000)}`),
      Buffer.concat([scan, EOI]),
      bytes,
    ),
  'comments of 4 bytes': (bytes) => filled(SOI, segment(0xfe, ''), Buffer.concat([scan, EOI]), bytes),
  'tables of 4 bytes, which are kept': (bytes) => filled(SOI, segment(0xdb, ''), Buffer.concat([scan, EOI]), bytes),
  'markers with fill bytes': (bytes) => filled(SOI, Buffer.from([0xff]), Buffer.from([0xd9]), bytes),
  'scans of two bytes': (bytes) => filled(SOI, scan, EOI, bytes),
  'a scan of stuffed bytes': (bytes) => filled(Buffer.concat([SOI, scan]), Buffer.from([0xff, 0x00]), EOI, bytes),
  'a scan of restarts': (bytes) => filled(Buffer.concat([SOI, scan]), Buffer.from([0xff, 0xd0]), EOI, bytes),
  'empty PNG texts': (bytes) => filled(pngHead(), chunk('tEXt', ''), chunk('IEND', ''), bytes),
  'empty PNG data, which is kept': (bytes) => filled(pngHead(), chunk('IDAT', ''), chunk('IEND', ''), bytes),
  'empty WebP profiles': (bytes) =>
    webp(filled(Buffer.alloc(0), riffChunk('ICCP', ''), riffChunk('VP8 ', '\0'), bytes)),
  'empty WebP frames, which are kept': (bytes) =>
    webp(filled(Buffer.alloc(0), riffChunk('ANMF', ''), riffChunk('VP8 ', '\0'), bytes)),
  'unknown WebP chunks': (bytes) =>
    webp(filled(Buffer.alloc(0), riffChunk('abcd', ''), riffChunk('VP8 ', '\0'), bytes)),
};

/** CRC-32 of PNG (third edition, annex D). */
function crc(bytes: Uint8Array): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** A PNG chunk. */
function chunk(type: string, body: Uint8Array | string): Buffer {
  const inner = Buffer.concat([Buffer.from(type, 'latin1'), Buffer.from(body as string, 'latin1')]);
  return Buffer.concat([u32(inner.length - 4), inner, u32(crc(inner))]);
}

function pngHead(): Buffer {
  const size = Buffer.concat([u32(1), u32(1), Buffer.from([8, 0, 0, 0, 0])]);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', size)]);
}

/** A RIFF chunk. */
function riffChunk(type: string, body: string): Buffer {
  const bytes = Buffer.from(body, 'latin1');
  const padding = Buffer.alloc(bytes.length % 2);
  return Buffer.concat([Buffer.from(type, 'latin1'), u32(bytes.length, true), bytes, padding]);
}

function webp(chunks: Buffer): Buffer {
  return Buffer.concat([Buffer.from('RIFF'), u32(chunks.length + 4, true), Buffer.from('WEBP'), chunks]);
}

/** Puts something after the head of a real JPEG, and something after its end. */
function inJpeg(jpeg: Buffer, ...segments: readonly Buffer[]): Buffer {
  return Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2), Buffer.from(HIDDEN)]);
}

/** Returns real pictures with `HIDDEN` in every place that decoders skip. */
export function picturesWithSecrets({ jpeg, webp: picture }: { readonly jpeg: Buffer; readonly webp: Buffer }) {
  const found: Record<string, Buffer> = {};
  for (let code = 0xe0; code <= 0xef; code++) found[`JPEG APP${code - 0xe0}`] = inJpeg(jpeg, segment(code, HIDDEN));
  const names = ['JFIF\0\x01\x01\0\0\x01\0\x01\0\0', 'JFXX\0\x10', 'Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0'];
  names.push('Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0');
  names.push('http://ns.adobe.com/xap/1.0/\0', 'ICC_PROFILE\0\x01\x01', 'Photoshop 3.0\0', 'MPF\0');
  names.push('Adobe\0\x64\0\0\0\0\x01', 'HDR_RI ver=11', 'Ducky');
  for (const name of names)
    for (const code of [0xe0, 0xe1, 0xe2, 0xec, 0xed, 0xee])
      found[`JPEG ${JSON.stringify(name.slice(0, 12))} in ${code.toString(16)}`] = inJpeg(
        jpeg,
        segment(code, name + HIDDEN),
      );
  found['JPEG comment'] = inJpeg(jpeg, segment(0xfe, HIDDEN));
  for (const code of [0xf0, 0xf7, 0xfd, 0x02, 0xbf, 0xc8, 0xdc, 0xde, 0xdf])
    found[`JPEG ${code.toString(16)}`] = inJpeg(jpeg, segment(code, HIDDEN));
  found['JPEG after its end'] = inJpeg(jpeg);
  found['JPEG with another one behind it'] = Buffer.concat([jpeg, inJpeg(jpeg, segment(0xfe, HIDDEN))]);
  const types =
    'tEXt zTXt iTXt eXIf tIME iCCP sPLT hIST pHYs sBIT cHRM gAMA bKGD sRGB cICP mDCV cLLI acTL fcTL fdAT prVt caBX';
  for (const type of types.split(' ')) found[`PNG ${type}`] = png(chunk(type, HIDDEN));
  found['PNG after its end'] = Buffer.concat([png(), Buffer.from(HIDDEN)]);
  for (const type of ['ICCP', 'EXIF', 'XMP ', 'abcd']) found[`WebP ${type}`] = inWebp(picture, riffChunk(type, HIDDEN));
  found['WebP after its end'] = Buffer.concat([picture, Buffer.from(HIDDEN)]);
  return found;
}

/** A PNG of one pixel, with more chunks. */
function png(...more: readonly Buffer[]): Buffer {
  return Buffer.concat([pngHead(), ...more, chunk('IDAT', deflateSync(Buffer.from([0, 128]))), chunk('IEND', '')]);
}

function inWebp(picture: Buffer, more: Buffer): Buffer {
  return webp(Buffer.concat([picture.subarray(12), more]));
}

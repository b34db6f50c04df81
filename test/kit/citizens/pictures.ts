/** Small pictures, built piece by piece. */
import { crc32 } from 'node:zlib';

/** Pieces one after another; texts have one byte a character. */
export function joined(...pieces: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(pieces.map((one) => (typeof one === 'string' ? Buffer.from(one, 'latin1') : one)));
}

/** A segment of a JPEG. */
export function segment(code: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.from([0xff, code, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return joined(head, body);
}

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);

/** The data of a scan. */
export const SCAN = Buffer.from('scan data');

/** A grey JPEG, with something more before its frame. */
export function jpegOf(more: Buffer = Buffer.alloc(0), scan: Buffer = SCAN, width = 8, height = 8): Buffer {
  return joined(
    '\xff\xd8',
    more,
    segment(0xdb, joined('\0', Buffer.alloc(64, 1))),
    segment(0xc0, joined('\x08', u16(height), u16(width), '\x01\x01\x11\0')),
    segment(0xc4, joined('\0', Buffer.alloc(16))),
    segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])),
    scan,
    '\xff\xd9',
  );
}

/** A chunk of a PNG. */
export function chunkOf(type: string, content: Uint8Array = Buffer.alloc(0)): Buffer {
  const [head, sum] = [Buffer.alloc(8), Buffer.alloc(4)];
  head.writeUInt32BE(content.length);
  head.write(type, 4, 'latin1');
  sum.writeUInt32BE(crc32(joined(type, content)));
  return joined(head, content, sum);
}

/** The first chunk of a PNG in true colours. */
export function ihdrOf(width: number, height: number): Buffer {
  const content = Buffer.alloc(13);
  content.writeUInt32BE(width);
  content.writeUInt32BE(height, 4);
  content.set([8, 2], 8);
  return chunkOf('IHDR', content);
}

export const IHDR = ihdrOf(8, 8);

/** A PNG, with something more before its data. */
export function pngOf(...more: readonly Buffer[]): Buffer {
  return pngWith(IHDR, ...more);
}

/** A PNG with another first chunk. */
export function pngWith(ihdr: Buffer, ...more: readonly Buffer[]): Buffer {
  return joined('\x89PNG\r\n\x1a\n', ihdr, ...more, chunkOf('IDAT', Buffer.from('data')), chunkOf('IEND'));
}

/** A WebP of these chunks. */
export function riffOf(...chunks: readonly (readonly [type: string, content: Uint8Array])[]): Buffer {
  const body = chunks.map(([type, content]) => {
    const head = Buffer.alloc(8);
    head.write(type, 'latin1');
    head.writeUInt32LE(content.length, 4);
    return joined(head, content, Buffer.alloc(content.length % 2));
  });
  const file = joined('RIFF\0\0\0\0WEBP', Buffer.concat(body));
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

/** The header of a key frame of VP8. */
export function vp8Of(width: number, height: number): Buffer {
  const header = Buffer.from('0000009d012a00000000', 'hex');
  header.writeUInt16LE(width, 6);
  header.writeUInt16LE(height, 8);
  return header;
}

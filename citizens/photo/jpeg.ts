import { BrokenPicture, beginsWith, piece } from './bytes.ts';
import { orientationOf, orientationSegment } from './orientation.ts';

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
 * A JPEG (ITU-T T.81) with what its picture needs and nothing else: no Exif but how it is turned, no XMP, IPTC, comments,
 * thumbnails, and nothing behind its end, where phones put films and second pictures. Throws `BrokenPicture`.
 */
export function cleanJpeg(bytes: Buffer): Buffer {
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
    kept.push(...keptOf(code, body));
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

function keptOf(code: number, body: Buffer): Buffer[] {
  if (code === COMMENT) return [];
  if (code < APP0 || code > APP15) return [segment(code, body)];
  if (code === APP0 && beginsWith(body, 'JFIF\0') && body.length >= JFIF_LENGTH)
    return [segment(code, thumbless(body))];
  if (code === APP1) {
    const turned = orientationOf(body);
    return turned === null || turned === 1 ? [] : [segment(APP1, orientationSegment(turned))];
  }
  if (code === APP2 && beginsWith(body, 'ICC_PROFILE\0')) return [segment(code, body)];
  return code === APP14 && beginsWith(body, 'Adobe') ? [segment(code, body)] : [];
}

/** The last two bytes are width and height of a thumbnail, which follows. */
function thumbless(jfif: Buffer): Buffer {
  return Buffer.concat([jfif.subarray(0, JFIF_LENGTH - 2), Buffer.alloc(2)]);
}

function segment(code: number, body?: Buffer): Buffer {
  const marker = Buffer.from([0xff, code]);
  if (body === undefined) return marker;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length + 2);
  return Buffer.concat([marker, length, body]);
}

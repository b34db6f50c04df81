import { type Frame, frameOf, restartsOf, type Scan, scanOf, type Table, tablesIn } from './jpeg-scan.ts';
import { beginsWith, MOST_SCANS, need, type Parts, piece, RefusedPicture } from './picture.ts';

const [DHT, RST0, SOI, EOI, SOS, DQT, DRI] = [0xc4, 0xd0, 0xd8, 0xd9, 0xda, 0xdb, 0xdd];
const [APP0, APP1, APP14] = [0xe0, 0xe1, 0xee];
/** Baseline, extended and progressive, with Huffman coding: the frames that browsers draw. */
const FRAMES = new Set([0xc0, 0xc1, 0xc2]);
/** Lossless, hierarchical and arithmetic frames, and what belongs to them. */
const UNUSUAL = new Set([0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xdc, 0xde, 0xdf]);
/** Markers below this one that are none of the above have no length, or are reserved (T.81 table B.1). */
const FIRST_NAMED = 0xc0;
const JFIF_LENGTH = 14;
const ADOBE_LENGTH = 12;
/** JFIF 1.01 without a density and a thumbnail: that it is there makes three components YCbCr. */
const JFIF = Buffer.from('JFIF\0\x01\x01\0\0\x01\0\x01\0\0', 'latin1');

/** Of Exif: its mark, and the entry with the orientation (TIFF 6.0). */
const ORIENTATION = 0x0112;
const SHORT = 3;
const EXIF = 'Exif\0\0';
const EXIF_ENTRY = 12;

/**
 * Returns a JPEG (ITU-T T.81) with only what its picture is decoded from: frame, tables, scans, and the three facts
 * that decoders read elsewhere (JFIF, Adobe's colour transform, orientation), each written anew. Everything else is
 * left out: other segments, colour profiles, thumbnails, fill bytes, what follows the end. Throws `RefusedPicture`.
 */
export function cleanJpeg(bytes: Buffer, parts: Parts): Buffer {
  const jpeg = new Jpeg();
  for (let at = 2; ; ) {
    parts.next();
    const [code, after] = markerAt(bytes, at);
    if (code === EOI) return jpeg.end();
    need(code >= FIRST_NAMED && (code < RST0 || code > SOI));
    if (UNUSUAL.has(code)) throw new RefusedPicture('unusual-image');
    const length = piece(bytes, after, 2).readUInt16BE();
    const body = piece(bytes, after + 2, length - 2);
    at = after + length;
    if (code === SOS) at = jpeg.scan(body, bytes, at, parts);
    else jpeg.take(code, body, parts);
  }
}

/** A marker may have any number of 0xFF before it (T.81 §B.1.1.2). */
function markerAt(bytes: Buffer, at: number): [code: number, after: number] {
  need(piece(bytes, at, 2)[0] === 0xff);
  let next = at + 1;
  while (bytes[next] === 0xff) next++;
  return [piece(bytes, next, 1)[0]!, next + 1];
}

/** A JPEG as it is read and written again, scan by scan. */
class Jpeg {
  readonly #written: Buffer[] = [segment(SOI)];
  /** Tables that no scan has used yet, by their destination, in the order of their definition. */
  readonly #tables = new Map<string, Table>();
  readonly #quantized = new Set<number>();
  #frame: Frame | null = null;
  #jfif = false;
  #exif = false;
  #orientation: number | null = null;
  #adobe: number | null = null;
  #interval = 0;
  #writtenInterval = 0;
  #scans = 0;

  /** Takes a segment outside of scans; what the picture does not need is left out. */
  take(code: number, body: Buffer, parts: Parts): void {
    if (FRAMES.has(code)) {
      need(this.#frame === null);
      this.#frame = frameOf(code, body);
    } else if (code === DQT || code === DHT) this.#takeTables(tablesIn(code === DQT, body, parts));
    else if (code === DRI) {
      need(body.length === 2);
      this.#interval = body.readUInt16BE();
    } else if (this.#scans === 0) this.#takeFact(code, body);
  }

  #takeTables(tables: readonly Table[]): void {
    for (const table of tables) {
      this.#tables.delete(table.destination);
      this.#tables.set(table.destination, table);
    }
  }

  #takeFact(code: number, body: Buffer): void {
    if (code === APP0) this.#jfif ||= beginsWith(body, 'JFIF\0') && body.length >= JFIF_LENGTH;
    if (code === APP1 && !this.#exif && isExif(body)) {
      this.#exif = true;
      this.#orientation = orientationOf(body);
    }
    if (code !== APP14 || !beginsWith(body, 'Adobe') || body.length < ADOBE_LENGTH) return;
    this.#adobe = body[ADOBE_LENGTH - 1]!;
    need(this.#adobe <= 2);
  }

  /** Takes a scan with the tables that it uses; returns where it ends. */
  scan(header: Buffer, bytes: Buffer, from: number, parts: Parts): number {
    const frame = this.#frame;
    if (frame === null) throw new RefusedPicture();
    if (this.#scans === MOST_SCANS) throw new RefusedPicture('too-many-parts');
    const scan = scanOf(header, frame);
    this.#write(...this.#quantizationOf(scan));
    if (this.#scans++ === 0) this.#writeHead(frame);
    this.#write(...scan.huffman.flatMap((destination) => this.#used(destination)));
    if (this.#interval !== this.#writtenInterval) this.#write(segment(DRI, u16(this.#interval)));
    this.#writtenInterval = this.#interval;
    const [data, end] = scanData(bytes, from, { restarts: restartsOf(scan, frame, this.#interval), parts });
    this.#write(segment(SOS, scan.header), ...data);
    return end;
  }

  /** The tables of a component are those that stand before its first scan. */
  #quantizationOf({ components }: Scan): Buffer[] {
    const fresh = components.filter(({ id }) => !this.#quantized.has(id));
    for (const { id } of fresh) this.#quantized.add(id);
    return [...new Set(fresh.map(({ quantization }) => quantization))].flatMap((one) => this.#used(one));
  }

  #used(destination: string): Buffer[] {
    const table = this.#tables.get(destination);
    this.#tables.delete(destination);
    return table === undefined ? [] : [segment(destination.startsWith('q') ? DQT : DHT, table.bytes)];
  }

  /** Facts go first, tables of quantization before the frame. */
  #writeHead({ code, header }: Frame): void {
    const facts: Buffer[] = [];
    if (this.#jfif) facts.push(segment(APP0, JFIF));
    if (this.#orientation !== null && this.#orientation !== 1)
      facts.push(segment(APP1, orientationSegment(this.#orientation)));
    if (this.#adobe !== null) facts.push(segment(APP14, adobeOf(this.#adobe)));
    this.#written.splice(1, 0, ...facts);
    this.#write(segment(code, header));
  }

  #write(...pieces: Buffer[]): void {
    this.#written.push(...pieces);
  }

  end(): Buffer {
    need(this.#scans > 0);
    return Buffer.concat([...this.#written, segment(EOI)]);
  }
}

/** Adobe's segment, version 100, without flags: decoders need the transform of CMYK and RGB pictures. */
function adobeOf(transform: number): Buffer {
  return Buffer.from(`Adobe\0\x64\0\0\0\0${String.fromCharCode(transform)}`, 'latin1');
}

/**
 * Returns the data of a scan without fill bytes, and where it ends. Inside, 0xFF is data where 0x00 follows, and a
 * restart where 0xD0 to 0xD7 do (T.81 §B.1.1.5): those are counted round, and no more than the scan has intervals.
 */
function scanData(
  bytes: Buffer,
  from: number,
  { restarts, parts }: { readonly restarts: number; readonly parts: Parts },
): [data: Buffer[], end: number] {
  const data: Buffer[] = [];
  let [begin, seen] = [from, 0];
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== 0xff) continue;
    let next = at + 1;
    while (bytes[next] === 0xff) next++;
    const code = piece(bytes, next, 1)[0]!;
    const isRestart = code >= RST0 && code < SOI;
    if (code !== 0 && !isRestart) return [[...data, bytes.subarray(begin, at)], next - 1];
    if (isRestart) need(code - RST0 === seen % 8 && ++seen <= restarts);
    if (next > at + 1) {
      parts.next();
      data.push(bytes.subarray(begin, at));
      begin = next - 1;
    }
    at = next;
  }
  throw new RefusedPicture();
}

function segment(code: number, body?: Buffer): Buffer {
  const marker = Buffer.from([0xff, code]);
  return body === undefined ? marker : Buffer.concat([marker, u16(body.length + 2), body]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Reports whether a segment is Exif. */
function isExif(segment: Buffer): boolean {
  return beginsWith(segment, EXIF);
}

/**
 * Returns the orientation in a JPEG's Exif segment (1–8, TIFF 6.0 `Orientation`); null where there is none. Entries
 * outside of the segment do not count, whatever their number is said to be.
 */
function orientationOf(segment: Buffer): number | null {
  const tiff = segment.subarray(EXIF.length);
  const little = beginsWith(tiff, 'II*\0');
  if (tiff.length < 8 || (!little && !beginsWith(tiff, 'MM\0*'))) return null;
  const u16 = (at: number) => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const directory = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  if (directory + 2 > tiff.length) return null;
  const within = Math.floor((tiff.length - directory - 2) / EXIF_ENTRY);
  for (let i = 0; i < Math.min(u16(directory), within); i++) {
    const entry = directory + 2 + EXIF_ENTRY * i;
    if (u16(entry) !== ORIENTATION || u16(entry + 2) !== SHORT) continue;
    const orientation = u16(entry + 8);
    return orientation >= 1 && orientation <= 8 ? orientation : null;
  }
  return null;
}

/** Returns an Exif segment with an orientation and nothing else. */
function orientationSegment(orientation: number): Buffer {
  const entry = Buffer.alloc(EXIF_ENTRY);
  entry.writeUInt16BE(ORIENTATION, 0);
  entry.writeUInt16BE(SHORT, 2);
  entry.writeUInt32BE(1, 4);
  entry.writeUInt16BE(orientation, 8);
  const head = Buffer.from(`${EXIF}MM\0*\0\0\0\x08\0\x01`, 'latin1');
  return Buffer.concat([head, entry, Buffer.alloc(4)]);
}

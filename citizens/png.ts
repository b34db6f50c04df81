import { crc32 } from 'node:zlib';
import { checkSize, need, type Parts, piece } from './picture.ts';

export const PNG_SIGNATURE = '\x89PNG\r\n\x1a\n';

/** Bit depths by colour type (PNG, third edition, table 12). */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
const PALETTE = 3;
/** The length of `tRNS` by colour type, where it is not that of a palette. */
const TRANSPARENT: Readonly<Record<number, number>> = { 0: 2, 2: 6 };

/**
 * Returns a PNG with only what its picture is decoded from: header, palette, transparency, and the data in one chunk.
 * Of an animation the still picture stays. Left out are colour profiles, texts, times, Exif, and what follows the end.
 * Throws `RefusedPicture`.
 */
export function cleanPng(bytes: Buffer, parts: Parts): Buffer {
  const chunks = chunksOf(bytes, parts);
  const [header] = chunks.get('IHDR')!;
  const color = checkHeader(header!);
  const palette = color === PALETTE ? paletteOf(chunks.get('PLTE')) : null;
  const data = chunks.get('IDAT');
  need(data !== undefined);
  const transparent = transparencyOf(chunks.get('tRNS')?.[0], color, palette);
  return Buffer.concat([
    Buffer.from(PNG_SIGNATURE, 'latin1'),
    ...chunk('IHDR', header!),
    ...(palette === null ? [] : chunk('PLTE', palette)),
    ...(transparent === null ? [] : chunk('tRNS', transparent)),
    ...chunk('IDAT', ...data!),
    ...chunk('IEND'),
  ]);
}

/** Returns the contents of the chunks by type. The header is the first, data is in one run, the others before it. */
function chunksOf(bytes: Buffer, parts: Parts): ReadonlyMap<string, Buffer[]> {
  const chunks = new Map<string, Buffer[]>();
  let before = '';
  for (let at = PNG_SIGNATURE.length; ; ) {
    parts.next();
    const length = piece(bytes, at, 8).readUInt32BE();
    const type = bytes.toString('latin1', at + 4, at + 8);
    const whole = piece(bytes, at, length + 12);
    need(crc32(whole.subarray(4, -4)) === whole.readUInt32BE(length + 8));
    need((before === '') === (type === 'IHDR'));
    if (type === 'IEND') return chunks;
    const known = chunks.get(type);
    if (type === 'IDAT') need(known === undefined || before === 'IDAT');
    else need(known === undefined || (type !== 'PLTE' && type !== 'tRNS'));
    const counts = type === 'IDAT' || !chunks.has('IDAT');
    if (known !== undefined) known.push(whole.subarray(8, -4));
    else if (counts) chunks.set(type, [whole.subarray(8, -4)]);
    before = type;
    at += whole.length;
  }
}

function checkHeader(header: Buffer): number {
  need(header.length === 13);
  const [depth, color, compression, filter, interlace] = header.subarray(8) as Buffer & number[];
  need(DEPTHS[color!]?.includes(depth!) === true);
  need(compression === 0 && filter === 0 && interlace! <= 1);
  checkSize(header.readUInt32BE(0), header.readUInt32BE(4));
  return color!;
}

function paletteOf(found: readonly Buffer[] | undefined): Buffer {
  need(found !== undefined);
  const [palette] = found!;
  need(palette!.length % 3 === 0 && palette!.length > 0 && palette!.length <= 768);
  return palette!;
}

/** Decoders ignore a `tRNS` of another length. */
function transparencyOf(found: Buffer | undefined, color: number, palette: Buffer | null): Buffer | null {
  if (found === undefined) return null;
  if (found.length === 0) return null;
  const fits = palette === null ? found.length === TRANSPARENT[color] : found.length <= palette.length / 3;
  return fits ? found : null;
}

function chunk(type: string, ...contents: readonly Buffer[]): Buffer[] {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(contents.reduce((sum, { length }) => sum + length, 0));
  head.write(type, 4, 'latin1');
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(contents.reduce((crc, content) => crc32(content, crc), crc32(head.subarray(4))));
  return [head, ...contents, sum];
}

import { BrokenPicture, piece } from './bytes.ts';

const SIGNATURE_LENGTH = 8;
/** What a picture is drawn from (PNG, third edition §11): texts, times and Exif are not. */
const KEPT = new Set(
  'IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT'.split(' '),
);

/** A PNG with the chunks that its picture needs, and nothing behind its end. Throws `BrokenPicture`. */
export function cleanPng(bytes: Buffer): Buffer {
  const kept = [bytes.subarray(0, SIGNATURE_LENGTH)];
  let at = SIGNATURE_LENGTH;
  for (let type = ''; type !== 'IEND'; ) {
    const length = piece(bytes, at, 8).readUInt32BE();
    type = bytes.toString('latin1', at + 4, at + 8);
    const chunk = piece(bytes, at, length + 12);
    if (at === SIGNATURE_LENGTH && type !== 'IHDR') throw new BrokenPicture();
    if (KEPT.has(type)) kept.push(chunk);
    at += chunk.length;
  }
  return Buffer.concat(kept);
}

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  MOST_PARTS,
  MOST_PHOTO_BYTES,
  MOST_SCANS,
  Parts,
  type Photo,
  type PhotoFault,
  photoOf,
} from '../../../citizens/index.ts';
import {
  chunkOf,
  IHDR,
  ihdrOf,
  joined,
  jpegOf,
  pngOf,
  pngWith,
  riffOf,
  SCAN,
  segment,
  vp8Of,
} from '../../kit/citizens/pictures.ts';
import { BOMBS, HIDDEN as HIDDEN_MESSAGE, picturesWithSecrets } from '../../kit/hostile/photos.ts';
import { runs } from '../../kit/runs.ts';

const file = (name: string) => readFileSync(new URL(`../../fixtures/photos/${name}`, import.meta.url));
const FILES = [
  ['baseline.jpg', 'image/jpeg'],
  ['progressive.jpg', 'image/jpeg'],
  ['photo.png', 'image/png'],
  ['lossy.webp', 'image/webp'],
  ['lossless.webp', 'image/webp'],
  ['plain.jpg', 'image/jpeg'],
] as const;

const cleaned = (bytes: Buffer): Photo => {
  const photo = photoOf(bytes);
  if (typeof photo === 'string') throw new Error(photo);
  return photo;
};

test.each(FILES)('photo - %s loses place, maker, comment, and what follows its end', (name, type) => {
  const bytes = file(name);
  // The rationals of the latitude's degrees and minutes, in either byte order.
  const place = [Buffer.from('0000001f000000010000000c', 'hex'), Buffer.from('1f000000010000000c000000', 'hex')];
  if (name !== 'plain.jpg') {
    expect(bytes.includes('SECRET')).toBe(true);
    expect(place.some((one) => bytes.includes(one))).toBe(true);
  }
  const photo = cleaned(bytes);
  expect(photo.type).toBe(type);
  for (const trace of ['SECRET', 'xmpmeta', '2026', 'GPS', ...place]) expect(photo.bytes.includes(trace)).toBe(false);
});

test.each(FILES)('photo - %s is still what it was: cleaned once more it stays the same', (name) => {
  const { bytes } = cleaned(file(name));
  expect(cleaned(bytes).bytes.equals(bytes)).toBe(true);
});

/** The part of a file that its picture is drawn from. */
const drawn: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  'baseline.jpg': (bytes) =>
    bytes.subarray(bytes.indexOf(Buffer.from([0xff, 0xda])), bytes.indexOf('\xff\xd9', 'latin1')),
  'photo.png': (bytes) => bytes.subarray(bytes.indexOf('IDAT') - 4, bytes.indexOf('IEND')),
  'lossy.webp': (bytes) =>
    bytes.subarray(bytes.indexOf('VP8 '), bytes.indexOf('VP8 ') + 8 + bytes.readUInt32LE(bytes.indexOf('VP8 ') + 4)),
};

test.each(Object.entries(drawn))('photo - %s keeps every byte that is drawn', (name, part) => {
  const [before, after] = [file(name), cleaned(file(name)).bytes];
  expect(part(before).length).toBeGreaterThan(50);
  expect(part(after).equals(part(before))).toBe(true);
});

test('photo - a progressive JPEG keeps all its scans and their tables', () => {
  const [before, after] = [file('progressive.jpg'), cleaned(file('progressive.jpg')).bytes];
  const codes = (bytes: Buffer) => markersOf(bytes).filter((code) => code < 0xe0 && code !== 0xdd);
  expect(codes(after).filter((code) => code === 0xda).length).toBeGreaterThan(5);
  expect(codes(after)).toEqual(codes(before));
});

/** The codes of the markers up to the end of a picture without restarts. */
function markersOf(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(0xff); at !== -1; at = bytes.indexOf(0xff, at + 2)) {
    const code = bytes[at + 1]!;
    if (code === 0) continue;
    found.push(code);
    if (code === 0xd9) break;
    if (code >= 0xc0 && code !== 0xd8) at += bytes.readUInt16BE(at + 2);
  }
  return found;
}

test.each(FILES)('photo - of %s, no profile and no other segment or chunk stays', (name, type) => {
  const { bytes } = cleaned(file(name));
  for (const place of ['ICC', 'XMP', 'eXIf', 'EXIF', 'tEXt', 'VP8X']) expect(bytes.includes(place), place).toBe(false);
  const allowed = [0xc0, 0xc2, 0xc4, 0xd8, 0xd9, 0xda, 0xdb, 0xe0, 0xe1];
  if (type === 'image/jpeg') expect(markersOf(bytes).filter((code) => !allowed.includes(code))).toEqual([]);
});

test('photo - a JPEG keeps its orientation, and nothing else', () => {
  const { bytes } = cleaned(file('baseline.jpg'));
  const exif = bytes.indexOf('Exif\0\0', 0, 'latin1');
  expect(bytes.readUInt16BE(exif - 2)).toBe(34);
  expect(bytes.subarray(exif + 6, exif + 32).toString('hex')).toBe(
    '4d4d002a00000008' + '0001' + '0112000300000001' + '00060000' + '00000000',
  );
  expect(cleaned(file('plain.jpg')).bytes.includes('Exif')).toBe(false);
});

test('photo - the thumbnail in the header of a JPEG is removed', () => {
  const plain = file('plain.jpg');
  const at = plain.indexOf('JFIF');
  const thumbnail = Buffer.from('SEC');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(16 + thumbnail.length);
  const head = Buffer.concat([length, plain.subarray(at, at + 12), Buffer.from([1, 1]), thumbnail]);
  const with1 = Buffer.concat([plain.subarray(0, at - 2), head, plain.subarray(at + 14)]);
  expect(cleaned(with1).bytes.equals(plain)).toBe(true);
});

test.each([
  ['nothing at all', Buffer.alloc(0), 'not-an-image'],
  ['a text', Buffer.from('<svg onload="alert(1)">'), 'not-an-image'],
  ['a GIF', Buffer.from('GIF89a\x01\0\x01\0'), 'not-an-image'],
  ['another RIFF', Buffer.from('RIFF\x04\0\0\0WAVE'), 'not-an-image'],
  ['a JPEG without a scan', Buffer.from('ffd8ffd9', 'hex'), 'broken-image'],
  ['a JPEG that is cut off', file('baseline.jpg').subarray(0, 900), 'broken-image'],
  [
    'a PNG that does not begin with its head',
    Buffer.from('89504e470d0a1a0a0000000049454e44ae426082', 'hex'),
    'broken-image',
  ],
  ['a PNG whose chunk claims too much', Buffer.from('89504e470d0a1a0affffffff49484452', 'hex'), 'broken-image'],
  ['a WebP without a picture', Buffer.from('RIFF\x04\0\0\0WEBP', 'latin1'), 'broken-image'],
  ['a WebP that claims too much', Buffer.from('RIFF\xff\0\0\0WEBPVP8 \xff\0\0\0', 'latin1'), 'broken-image'],
  ['too much', Buffer.concat([file('plain.jpg'), Buffer.alloc(MOST_PHOTO_BYTES)]), 'too-large'],
])('photo - refused: %s', (_name, bytes, fault) => {
  expect(photoOf(bytes)).toBe(fault);
});

const HIDDEN = Buffer.from('SECRET'.repeat(20));

test.each<[string, Buffer]>([
  ['an unknown segment', jpegOf(segment(0xe5, HIDDEN))],
  ['a JPGn segment', jpegOf(segment(0xf7, HIDDEN))],
  ['conditioning of arithmetic coding', jpegOf(segment(0xcc, HIDDEN))],
  ['an Adobe segment that is longer than 12 bytes', jpegOf(segment(0xee, joined('Adobe\0\x64\0\0\0\0\x01', HIDDEN)))],
  ['the flags of an Adobe segment', jpegOf(segment(0xee, Buffer.from('AdobeSECRET\x01', 'latin1')))],
  ['another Exif segment', jpegOf(segment(0xe1, joined('Exif\0\0', HIDDEN)))],
  ['a table that no scan uses', jpegOf(segment(0xdb, joined('\x03', HIDDEN.subarray(0, 64))))],
  ['a table that another one replaces', jpegOf(segment(0xdb, joined('\0', HIDDEN.subarray(0, 64))))],
  ['an unknown chunk', pngOf(chunkOf('seCr', HIDDEN))],
  ['a colour profile', pngOf(chunkOf('iCCP', HIDDEN))],
  ['a suggested palette', pngOf(chunkOf('sPLT', HIDDEN))],
  ['a palette of true colours', pngOf(chunkOf('PLTE', HIDDEN))],
  ['a frame of an animation', pngOf(chunkOf('fdAT', HIDDEN))],
  ['the last chunk', joined(pngOf().subarray(0, -12), chunkOf('IEND', HIDDEN))],
  ['a chunk of a WebP', riffOf(['SECR', HIDDEN], ['VP8 ', vp8Of(8, 8)])],
  ['what follows the picture of a WebP', riffOf(['VP8 ', vp8Of(8, 8)], ['VP8 ', HIDDEN])],
])('photo - nothing is hidden in %s', (_name, bytes) => {
  expect(bytes.includes('SECRET')).toBe(true);
  const { bytes: after } = cleaned(bytes);
  expect(after.includes('SECRET')).toBe(false);
  expect(cleaned(after).bytes.equals(after)).toBe(true);
});

const SECRETS = Object.entries(picturesWithSecrets({ jpeg: file('baseline.jpg'), webp: file('lossy.webp') }));

test.each(SECRETS)('photo - no message stays in %s', (_name, bytes) => {
  const photo = photoOf(bytes);
  if (typeof photo !== 'string') expect(photo.bytes.includes(HIDDEN_MESSAGE)).toBe(false);
});

test('photo - the colour transform of Adobe stays, in its canonical segment', () => {
  const { bytes } = cleaned(jpegOf(segment(0xee, Buffer.from('AdobeSECRET\x02', 'latin1'))));
  expect(bytes.includes(segment(0xee, Buffer.from('Adobe\0\x64\0\0\0\0\x02', 'latin1')))).toBe(true);
  expect(photoOf(jpegOf(segment(0xee, Buffer.from('AdobeSECRET\x03', 'latin1'))))).toBe('broken-image');
});

test('photo - fill bytes are left out, before markers and within a scan', () => {
  const plain = jpegOf();
  const filled = joined(
    plain.subarray(0, 2),
    '\xff\xff',
    plain.subarray(2, plain.length - 2 - SCAN.length),
    '\xff\xff\xff\0',
    SCAN,
    '\xff\xff\xd9',
  );
  const expected = joined(plain.subarray(0, plain.length - 2 - SCAN.length), '\xff\0', SCAN, '\xff\xd9');
  expect(cleaned(filled).bytes.equals(cleaned(expected).bytes)).toBe(true);
});

test('photo - restarts are those of the intervals, counted round; others are refused', () => {
  // 8 × 8 pixels are one unit; 16 × 8 are two, so there is one restart between them.
  const two = (...after: (string | Buffer)[]) => jpegOf(segment(0xdd, Buffer.from([0, 1])), joined('', ...after), 16);
  expect(typeof photoOf(two('a\xff\xd0b'))).toBe('object');
  expect(photoOf(two('a\xff\xd1b'))).toBe('broken-image');
  expect(photoOf(two('a\xff\xd0b\xff\xd1'))).toBe('broken-image');
  expect(photoOf(jpegOf(Buffer.alloc(0), joined('', 'a\xff\xd0b')))).toBe('broken-image');
});

test('photo - of an animation, the still picture or the first frame stays', () => {
  const animated = pngOf(chunkOf('acTL', Buffer.alloc(8)), chunkOf('fcTL', Buffer.alloc(26)));
  expect(cleaned(animated).bytes.equals(cleaned(pngOf()).bytes)).toBe(true);
  const frame = (content: Buffer) =>
    ['ANMF', joined(Buffer.alloc(16), riffOf(['VP8 ', content]).subarray(12))] as const;
  const webp = riffOf(['VP8X', Buffer.alloc(10)], ['ANIM', Buffer.alloc(6)], frame(vp8Of(8, 8)), frame(vp8Of(9, 9)));
  expect(cleaned(webp).bytes.equals(riffOf(['VP8 ', vp8Of(8, 8)]))).toBe(true);
});

test('photo - the transparency of a lossy WebP stays', () => {
  const webp = riffOf(['VP8X', Buffer.alloc(10, 0xff)], ['ALPH', Buffer.from('alpha')], ['VP8 ', vp8Of(300, 8)]);
  const { bytes } = cleaned(webp);
  expect(bytes.subarray(12, 30).toString('hex')).toBe('56503858' + '0a000000' + '10000000' + '2b0100' + '070000');
  expect(bytes.includes('alpha')).toBe(true);
});

test('photo - data in many chunks becomes one', () => {
  const data = Buffer.from('some compressed data');
  const many = [...data].map((byte) => chunkOf('IDAT', Buffer.from([byte])));
  const start = pngOf().subarray(0, 8 + IHDR.length);
  const end = chunkOf('IEND');
  expect(cleaned(joined(start, ...many, end)).bytes.equals(joined(start, chunkOf('IDAT', data), end))).toBe(true);
});

test.each<[string, Buffer, PhotoFault]>([
  ['a lossless JPEG', jpegOf(segment(0xc3, Buffer.alloc(9))), 'unusual-image'],
  ['an arithmetic JPEG', jpegOf(segment(0xc9, Buffer.alloc(9))), 'unusual-image'],
  ['a second frame', jpegOf(segment(0xc0, Buffer.from('080008000801011100', 'hex'))), 'broken-image'],
  ['a restart outside of a scan', jpegOf(Buffer.from([0xff, 0xd0])), 'broken-image'],
  ['a reserved marker', jpegOf(Buffer.from([0xff, 0x02, 0, 2])), 'broken-image'],
  ['a picture inside the picture', jpegOf(Buffer.from([0xff, 0xd8])), 'broken-image'],
  ['a table that is cut off', jpegOf(segment(0xdb, Buffer.alloc(64))), 'broken-image'],
  ['a table of too many codes', jpegOf(segment(0xc4, Buffer.alloc(4_000, 255))), 'broken-image'],
  ['a JPEG of 65,535 × 65,535 pixels', jpegOf(Buffer.alloc(0), SCAN, 65_535, 65_535), 'too-many-pixels'],
  ['a PNG of a million lines', pngWith(ihdrOf(1_000_000, 101)), 'too-many-pixels'],
  ['a PNG whose sum is wrong', joined(pngOf().subarray(0, -13), '\x01', chunkOf('IEND')), 'broken-image'],
  ['data in two runs', pngOf(chunkOf('IDAT', HIDDEN), chunkOf('seCr')), 'broken-image'],
  ['a second palette', pngOf(chunkOf('PLTE', HIDDEN), chunkOf('PLTE', HIDDEN)), 'broken-image'],
  ['a WebP that is no key frame', riffOf(['VP8 ', Buffer.alloc(10, 1)]), 'broken-image'],
  ['a WebP of 16,383 × 16,383 pixels', riffOf(['VP8 ', vp8Of(16_383, 16_383)]), 'too-many-pixels'],
  [
    'a frame inside a frame',
    riffOf(['ANMF', joined(Buffer.alloc(16), riffOf(['ANMF', Buffer.alloc(16)]).subarray(12))]),
    'broken-image',
  ],
])('photo - refused: %s', (_name, bytes, fault) => {
  expect(photoOf(bytes)).toBe(fault);
});

describe('work', () => {
  const filled = (part: Buffer, before: Buffer, after: Buffer, size = MOST_PHOTO_BYTES) =>
    joined(
      before,
      Buffer.alloc(Math.floor((size - before.length - after.length) / part.length) * part.length, part),
      after,
    );
  const count = (bytes: Buffer) => {
    const parts = new Parts();
    return { result: photoOf(bytes, parts), parts: parts.count };
  };
  const [soi, end] = [Buffer.from([0xff, 0xd8]), jpegOf().subarray(2)];

  test('photo - a JPEG of Exif segments that claim 65,535 entries each costs no more than its bytes', () => {
    const exif = segment(0xe1, Buffer.from('Exif\0\0II*\0\x08\0\0\0\xff\xff', 'latin1'));
    expect(exif.length).toBe(20);
    expect(count(filled(exif, soi, end, 200_000))).toEqual({ result: 'too-many-parts', parts: MOST_PARTS });
  });

  test.each<[string, Buffer]>([
    ['JPEG segments', filled(segment(0xe5), soi, end)],
    ['tables in JPEG segments', filled(segment(0xdb, Buffer.alloc(65 * 1_000)), soi, end)],
    [
      'fill bytes in a scan',
      joined(jpegOf().subarray(0, -2), filled(Buffer.from([0xff, 0xff, 0]), soi, end, 4_000_000).subarray(2)),
    ],
    ['PNG chunks', filled(chunkOf('seCr'), pngOf().subarray(0, 8 + IHDR.length), pngOf().subarray(8 + IHDR.length))],
    ['chunks of PNG data', filled(chunkOf('IDAT'), pngOf().subarray(0, 8 + IHDR.length), chunkOf('IEND'))],
    ['WebP chunks', riffOf(...Array.from({ length: 100_000 }, () => ['SECR', Buffer.alloc(0)] as const))],
  ])('photo - a file of tiny %s is refused after a bounded number of them', (_name, bytes) => {
    expect(count(bytes)).toEqual({ result: 'too-many-parts', parts: MOST_PARTS });
  });

  test.each(Object.entries(BOMBS))('photo - a file of 5 MB is read in bounded work: %s', (_name, bomb) => {
    const { result, parts } = count(bomb(MOST_PHOTO_BYTES));
    expect(parts).toBeLessThanOrEqual(MOST_PARTS);
    expect(typeof result).toBe('string');
  });

  test('photo - as many segments as the bound are read, one more is refused', () => {
    const { parts } = count(jpegOf());
    const comments = (number: number) => jpegOf(joined('', ...Array.from({ length: number }, () => segment(0xfe))));
    expect(count(comments(MOST_PARTS - parts))).toMatchObject({ result: { type: 'image/jpeg' }, parts: MOST_PARTS });
    expect(count(comments(MOST_PARTS - parts + 1)).result).toBe('too-many-parts');
  });

  test('photo - as many scans as the bound are read, one more is refused', () => {
    const scan = jpegOf().subarray(jpegOf().indexOf(Buffer.from([0xff, 0xda])), -2);
    const scans = (number: number) =>
      joined(jpegOf().subarray(0, -2), ...Array<Buffer>(number - 1).fill(scan), '\xff\xd9');
    expect(count(scans(MOST_SCANS)).result).toMatchObject({ type: 'image/jpeg' });
    expect(count(scans(MOST_SCANS + 1)).result).toBe('too-many-parts');
  });

  test('photo - an Exif segment whose directory lies outside of it has no orientation', () => {
    for (const offset of ['\0\0\0\x08', '\xff\xff\xff\xff', '\0\0\0\x0d', '\0\0\0\x0e']) {
      const tiff = `MM\0*${offset}\0\x01\x01\x12\0\x03`;
      const { bytes } = cleaned(jpegOf(segment(0xe1, Buffer.from(`Exif\0\0${tiff}`, 'latin1'))));
      expect(bytes.includes('Exif')).toBe(false);
    }
  });
});

test('photo - whatever the bytes are, the result is a fault or a picture that stays the same when cleaned again', () => {
  const damage = fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 8 });
  const pieces = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(...PIECES)), { maxLength: 30 });
  const built = fc.tuple(fc.constantFrom(...STARTS), pieces).map((all) => joined('', ...all.flat().map(Buffer.from)));
  const damaged = fc.tuple(fc.constantFrom(...FILES), damage, fc.nat(2_000)).map(([[name], changes, end]) => {
    const bytes = Buffer.from(file(name)).subarray(0, end);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(built, damaged), (bytes) => {
      const parts = new Parts();
      const photo = photoOf(bytes, parts);
      expect(parts.count).toBeLessThanOrEqual(Math.min(MOST_PARTS, bytes.length));
      if (typeof photo !== 'string') expect(cleaned(photo.bytes).bytes.equals(photo.bytes)).toBe(true);
    }),
    { numRuns: runs(10_000) },
  );
});

/** What files are made of, to be put together in any order. */
const STARTS = [Buffer.from([0xff, 0xd8]), jpegOf().subarray(0, -2), pngOf().subarray(0, 8), riffOf().subarray(0, 12)];
const PIECES = [
  ...[0xc0, 0xc4, 0xda, 0xdb, 0xdd, 0xe0, 0xe1, 0xee].map((code) => segment(code, Buffer.from('Exif\0\0MM'))),
  ...['ffd9', 'ffd0', 'ff00', 'ffff', 'ffda000801010000003f00', 'ffdd00040001'].map((hex) => Buffer.from(hex, 'hex')),
  jpegOf().subarray(2),
  ...['IDAT', 'PLTE', 'tRNS', 'IEND', 'IHDR'].map((type) => chunkOf(type, Buffer.from('abc'))),
  IHDR,
  riffOf(['VP8 ', vp8Of(8, 8)]).subarray(12),
  riffOf(['ALPH', Buffer.from('a')]).subarray(12),
  riffOf(['ANMF', Buffer.alloc(16)]).subarray(12),
];

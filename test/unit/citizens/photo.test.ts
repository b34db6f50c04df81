import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MOST_PHOTO_BYTES, type Photo, photoOf } from '../../../citizens/index.ts';

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

test.each(Object.entries(drawn))('photo - %s keeps every byte that is drawn, and its colours', (name, part) => {
  const [before, after] = [file(name), cleaned(file(name)).bytes];
  expect(part(before).length).toBeGreaterThan(50);
  expect(part(after).equals(part(before))).toBe(true);
  expect(after.includes(name.endsWith('.png') ? 'iCCP' : name.endsWith('.jpg') ? 'ICC_PROFILE' : 'ICCP')).toBe(true);
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

test('photo - with any damage to its bytes, it is cleaned or refused', () => {
  const damage = fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom(...FILES), damage, fc.nat(2_000), ([name], changes, end) => {
      const bytes = Buffer.from(file(name)).subarray(0, end);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      const photo = photoOf(bytes);
      if (typeof photo !== 'string') expect(cleaned(photo.bytes).bytes.equals(photo.bytes)).toBe(true);
    }),
    { numRuns: 5_000 },
  );
});

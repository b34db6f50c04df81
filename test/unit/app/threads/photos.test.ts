import { readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { startPhotoThread } from '../../../../app/threads/photos.ts';
import { photoOf } from '../../../../citizens/index.ts';

const thread = startPhotoThread();
afterAll(() => thread.end());

const file = (name: string) => readFileSync(new URL(`../../../fixtures/photos/${name}`, import.meta.url));
/** Bytes in memory of their own. */
const own = (bytes: Buffer) => {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
};

test.each(['baseline.jpg', 'photo.png', 'lossless.webp'])('photos - the thread cleans %s', async (name) => {
  expect(await thread.clean(own(file(name)))).toEqual(photoOf(file(name)));
});

test('photos - the thread takes the memory of a file, and refuses what is no picture', async () => {
  const bytes = own(Buffer.alloc(100_000, 'x'));
  expect(await thread.clean(bytes)).toBe('not-an-image');
  expect(bytes.byteLength).toBe(0);
});

test("photos - a file in a part of Node's pool is copied, not moved", async () => {
  const bytes = Buffer.from('x'.repeat(10));
  expect(await thread.clean(bytes)).toBe('not-an-image');
  expect(String(bytes)).toBe('x'.repeat(10));
});

test('photos - a thread that was ended rejects the photo that it is at', async () => {
  const other = startPhotoThread();
  const rejected = expect(other.clean(own(file('photo.png')))).rejects.toThrow('has ended');
  await other.end();
  await rejected;
});

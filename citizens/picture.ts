/** The largest photo that is accepted, bytes. */
export const MOST_PHOTO_BYTES = 5 * 1024 * 1024;
/** Segments, chunks and tables of one file. Some programs write a PNG in chunks of 4 KiB: 1,280 of them in 5 MB. */
export const MOST_PARTS = 2_000;
/** Scans of one JPEG: programs write about ten, and a browser draws the whole picture for each. */
export const MOST_SCANS = 100;
/** Pixels of one picture: a small file can claim a picture that no browser has memory for. */
export const MOST_PIXELS = 100_000_000;

/** The reasons why a photo is refused. */
export const PHOTO_FAULTS = {
  'not-an-image': 'the file is neither JPEG nor PNG nor WebP, by its first bytes',
  'broken-image': 'the file begins like an image and is damaged or cut off',
  'unusual-image': 'the file is of a kind that browsers do not show; send a baseline or progressive JPEG of 8 bits',
  'too-large': 'the file is larger than 5 MB',
  'too-many-parts': `the file has more than ${MOST_PARTS} segments or chunks, or ${MOST_SCANS} scans; photos have fewer`,
  'too-many-pixels': `the picture has more than ${MOST_PIXELS / 1_000_000} million pixels`,
  'takes-too-long': 'the file takes too long to read; send it as a common JPEG',
} as const;
export type PhotoFault = keyof typeof PHOTO_FAULTS;

/** Thrown where a picture is refused; becomes the fault that it names. */
export class RefusedPicture extends Error {
  readonly fault: PhotoFault;

  constructor(fault: PhotoFault = 'broken-image') {
    super(fault);
    this.fault = fault;
  }
}

/** Counts the parts of one file, so that the work on it is bounded by more than its bytes. */
export class Parts {
  count = 0;

  /** Counts one more. Throws `too-many-parts` past the bound. */
  next(): void {
    if (this.count === MOST_PARTS) throw new RefusedPicture('too-many-parts');
    this.count++;
  }
}

/** Returns `length` bytes from `from` on. Throws `broken-image` where there are fewer. */
export function piece(bytes: Buffer, from: number, length: number): Buffer {
  if (length < 0 || from + length > bytes.length) throw new RefusedPicture();
  return bytes.subarray(from, from + length);
}

/** Reports whether bytes begin with a text of one byte a character. */
export function beginsWith(bytes: Buffer, text: string): boolean {
  return bytes.length >= text.length && bytes.toString('latin1', 0, text.length) === text;
}

/** Throws `broken-image` where something that a picture needs is not so. */
export function need(holds: boolean): void {
  if (!holds) throw new RefusedPicture();
}

/** Throws where a picture has no pixels, or too many of them. */
export function checkSize(width: number, height: number): void {
  need(width > 0 && height > 0);
  if (width * height > MOST_PIXELS) throw new RefusedPicture('too-many-pixels');
}

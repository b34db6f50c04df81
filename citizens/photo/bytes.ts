/** Thrown inside this folder where a picture ends before it should; becomes the fault `broken`. */
export class BrokenPicture extends Error {}

/** Bytes from `from` on, `length` of them; throws `BrokenPicture` where there are not so many. */
export function piece(bytes: Buffer, from: number, length: number): Buffer {
  if (length < 0 || from + length > bytes.length) throw new BrokenPicture();
  return bytes.subarray(from, from + length);
}

/** Whether bytes begin with a text of one byte a character. */
export function beginsWith(bytes: Buffer, text: string): boolean {
  return bytes.length >= text.length && bytes.toString('latin1', 0, text.length) === text;
}

import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib';

type Decoder = (body: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: promisify(gunzip) as Decoder,
  'x-gzip': promisify(gunzip) as Decoder,
  deflate: promisify(inflate) as Decoder,
  br: promisify(brotliDecompress) as Decoder,
  zstd: promisify(zstdDecompress) as Decoder,
};

/** What a route that decodes bodies takes as Content-Encoding (RFC 9110 §8.4.1). */
export const ENCODINGS = 'gzip, deflate, br, zstd';

export const isEncoding = (name: string) => name === 'identity' || Object.hasOwn(DECODERS, name);

/**
 * Returns a body without its Content-Encoding; it inflates to `most` bytes and no further. Throws errors with a
 * `statusCode`: 413 where it is larger, 400 where it is not what the header says.
 */
export async function decoded(body: Buffer, encoding: string, most: number): Promise<Buffer> {
  if (encoding === 'identity') return body;
  try {
    return await DECODERS[encoding]!(body, { maxOutputLength: most });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(most);
    const message = `the body is not ${encoding}, as its Content-Encoding says`;
    throw Object.assign(new Error(message, { cause: error }), { statusCode: 400 });
  }
}

function tooLarge(most: number): Error {
  const message = `the body is too large: decoded it has more than ${most} bytes`;
  return Object.assign(new Error(message), { statusCode: 413 });
}

/**
 * Returns the charset that a Content-Type names (RFC 9110 §8.3.2), by its name in the Encoding Standard; `utf-8` where
 * it names none, null where nobody knows it.
 */
export function charsetOf(contentType: string): string | null {
  const [, quoted, plain] = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]*))/i.exec(contentType) ?? [];
  try {
    return new TextDecoder(quoted ?? plain ?? 'utf-8').encoding;
  } catch {
    return null;
  }
}

/** Returns a text of a charset as UTF-8. Throws an error with `statusCode` 413 where that is more than `most` bytes. */
export function asUtf8(body: Buffer, charset: string, most: number): Buffer {
  if (charset === 'utf-8') return body;
  const text = Buffer.from(new TextDecoder(charset).decode(body));
  if (text.length > most) throw tooLarge(most);
  return text;
}

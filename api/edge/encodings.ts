import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';

type Decoder = (body: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: promisify(gunzip) as Decoder,
  'x-gzip': promisify(gunzip) as Decoder,
  deflate: promisify(inflate) as Decoder,
};

/** What a route that decodes bodies takes as Content-Encoding (RFC 9110 §8.4.1). */
export const ENCODINGS = 'gzip, deflate';

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
    const isTooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE';
    const message = isTooLarge
      ? `the body is too large: decoded it has more than ${most} bytes`
      : `the body is not ${encoding}, as its Content-Encoding says`;
    throw Object.assign(new Error(message, { cause: error }), { statusCode: isTooLarge ? 413 : 400 });
  }
}

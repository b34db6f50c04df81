import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const KIB = 1024;
/** What is compressed, bytes: less saves no packet, and more would hold up others. */
const SIZES = { least: KIB, most: 4 * KIB * KIB } as const;
/** Bodies that are compressed at once: half of the threads that Node has for this, for files and for names. */
const MOST_AT_ONCE = 2;

const TYPES = /^(application\/([\w.-]+\+)?json|text\/(csv|plain|xml))\s*(;|$)/i;

/**
 * The address of these is a secret, or what they return is: nothing of it may be guessed from sizes (BREACH). Elsewhere
 * only what changes something returns secrets, and no request that another website causes has a session.
 */
const WITH_SECRETS = /^\/(auth|public\/(requests|follow))\//;

type Encode = (body: Buffer) => Promise<Buffer>;

/** The better one first. */
const ENCODERS = {
  br: (body) => promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  gzip: (body) => promisify(gzip)(body, { level: 6 }),
} as const satisfies Readonly<Record<string, Encode>>;

type Encoding = keyof typeof ENCODERS;

/**
 * Returns which of our encodings an `Accept-Encoding` prefers (RFC 9110 §12.5.3); null where it takes none.
 */
export function acceptedEncoding(header: string): Encoding | null {
  const weights = new Map<string, number>();
  for (const element of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = element.split(';').map((part) => part.trim());
    const weight = parameters.find((one) => one.startsWith('q='));
    weights.set(name === 'x-gzip' ? 'gzip' : name, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  const weightOf = (name: Encoding) => weights.get(name) ?? weights.get('*') ?? 0;
  const best = weightOf('gzip') > weightOf('br') ? 'gzip' : 'br';
  return weightOf(best) > 0 ? best : null;
}

/** Adds a field to what a response varies by, once. */
export function varyBy(reply: FastifyReply, field: string): void {
  const known = String(reply.getHeader('vary') ?? '');
  if (!known.split(', ').includes(field)) reply.header('vary', known === '' ? field : `${known}, ${field}`);
}

/**
 * Compresses texts for who accepts it. Streams, what has an encoding already, and what has a strong entity tag leave as
 * they are: that tag names these bytes (RFC 9110 §8.8.1), and `If-Match` the version that it stands for. Where several
 * are being compressed, others leave as they are, too: it never waits.
 */
export function compressResponses(app: FastifyInstance): void {
  /** Documents that are sent to many are compressed once, and kept as long as they are. */
  const kept = new WeakMap<Buffer, Map<Encoding, Buffer>>();
  let running = 0;

  async function compressed(body: Buffer, encoding: Encoding): Promise<Buffer | null> {
    const known = kept.get(body)?.get(encoding);
    if (known !== undefined || running >= MOST_AT_ONCE) return known ?? null;
    running++;
    const bytes = await ENCODERS[encoding](body).finally(() => running--);
    kept.set(body, (kept.get(body) ?? new Map<Encoding, Buffer>()).set(encoding, bytes));
    return bytes;
  }

  app.addHook('onSend', async (request, reply, payload) => {
    if (!isCompressible(request, reply) || !isOfSize(payload)) return undefined;
    varyBy(reply, 'accept-encoding');
    const encoding = acceptedEncoding(String(request.headers['accept-encoding'] ?? ''));
    if (encoding === null) return undefined;
    const bytes = await compressed(Buffer.isBuffer(payload) ? payload : Buffer.from(payload), encoding);
    if (bytes === null) return undefined;
    reply.header('content-encoding', encoding).removeHeader('content-length');
    return bytes;
  });
}

function isCompressible({ method, routeOptions }: FastifyRequest, reply: FastifyReply): boolean {
  if ((method !== 'GET' && method !== 'HEAD') || reply.statusCode !== 200) return false;
  if (WITH_SECRETS.test(routeOptions.url ?? '')) return false;
  if (reply.hasHeader('content-encoding')) return false;
  const tag = String(reply.getHeader('etag') ?? 'W/');
  return tag.startsWith('W/') && TYPES.test(String(reply.getHeader('content-type') ?? ''));
}

function isOfSize(payload: unknown): payload is string | Buffer {
  if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return false;
  const bytes = Buffer.byteLength(payload);
  return bytes > SIZES.least && bytes <= SIZES.most;
}

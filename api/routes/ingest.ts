import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { decoded, ENCODINGS, isEncoding, tooManyWrongKeys } from '../edge/index.ts';
import { problem } from '../problem.ts';
import { Name } from '../schema.ts';
import type { App, SchemaTypes } from './routes.ts';

/** The last level of the device's topic, by content type. */
const FORMATS: Readonly<Record<string, string>> = {
  'application/json': 'readings',
  'application/senml+json': 'senml',
  'application/senml+cbor': 'senml-cbor',
};

const Accepted = z.object({ acknowledged: z.literal(true) });

type Deps = Pick<ApiDeps, 'ingest' | 'devices' | 'maxMessage'>;

/** Where a message goes: the device that sends it, its secret, and the last level of its topic. */
interface Sender {
  readonly device: string;
  readonly secret: string;
  readonly leaf: string;
}

/**
 * `POST /ingest/…` for devices without MQTT: same journal, same ledger; the response comes after the commit. A device
 * sends its own secret as HTTP Basic (user = device id) or, where the path names the device, as a bearer token. The
 * secret is checked before the body is read.
 */
export function ingestRoutes(app: App, { ingest, devices, maxMessage }: Deps): void {
  const senders = new WeakMap<FastifyRequest, Sender>();
  void app.register(async (scope) => {
    // The payload is journalled as it was sent; the readers of the journal decode it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    scope.addHook('onRequest', identify);
    const within = scope.withTypeProvider<SchemaTypes>() as App;
    const tags = ['ingest'];
    // The device is known by its own secret, and charged for what it sends.
    const config = { role: 'open', uncounted: true, encoded: true } as const;
    within.post(
      '/ingest/sensor-community',
      {
        config,
        bodyLimit: maxMessage,
        schema: {
          tags,
          summary: 'Takes readings of a sensor.community station; the header X-Sensor names it',
          response: { 200: Accepted },
        },
      },
      (request, reply) => take(request, reply),
    );
    within.post(
      '/ingest/:device',
      {
        config,
        bodyLimit: maxMessage,
        schema: {
          tags,
          summary: 'Takes readings of one device: native JSON, SenML JSON or SenML CBOR, by content type',
          params: z.object({ device: Name }),
          response: { 200: Accepted },
        },
      },
      (request, reply) => take(request, reply),
    );
  });

  /** Refuses whoever is not the device, and what it cannot send. */
  async function identify(request: FastifyRequest, reply: FastifyReply) {
    const [device, leaf] = namedBy(request);
    const secret = secretOf(request.headers.authorization ?? '', device);
    if (secret === null || !devices.isDevice(device, secret)) {
      const waitMs = secret === null ? 0 : request.server.admission.wrongKey(request);
      return waitMs > 0 ? tooManyWrongKeys(reply, waitMs) : refuse(reply, device);
    }
    const refused = request.server.admission.known(`device ${device}`, request, reply);
    if (refused !== null) return refused;
    if (leaf === undefined) return problem(reply, 415, `send one of ${Object.keys(FORMATS).join(', ')}`);
    const encoding = encodingOf(request);
    if (!isEncoding(encoding)) {
      reply.header('accept-encoding', ENCODINGS);
      return problem(reply, 415, `Content-Encoding: send one of ${ENCODINGS}, or none`);
    }
    senders.set(request, { device, secret, leaf });
  }

  async function take(request: FastifyRequest, reply: FastifyReply) {
    const { device, secret, leaf } = senders.get(request)!;
    const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
    const payload = await decoded(body, encodingOf(request), maxMessage);
    const outcome = await ingest(device, secret, leaf, payload);
    return outcome === 'acknowledged' ? { acknowledged: true as const } : refuse(reply, device);
  }
}

const encodingOf = ({ headers }: FastifyRequest) => (headers['content-encoding'] ?? 'identity').trim().toLowerCase();

/** Returns the device that the request names, and the last level of its topic; undefined for an unknown format. */
function namedBy({ headers, params, routeOptions }: FastifyRequest): [device: string, leaf: string | undefined] {
  if (routeOptions.url === '/ingest/sensor-community') {
    const station = headers['x-sensor'];
    return [typeof station === 'string' ? station : '', 'sensor-community'];
  }
  const type = (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  return [(params as { device: string }).device, Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined];
}

function refuse(reply: FastifyReply, device: string): FastifyReply {
  reply.header('www-authenticate', 'Basic realm="lamppost device"');
  const who = device === '' ? 'the station that X-Sensor names' : `device "${device}"`;
  return problem(reply, 401, `send the secret of ${who}: Basic <id>:<secret>, or Bearer <secret>`);
}

function secretOf(authorization: string, device: string): string | null {
  const [scheme, token = ''] = authorization.split(' ');
  if (scheme?.toLowerCase() === 'bearer') return token;
  if (scheme?.toLowerCase() !== 'basic') return null;
  const pair = Buffer.from(token, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return pair.slice(0, colon) === device ? pair.slice(colon + 1) : null;
}

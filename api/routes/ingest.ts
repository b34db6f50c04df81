import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { problem } from '../problem.ts';
import type { App, SchemaTypes } from './routes.ts';

/** The last level of the device's topic, by content type. */
const FORMATS: Readonly<Record<string, string>> = {
  'application/json': 'readings',
  'application/senml+json': 'senml',
  'application/senml+cbor': 'senml-cbor',
};

const Accepted = z.object({ acknowledged: z.literal(true) });

/**
 * `POST /ingest/…` for devices without MQTT: same journal, same ledger; the response comes after the commit. A device
 * sends its own secret as HTTP Basic (user = device id) or, where the path names the device, as a bearer token.
 */
export function ingestRoutes(app: App, { ingest, maxMessage }: Pick<ApiDeps, 'ingest' | 'maxMessage'>): void {
  void app.register(async (scope) => {
    // The payload is journalled as it was sent; the readers of the journal decode it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxMessage }, (_request, body, done) =>
      done(null, body),
    );
    const within = scope.withTypeProvider<SchemaTypes>() as App;
    const tags = ['ingest'];
    within.post(
      '/ingest/sensor-community',
      {
        config: { role: 'open' },
        schema: {
          tags,
          summary: 'Takes readings of a sensor.community station; the header X-Sensor names it',
          response: { 200: Accepted },
        },
      },
      async (request, reply) => {
        const station = request.headers['x-sensor'];
        return take(request, reply, typeof station === 'string' ? station : '', 'sensor-community');
      },
    );
    within.post(
      '/ingest/:device',
      {
        config: { role: 'open' },
        schema: {
          tags,
          summary: 'Takes readings of one device: native JSON, SenML JSON or SenML CBOR, by content type',
          params: z.object({ device: z.string() }),
          response: { 200: Accepted },
        },
      },
      async (request, reply) => {
        const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
        return take(request, reply, request.params.device, FORMATS[type]);
      },
    );
  });

  async function take(request: FastifyRequest, reply: FastifyReply, device: string, leaf: string | undefined) {
    const secret = secretOf(request.headers.authorization ?? '', device);
    if (secret === null) return refuse(reply, device);
    if (leaf === undefined) return problem(reply, 415, `send one of ${Object.keys(FORMATS).join(', ')}`);
    const payload = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
    const outcome = await ingest(device, secret, leaf, payload);
    return outcome === 'acknowledged' ? { acknowledged: true as const } : refuse(reply, device);
  }
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

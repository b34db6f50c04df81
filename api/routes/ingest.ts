import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { unknownName } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { asUtf8, charsetOf, decoded, ENCODINGS, isEncoding, tooManyWrongKeys } from '../edge/index.ts';
import { problem } from '../problem.ts';
import { Name } from '../schema.ts';
import { UPLINK_WEBHOOKS, type UplinkTopic } from '../uplinks.ts';
import type { App, SchemaTypes } from './routes.ts';

/** The last level of the device's topic, by content type. */
const FORMATS: Readonly<Record<string, string>> = {
  'application/json': 'readings',
  'application/senml+json': 'senml',
  'application/senml+cbor': 'senml-cbor',
};

const NEEDS_KEY = 'the webhook of a network server needs a key of the role network-server, as HTTP Basic';

const Accepted = z.object({ acknowledged: z.literal(true) });

type Deps = Pick<ApiDeps, 'ingest' | 'devices' | 'maxMessage' | 'city'>;

/** Where a message goes: the device or key that sends it, its secret, the topic, and what it is written in. */
interface Sender {
  readonly device: string;
  readonly secret: string;
  /** Of a network server's own message: what finds it in the payload. */
  readonly topic: string | UplinkTopic;
  readonly charset: string;
}

/**
 * `POST /ingest/…` for devices without MQTT: same journal, same ledger; the response comes after the commit. A device
 * sends its own secret as HTTP Basic (user = device id) or, where the path names the device, as a bearer token. The
 * secret is checked before the body is read.
 */
export function ingestRoutes(app: App, { ingest, devices, maxMessage, city }: Deps): void {
  const senders = new WeakMap<FastifyRequest, Sender>();
  void app.register(async (scope) => {
    // The payload is journalled as it was sent, without its encodings; the readers of the journal decode it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    scope.addHook('onRequest', identify);
    const within = scope.withTypeProvider<SchemaTypes>() as App;
    const tags = ['ingest'];
    // The device is known by its own secret, and charged for what it sends.
    const config = { permission: 'open', uncounted: true, encoded: true } as const;
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
      '/ingest/http/:format',
      {
        config,
        bodyLimit: maxMessage,
        schema: {
          tags,
          summary:
            'Takes a message in a format that the city declares, of a device, or of a network server for its devices; as `chirpstack` and `tts` the webhooks of these (204: no uplink)',
          params: z.object({ format: Name }),
          querystring: z.object({ event: Name.optional().describe('Of ChirpStack: the kind of event') }),
          response: { 200: Accepted, 204: z.null() },
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
    const isDeclared = request.routeOptions.url === '/ingest/http/:format';
    const { device, leaf } = isDeclared ? declaredBy(request) : namedBy(request);
    const secret = secretOf(request.headers.authorization ?? '', device);
    const kind = secret === null ? null : devices.senderOf(device, secret);
    if (secret === null || (kind !== 'device' && !(isDeclared && kind === 'key'))) {
      const waitMs = secret === null ? 0 : request.server.admission.wrongKey(request);
      return waitMs > 0 ? tooManyWrongKeys(reply, waitMs) : refuse(reply, device);
    }
    const refused = request.server.admission.known(`${kind} ${device}`, request, reply);
    if (refused !== null) return refused;
    if (leaf === undefined) return problem(reply, 415, `send one of ${Object.keys(FORMATS).join(', ')}`);
    const webhook = isDeclared && !city().formats.has(leaf) ? UPLINK_WEBHOOKS.get(leaf) : undefined;
    if (webhook !== undefined && kind !== 'key') return problem(reply, 403, NEEDS_KEY);
    const names = [...city().formats.keys(), ...UPLINK_WEBHOOKS.keys()];
    const fault = isDeclared ? unknownName('format', leaf, names) : null;
    if (fault !== null) return problem(reply, 404, `${fault}; formats.yaml declares formats`);
    const encoding = encodingOf(request);
    if (!isEncoding(encoding)) {
      reply.header('accept-encoding', ENCODINGS);
      return problem(reply, 415, `Content-Encoding: send one of ${ENCODINGS}, or none`);
    }
    const charset = leaf === 'senml-cbor' ? 'utf-8' : charsetOf(request.headers['content-type'] ?? '');
    if (charset === null) return problem(reply, 415, 'the charset of the Content-Type is not known; send UTF-8');
    const topic = webhook ?? (kind === 'key' ? `http/${leaf}` : `devices/${device}/${leaf}`);
    senders.set(request, { device, secret, topic, charset });
  }

  async function take(request: FastifyRequest, reply: FastifyReply) {
    const { device, secret, topic, charset } = senders.get(request)!;
    const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
    const payload = asUtf8(await decoded(body, encodingOf(request), maxMessage), charset, maxMessage);
    const named = typeof topic === 'string' ? topic : topic(payload, request.query);
    if (named === null) return reply.code(204).send();
    const outcome = await ingest(device, secret, named, payload);
    return outcome === 'acknowledged' ? { acknowledged: true as const } : refuse(reply, device);
  }
}

const encodingOf = ({ headers }: FastifyRequest) => (headers['content-encoding'] ?? 'identity').trim().toLowerCase();

/** Returns the device that the request names, and the last level of its topic; undefined for an unknown format. */
function namedBy({ headers, params, routeOptions }: FastifyRequest): { device: string; leaf: string | undefined } {
  if (routeOptions.url === '/ingest/sensor-community') {
    const station = headers['x-sensor'];
    return { device: typeof station === 'string' ? station : '', leaf: 'sensor-community' };
  }
  const type = (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  const { device } = params as { device: string };
  return { device, leaf: Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined };
}

/** Returns the user of HTTP Basic and the format of the path. */
function declaredBy({ headers, params }: FastifyRequest): { device: string; leaf: string } {
  const [scheme, token = ''] = (headers.authorization ?? '').split(' ');
  const pair = scheme?.toLowerCase() === 'basic' ? Buffer.from(token, 'base64').toString('utf8') : '';
  return { device: pair.slice(0, Math.max(0, pair.indexOf(':'))), leaf: (params as { format: string }).format };
}

function refuse(reply: FastifyReply, device: string): FastifyReply {
  reply.header('www-authenticate', 'Basic realm="lamppost device"');
  const who = device === '' ? 'the station that X-Sensor names, or of who sends it' : `device "${device}"`;
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

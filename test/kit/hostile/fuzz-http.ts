import type { KeyRole } from '../../../domain/index.ts';
import { pause } from '../wait.ts';
import { type Figures, lanes, randomOf, type Target } from './target.ts';
import { type Asked, ask, dial, write } from './wire.ts';

type Random = () => number;
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}
interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema?: Schema;
    readonly required?: boolean;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const upTo = (random: Random, most: number) => Math.floor(random() * (most + 1));

const LANES = 8;
const MOST_DEPTH = 5;
const TIMEOUT_MS = 5_000;
/** How long an event stream is read. */
const STREAM_MS = 200;
const MOST_SHOWN = 10;
/** How often a value is replaced by one that nobody expects. */
const ODD = 0.12;

/** Names that lead somewhere; devices of the load are not among them, so that what they send stays countable. */
const NAMES = [
  'attacker-0',
  'attacker-1',
  'pm25',
  'fill',
  'air-quality',
  'waste',
  'old-town',
  'bin-full',
  'pm25-unhealthy',
  'environment',
  'lighting',
  'working-hours',
  'xml',
  'json',
  '0',
  '1',
  'admin',
  'T-1',
  'nothing',
];
const ODDITIES: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    1e308,
    -1e308,
    2 ** 53,
    0.1,
    '',
    ' ',
    '\0',
    '\ud800',
    '💧'.repeat(300),
    'x'.repeat(5_000),
    "' or 1=1 --",
    '%00',
    '%ff',
    '../../../etc/passwd',
    'NaN',
    '1e999',
    '__proto__',
    'constructor',
    '{{device.name}}',
    '*a',
    '- &a [*a, *a]',
    '2026-02-30T25:61:61Z',
    '0001-01-01T00:00:00Z',
    '+275760-09-13T00:00:00.001Z',
    '9'.repeat(400),
    'id: a\nid: a',
  ],
  ...[
    [],
    {},
    [[[[[[]]]]]],
    { __proto__: null, toString: 1 },
    Array.from({ length: 200 }, () => 0),
    { a: { a: { a: { a: {} } } } },
  ],
];

/** Makes a value that a schema allows, now and then one that it does not. */
function exampleOf(schema: Schema | undefined, { random, document }: Context, depth = 0): unknown {
  const context = { random, document };
  if (random() < ODD) return pick(random, ODDITIES);
  if (schema === undefined || depth > MOST_DEPTH) return pick(random, NAMES);
  if (schema.$ref !== undefined)
    return exampleOf(document.components?.schemas?.[schema.$ref.split('/').at(-1)!], context, depth + 1);
  if ('const' in schema) return schema.const;
  if (schema.enum !== undefined) return pick(random, schema.enum);
  const forms = schema.anyOf ?? schema.oneOf;
  if (forms !== undefined) return exampleOf(pick(random, forms), context, depth + 1);
  if (schema.allOf !== undefined)
    return Object.assign({}, ...schema.allOf.map((one) => exampleOf(one, context, depth + 1)));
  const type = typeof schema.type === 'string' ? schema.type : pick(random, schema.type ?? ['object']);
  switch (type) {
    case 'object': {
      const entries = Object.entries(schema.properties ?? {})
        .filter(([name]) => schema.required?.includes(name) === true || random() < 0.4)
        .map(([name, one]) => [name, exampleOf(one, context, depth + 1)] as const);
      const more = typeof schema.additionalProperties === 'object' || random() < 0.05;
      if (more)
        entries.push([
          pick(random, NAMES),
          exampleOf(
            typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined,
            context,
            depth + 1,
          ),
        ]);
      return Object.fromEntries(entries);
    }
    case 'array':
      return Array.from({ length: pick(random, [0, 1, 1, 2, 5]) }, () => exampleOf(schema.items, context, depth + 1));
    case 'integer':
    case 'number': {
      const { minimum = 0, maximum = 100 } = schema;
      const value = minimum + random() * (Math.min(maximum, minimum + 1_000) - minimum);
      return type === 'integer' ? Math.round(value) : value;
    }
    case 'boolean':
      return random() < 0.5;
    case 'null':
      return null;
    default:
      return textOf(schema.format, random);
  }
}

interface Context {
  readonly random: Random;
  readonly document: Document;
}

function textOf(format: string | undefined, random: Random): string {
  if (format === 'date-time') return new Date(Date.now() + (random() - 0.5) * 1e9).toISOString();
  if (format === 'uri')
    return pick(random, ['https://example.invalid/a', 'http://127.0.0.1:1/', 'ftp://a', 'http://[::1]/']);
  if (format === 'email') return 'a@example.invalid';
  if (format === 'byte' || format === 'base64') return 'AAEC';
  return pick(random, NAMES);
}

/** Routes that would end the load itself. */
const SPARED = /^(delete \/api\/v1\/(keys|devices)|(patch|put|post) \/api\/v1\/devices\/)/;
const TYPES = [
  'application/json',
  'application/yaml',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=b',
  'text/plain',
  'application/senml+cbor',
  '',
];
const ROLES: readonly (KeyRole | 'nobody' | 'wrong')[] = [
  'admin',
  'admin',
  'admin',
  'operator',
  'viewer',
  'citizen-app',
  'network-server',
  'nobody',
  'wrong',
];

const textFrom = (value: unknown): string =>
  typeof value === 'object' ? (JSON.stringify(value) ?? '') : String(value);

/** Makes a request of an operation. */
function requestOf(
  target: Target,
  [path, method, operation]: readonly [string, string, Operation],
  context: Context,
): Asked {
  const { random } = context;
  const parameters = operation.parameters ?? [];
  const text = (schema: Schema | undefined) => textFrom(exampleOf(schema, context));
  const at = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(text(parameters.find((one) => one.name === name)?.schema).toWellFormed()),
  );
  const query = new URLSearchParams();
  for (const { name, in: where, schema, required } of parameters)
    if (where === 'query' && (required === true || random() < 0.3)) query.append(name, text(schema));
  if (random() < 0.05) query.append(pick(random, NAMES), textFrom(pick(random, ODDITIES)));
  const role = pick(random, ROLES);
  const key = role === 'nobody' ? undefined : role === 'wrong' ? 'x'.repeat(43) : target.keys[role][0].secret;
  const [type, body] = bodyOf(operation, context, key);
  const headers: Record<string, string> = {
    ...(type === null ? {} : { 'content-type': random() < 0.9 ? type : pick(random, TYPES) }),
    ...(random() < 0.2 ? { 'if-match': pick(random, ['*', '"1"', 'W/"1"', '1', '"'.repeat(100), '"a", "b"']) } : {}),
    ...(random() < 0.2
      ? { accept: pick(random, ['text/event-stream', 'text/csv', 'application/vnd.apache.parquet', ',,;q=', '*/*']) }
      : {}),
    ...(random() < 0.1 ? { 'last-event-id': pick(random, ['1', '-1', '1.x', '9'.repeat(50), 'a b']) } : {}),
    ...(random() < 0.1 ? { 'x-forwarded-for': pick(random, ['127.0.0.1', '::1, x', 'a'.repeat(500)]) } : {}),
    ...(random() < 0.1
      ? { 'x-sensor': pick(random, NAMES), 'accept-language': pick(random, ['zh', 'q=1;;', 'en;q=9,zh;q=x']) }
      : {}),
  };
  const url = query.size === 0 ? at : `${at}?${query}`;
  return { method: method.toUpperCase(), path: url, key, headers, ...(body === null ? {} : { body }) };
}

function bodyOf(
  { requestBody, parameters = [] }: Operation,
  context: Context,
  key: string | undefined,
): readonly [string | null, string | null] {
  const { random } = context;
  const contents = Object.entries(requestBody?.content ?? {});
  if (contents.length === 0 && parameters.some(({ in: where }) => where === 'query')) return [null, null];
  const [type, { schema }] =
    contents.length === 0 ? [pick(random, TYPES), { schema: undefined }] : pick(random, contents);
  if (random() < 0.05)
    return [type, pick(random, ['', '{', '[', '"', 'null', '{"a":', '['.repeat(5_000), '\0', '{"__proto__":{"a":1}}'])];
  const value = exampleOf(schema, context);
  if (type === 'application/x-www-form-urlencoded' || type.startsWith('multipart/'))
    return [type, formOf(value, type, context, key)];
  if (typeof value === 'string' && type !== 'application/json') return [type, value];
  return [type, JSON.stringify(value) ?? ''];
}

/** A citizen's form, nearly right. */
function formOf(value: unknown, type: string, { random }: Context, key: string | undefined): string {
  const right = { service_code: 'waste', lat: '32.06', long: '118.79', description: 'a report', api_key: key ?? '' };
  const odd = typeof value === 'object' && value !== null ? value : {};
  const fields: [string, string][] = Object.entries({ ...right, ...(random() < 0.5 ? odd : {}) })
    .filter(() => random() < 0.95)
    .map(([name, one]) => [name, random() < ODD ? textFrom(pick(random, ODDITIES)) : textFrom(one)]);
  if (random() < 0.2)
    fields.push([`attribute[${pick(random, ['kind', 'since', '', '__proto__', 'x]['])}]`, pick(random, NAMES)]);
  if (!type.startsWith('multipart/')) return new URLSearchParams(fields).toString();
  const file =
    random() < 0.3
      ? [
          `--b\r\ncontent-disposition: form-data; name="media"; filename="${pick(random, NAMES)}"\r\n\r\n${pick(random, ['GIF89a', '\xff\xd8\xff\xd9', '', 'RIFF\0\0\0\0WEBP', '\x89PNG\r\n\x1a\n'])}\r\n`,
        ]
      : [];
  const parts = fields.map(([name, one]) => `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${one}\r\n`);
  return [...parts, ...file, random() < 0.9 ? '--b--\r\n' : '--b'].join('');
}

/** Sends a request as bytes that were changed somewhere. */
async function sendBroken(target: Target, { method, path, key, headers, body }: Asked, random: Random): Promise<void> {
  const lines = Object.entries({
    host: 'a',
    authorization: `Bearer ${key}`,
    ...headers,
    'content-length': String(Buffer.byteLength(body ?? '')),
  });
  const bytes = Buffer.from(
    `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body ?? ''}`,
  );
  for (let i = upTo(random, 3); i >= 0; i--) bytes[upTo(random, bytes.length - 1)] = upTo(random, 255);
  const socket = await dial(target.httpPort, '127.5.0.1');
  if (socket === null) return;
  socket.resume();
  await write(socket, bytes.subarray(0, random() < 0.8 ? bytes.length : upTo(random, bytes.length)));
  await pause(20);
  socket.destroy();
}

/**
 * Sends requests to every operation of the served OpenAPI document, with keys of each role and none, until the time is
 * over and there were right ones and wrong ones. Throws where a response is 5xx other than 503, with what led to it.
 */
export async function fuzzHttp(target: Target, signal: AbortSignal): Promise<Figures> {
  const { text } = await ask(target, { path: '/openapi.json', keep: 50 * 2 ** 20 });
  const document = JSON.parse(Buffer.from(text, 'latin1').toString()) as Document;
  const operations = Object.entries(document.paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [path, method, operation] as const),
    )
    .filter(([path, method]) => !SPARED.test(`${method} ${path}`));
  const randoms = Array.from({ length: LANES }, (_, i) => randomOf(target.seed + i));
  const statuses = new Map<number, number>();
  const failed = new Map<string, string>();
  const isEnough = () => statuses.has(200) && statuses.has(400);
  const askOne = async (lane: number, round: number) => {
    const random = randoms[lane]!;
    const operation = operations[(lane + LANES * round) % operations.length]!;
    const request = requestOf(target, operation, { random, document });
    if (random() < 0.05) return sendBroken(target, request, random);
    const timeoutMs = request.headers?.accept === 'text/event-stream' ? STREAM_MS : TIMEOUT_MS;
    const sent = {
      ...request,
      from: `127.5.0.${2 + lane}`,
      signal: AbortSignal.timeout(timeoutMs),
    };
    const { status, text: answer } = await ask(target, sent).catch((error: Error) => ({
      status: -1,
      text: error.message,
    }));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status >= 500 && status !== 503) {
      const { method, path, headers, body } = request;
      failed.set(
        `${operation[1]} ${operation[0]}`,
        `${method} ${path} ${JSON.stringify(headers)} ${String(body).slice(0, 400)} → ${status} ${answer.slice(0, 200)}`,
      );
    }
    if (status === 429) await pause(20);
  };
  await lanes(LANES, signal, askOne, isEnough);
  if (failed.size > 0)
    throw new Error(
      [`${failed.size} operations respond with 5xx:`, ...[...failed.values()].slice(0, MOST_SHOWN)].join('\n'),
    );
  return Object.fromEntries(
    [...statuses]
      .toSorted(([a], [b]) => a - b)
      .map(([status, count]) => [status <= 0 ? `cut${status}` : `status${status}`, count]),
  );
}

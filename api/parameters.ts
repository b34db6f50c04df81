import { BODY_EXAMPLES } from './examples.ts';

/** What a parameter of a path or a query is, and an example, by its name; what a route says itself wins. */
const PARAMETERS: Readonly<Record<string, readonly [description: string, example: string | number]>> = {
  action: ['What is done', 'acknowledge'],
  actor: ['Only entries of this key or person', 'person:p-1'],
  after: ['The `next` of the page before; absent: the first page', '1024'],
  api_key: ['A key, where a client cannot send the header', 'a-key'],
  asset: ['Only of these assets', 'bin-001'],
  bbox: ['A box: west,south,east,north in degrees', '118.7,32.0,118.8,32.1'],
  by: ['What the numbers are grouped by', 'department'],
  calibration: ['The id of a calibration', '1'],
  code: ['The code of a service', 'waste'],
  days: ['How many days back', 7],
  delivery: ['The id of a delivery', '1'],
  department: ['Only of these departments', 'waste'],
  device: ['Only of this device', 'bin-1'],
  discarded: ['Whether what was discarded is listed, too', 'false'],
  district: ['Only of this district', 'harbour'],
  end_date: ['Requested before then', '2026-06-30T00:00:00Z'],
  ended: ['Whether those that have ended are listed, too', 'false'],
  event: ['Only deliveries of this event', '1024'],
  every: ['The length of the intervals', '15m'],
  extensions: ['Whether fields beyond GeoReport v2 are in the response', 'true'],
  file: ['The name of the file', 'history.csv'],
  fill: ['Whether intervals without a reading are left out, or null', 'none'],
  fn: ['What each interval becomes', 'mean'],
  for: ['Who asks', 'devices'],
  format: ['The format', 'json'],
  from: ['From then on: ISO 8601 or epoch milliseconds', '2026-06-01T00:00:00Z'],
  group: ['The device or district of an alert', 'bin-1'],
  id: ['The id of what the address names', 'bin-1'],
  jurisdiction_id: ['Not needed: one Lamppost has one city', 'city.example'],
  kind: ['Only of these kinds', 'pole'],
  lat: ['With `long` and `radius`: near this latitude', '32.0151'],
  limit: ['How many a page has at most', 100],
  line: ['The number of the first line', 1],
  locale: ['The language of texts', 'en'],
  long: ['With `lat` and `radius`: near this longitude', '118.7602'],
  maxPoints: ['How many points the response has at most', 100000],
  metric: ['Only of these metrics', 'fill'],
  name: ['The name of what the address names', 'ticket'],
  near: ['A circle: lat,lon,metres', '32.0151,118.7602,200'],
  note: ['Why it is changed, for the audit trail', 'too many alerts at night'],
  origin: ['Who opened it', 'citizen'],
  page: ['The number of the page, from 1', '1'],
  page_size: ['How many a page has', '50'],
  parent: ['Only parts of these tickets', 't-1024'],
  party: ['Only what these parties see or do', 'waste'],
  precision: ['The unit of times that are numbers', 'ms'],
  profile: ['Only of this profile', 'waste-bin'],
  q: ['A text that it contains', 'LJ-0121'],
  radius: ['With `lat` and `long`: within so many metres', '200'],
  reason: ['Only with this reason', 'out-of-range'],
  removed: ['Whether removed people are listed, too', 'false'],
  result: ['Only with this result', 'done'],
  rule: ['Only of this rule', 'bin-full'],
  rules: ['Whether the rules take the readings, too', 'false'],
  secret: ['The secret of a link that was sent', '1024'],
  service: ['Only of these services', 'waste'],
  session: ['The id of a session', 'ses-1'],
  service_code: ['Only of these services', 'waste'],
  service_request_id: ['Only these requests', 't-1024'],
  severity: ['Only of this severity', 'high'],
  sort: ['The order; with `-` the largest first', '-opened'],
  start_date: ['Requested from then on', '2026-06-01T00:00:00Z'],
  state: ['Only in this state', 'firing'],
  status: ['Only in these states', 'open'],
  target: ['Only entries on this', 'device:bin-1'],
  ticket: ['Only of these tickets', 't-1024'],
  to: ['Before then: ISO 8601 or epoch milliseconds', '2026-07-01T00:00:00Z'],
  token: ['The token of a request', '1024'],
  type: ['Only of these types', 'city.lamppost.ticket.opened'],
  updated_after: ['Changed after then', '2026-06-01T00:00:00Z'],
  updated_before: ['Changed before then', '2026-06-30T00:00:00Z'],
};

/** Of headers. */
const HEADERS: Readonly<Record<string, readonly [words: string, example: string]>> = {
  'Idempotency-Key': [
    'A name of your own for this request: sent again with it, the request is done once',
    '8e03978e-40d5-43dd-bc93-6894a57f9324',
  ],
  'If-Match': ['The version that you saw, of an `ETag`; refused (412) where it is another one now', '"3"'],
};

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description?: string;
  readonly schema?: {
    readonly type?: string;
    readonly enum?: readonly unknown[];
    readonly default?: unknown;
    readonly minimum?: number;
  };
}

interface Operation {
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Body;
  readonly responses?: Readonly<Record<string, Body>>;
}

interface Body {
  readonly content?: Readonly<Record<string, object>>;
}

/** The paths of an OpenAPI document. */
export type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

/**
 * Returns the paths with what every operation has: an id, a description, errors, words for its parameters, and examples
 * of these, of its body and of its response. `examples`: of responses, by the ids of operations.
 */
export function withWords(paths: Paths, examples: Readonly<Record<string, unknown>>): Paths {
  const of = (path: string, method: string, operation: Operation) => {
    const { description = 'Needs no key.', parameters = [], responses = {} } = operation;
    const errors = 'default' in responses ? { '4XX': responses.default } : {};
    const worded = parameters.length === 0 ? {} : { parameters: parameters.map(wordsFor) };
    const { requestBody } = operation;
    const example = BODY_EXAMPLES[`${method} ${path}`];
    const body = requestBody === undefined ? {} : { requestBody: withExample(requestBody, example) };
    const operationId = operationIdOf(method, path);
    const named = { ...operation, ...body, operationId, description, ...worded };
    const entries = Object.entries(responses).map(([status, one]) => {
      return [status, status.startsWith('2') ? withExample(one, examples[operationId]) : one] as const;
    });
    return { ...named, responses: { ...errors, ...Object.fromEntries(entries) } };
  };
  return Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, one]) => [method, of(path, method, one)])),
    ]),
  );
}

const JSON_TYPE = /^application\/(\w+\+)?json$/;

/** A body with an example of its JSON, where it has any. */
function withExample(body: Body, example: unknown): Body {
  if (body.content === undefined || example === undefined) return body;
  const types = Object.entries(body.content).map(([type, one]) => {
    return [type, JSON_TYPE.test(type) ? { ...one, example } : one] as const;
  });
  return { ...body, content: Object.fromEntries(types) };
}

function wordsFor(one: Parameter): Parameter {
  const [words, usual] = PARAMETERS[one.name] ?? HEADERS[one.name] ?? [`The ${one.name}`, one.name];
  return { ...one, description: one.description ?? words, ...{ example: exampleOf(one.schema ?? {}, usual) } };
}

/** The usual example where a schema takes it, else a value that it names. */
function exampleOf(schema: NonNullable<Parameter['schema']>, usual: string | number): unknown {
  const values = schema.enum;
  if (values !== undefined) return values.includes(usual) ? usual : values[0];
  const isNumber = schema.type === 'integer' || schema.type === 'number';
  if (!isNumber) return String(usual);
  return typeof usual === 'number' ? usual : (schema.default ?? schema.minimum ?? 1);
}

/** `getTicketsById` of `GET /api/v1/tickets/{id}`: the words of the address. */
function operationIdOf(method: string, path: string): string {
  const words = path.replace(/^\/api\/v1/, '').replaceAll('{', 'by-');
  const capital = (word: string) => word[0]!.toUpperCase() + word.slice(1);
  return (
    method +
    words
      .split(/[^A-Za-z0-9]+/)
      .filter(Boolean)
      .map(capital)
      .join('')
  );
}

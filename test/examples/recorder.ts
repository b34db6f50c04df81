import { BODY_EXAMPLES } from '../../api/examples.ts';

interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly const?: unknown;
}
interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: Schema }>> }>>;
}
/** What a recorder reads of an OpenAPI document. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const MOST_ITEMS = 2;
/** Items of more characters than this stand alone, and texts end there. */
const LONG_ITEM = 150;
const LONG_TEXT = 180;
/** Places, boxes, points and the rings of them stay whole. */
const TUPLE = 4;
const RING = 5;

const isTuple = (value: unknown) =>
  Array.isArray(value) && value.length <= TUPLE && value.every((one) => typeof one === 'number');

/** Whether an object is of this form of several, which a constant distinguishes: an event by its type. */
const fits = ({ properties = {} }: Schema, value: object) =>
  Object.entries(value).every(([name, one]) => {
    const known = properties[name];
    return known === undefined || !('const' in known) || known.const === one;
  });

const beginningOf = <T>(items: readonly T[]): readonly T[] =>
  items.slice(0, JSON.stringify(items[0] ?? '').length > LONG_ITEM ? 1 : MOST_ITEMS);

interface Call {
  /** Instead of the example of the document. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Calls operations of a server, and keeps the first response to each as its example. */
export class Recorder {
  readonly #base: string;
  readonly #document: Document;
  /** Headers of who asks. */
  headers: Readonly<Record<string, string>>;
  /** The cookie of who signed in. */
  #cookie = '';
  /** Responses and their schemas, by the ids of operations. */
  readonly #responses = new Map<string, readonly [value: unknown, schema: Schema]>();
  /** What is shown in place of a text. */
  readonly #shown = new Map<string, string>();

  constructor(base: string, key: string, document: Document) {
    this.#base = base;
    this.#document = document;
    this.headers = { authorization: `Bearer ${key}` };
  }

  /** Shows another text wherever this one is in an example: it is a secret, or of this machine. */
  hide(text: string, shown: string): void {
    this.#shown.set(text, shown);
  }

  /**
   * Calls `get /api/v1/devices/{id}`: `values` are those of the path, and of the query. The body is the example of the
   * document, unless one is given. Resolves to the response as it was; throws where it is no success.
   */
  async call<T>(
    route: string,
    values: Readonly<Record<string, string>> = {},
    { body, headers }: Call = {},
  ): Promise<T> {
    const [method, path] = route.split(' ') as [string, string];
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name]!));
    const query = Object.entries(values).filter(([name]) => !path.includes(`{${name}}`));
    const sent = body ?? BODY_EXAMPLES[route];
    const isText = sent === undefined || typeof sent === 'string' || sent instanceof URLSearchParams;
    const response = await fetch(`${this.#base}${filled}?${new URLSearchParams(query)}`, {
      method: method.toUpperCase(),
      headers: {
        ...(isText ? {} : { 'content-type': 'application/json' }),
        ...(this.#cookie === '' ? this.headers : { cookie: this.#cookie, 'sec-fetch-site': 'same-origin' }),
        ...{ 'user-agent': 'Firefox', ...headers },
      },
      ...(sent === undefined ? {} : { body: isText ? (sent as string) : JSON.stringify(sent) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${route}: ${response.status} ${text}`);
    for (const set of response.headers.getSetCookie()) this.#cookie = set.split(';')[0]!;
    const value: unknown = response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
    const { operationId, responses } = this.#document.paths[path]![method]!;
    const schema = schemaOf(responses[response.status]);
    if (schema !== null && !this.#responses.has(operationId)) this.#responses.set(operationId, [value, schema]);
    return value as T;
  }

  /** Does something as somebody who signs in, with a session of their own. */
  async signedIn<T>(act: () => Promise<T>): Promise<T> {
    const { headers } = this;
    this.headers = {};
    const result = await act();
    this.headers = headers;
    this.#cookie = '';
    return result;
  }

  /** Returns the examples by the ids of their operations; throws where one is missing. `written`: those by hand. */
  examples(written: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const operations = Object.values(this.#document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.filter(({ responses }) => successOf(responses) !== null).map((one) => one.operationId);
    const missing = ids.filter((id) => !this.#responses.has(id) && !Object.hasOwn(written, id));
    if (missing.length > 0) throw new Error(`no example of ${missing.join(', ')}`);
    return Object.fromEntries(ids.map((id) => [id, written[id] ?? this.#example(...this.#responses.get(id)!)]));
  }

  #example(value: unknown, schema: Schema): unknown {
    // The longest first: a URL has the address of the machine in it. Before texts are cut: a secret may be at the cut.
    const hidden = [...this.#shown].sort(([a], [b]) => b.length - a.length);
    const shown = hidden.reduce((text, [from, to]) => text.replaceAll(from, to), JSON.stringify(value));
    return this.#short(JSON.parse(shown), schema);
  }

  /** The beginning of long lists, names and texts; what the schema says nothing of at all is left as it is. */
  #short(value: unknown, schema: Schema | undefined): unknown {
    const forms = this.#formsOf(schema);
    if (typeof value === 'string') return value.length > LONG_TEXT ? `${value.slice(0, LONG_TEXT)}…` : value;
    if (Array.isArray(value)) {
      const items = forms.find((one) => one.items !== undefined)?.items;
      if (items === undefined || (value.length <= RING && value.every(isTuple)) || isTuple(value)) return value;
      return beginningOf(value.map((one) => this.#short(one, items)));
    }
    if (typeof value !== 'object' || value === null) return value;
    const properties = Object.assign(
      {},
      ...forms.filter((one) => fits(one, value)).map((one) => one.properties ?? {}),
    ) as Record<string, Schema>;
    const rest = forms.map((one) => one.additionalProperties).find((one) => Object.keys(one ?? {}).length > 0);
    const isRecord = Object.keys(properties).length === 0;
    // Names that the schema does not have are no part of the contract.
    const known = Object.entries(value).filter(([name]) => isRecord || rest !== undefined || name in properties);
    const entries = known.map(([name, one]) => [name, this.#short(one, properties[name] ?? rest)]);
    return Object.fromEntries(isRecord && rest !== undefined ? beginningOf(entries) : entries);
  }

  #formsOf(schema: Schema | undefined): readonly Schema[] {
    if (schema === undefined) return [];
    if (schema.$ref !== undefined)
      return this.#formsOf(this.#document.components.schemas[schema.$ref.split('/').at(-1)!]);
    const forms = schema.anyOf ?? schema.oneOf;
    return forms === undefined ? [schema] : forms.flatMap((one) => this.#formsOf(one));
  }
}

const JSON_TYPE = /^application\/(\w+\+)?json$/;

function schemaOf(response: Operation['responses'][string] | undefined): Schema | null {
  const found = Object.entries(response?.content ?? {}).find(([type]) => JSON_TYPE.test(type));
  return found?.[1].schema ?? null;
}

const successOf = (responses: Operation['responses']) =>
  Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(([, one]) => schemaOf(one))
    .find((one) => one !== null) ?? null;

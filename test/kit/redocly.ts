import { schemaChecker } from './json-schema.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, Media>> };
  readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}
interface Media {
  readonly schema?: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value?: unknown; readonly externalValue?: string }>>;
}
interface Document {
  readonly info: { readonly license?: { readonly url?: string; readonly identifier?: string } };
  readonly servers?: readonly { readonly url: string; readonly variables?: object }[];
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly security?: Operation['security'];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

/**
 * Returns what the `recommended` rules of Redocly CLI say of an OpenAPI document, each as `rule: place`. They are
 * written here by their documentation (redocly.com/docs/cli/rules): the CLI itself is no dependency.
 */
export function redoclyFaults(document: Document): string[] {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const check = schemaChecker({ openapi: document });
  return [
    ...documentFaults(document),
    ...pathFaults(Object.keys(document.paths)),
    ...operations.flatMap(({ path, method, operation }) =>
      [...operationFaults(operation, path, document), ...mediaFaults(operation, check)].map(
        (rule) => `${rule}: ${method} ${path}`,
      ),
    ),
    ...repeated(operations.map(({ operation }) => operation.operationId ?? '')).map(
      (id) => `operation-operationId-unique: ${id}`,
    ),
    ...schemaFaults(document),
    ...referenceFaults(document),
  ];
}

const repeated = (names: readonly string[]) => names.filter((name, i) => names.indexOf(name) !== i);
const unless = (holds: boolean, rule: string) => (holds ? [] : [rule]);

function documentFaults({ info, servers = [], tags = [] }: Document): string[] {
  const { license } = info;
  return [
    ...unless(license !== undefined, 'info-license: info'),
    ...unless(Boolean(license?.url ?? license?.identifier), 'info-license-strict: info'),
    ...unless(servers.length > 0, 'no-empty-servers: servers'),
    ...servers.flatMap(({ url, variables }) => [
      ...unless(url === '/' || !url.endsWith('/'), `no-server-trailing-slash: ${url}`),
      ...unless(!/\b(example\.com|localhost)\b/.test(url), `no-server-example.com: ${url}`),
      ...unless(!url.includes('{') || variables !== undefined, `no-undefined-server-variable: ${url}`),
    ]),
    ...tags.flatMap(({ name, description }) => unless(Boolean(description), `tag-description: ${name}`)),
    ...repeated(tags.map(({ name }) => name)).map((name) => `no-duplicated-tag-names: ${name}`),
  ];
}

function pathFaults(paths: readonly string[]): string[] {
  const shapes = paths.map((path) => path.replace(/\{[^}]*\}/g, '{}'));
  return [
    ...repeated(shapes).map((path) => `no-identical-paths: ${path}`),
    ...paths.flatMap((path, i) => [
      ...unless(path === '/' || !path.endsWith('/'), `no-path-trailing-slash: ${path}`),
      ...unless(!path.includes('?'), `path-not-include-query: ${path}`),
      ...unless(!path.includes('{}'), `path-declaration-must-exist: ${path}`),
      ...paths
        .slice(0, i)
        .flatMap((other) => unless(!areAmbiguous(path, other), `no-ambiguous-paths: ${path} ${other}`)),
    ]),
  ];
}

/** Whether an address may be meant by two paths, neither of which has fewer parameters. */
function areAmbiguous(a: string, b: string): boolean {
  const [left, right] = [a.split('/'), b.split('/')];
  const isParameter = (part: string) => part.startsWith('{');
  const count = (parts: readonly string[]) => parts.filter(isParameter).length;
  if (left.length !== right.length || count(left) !== count(right)) return false;
  return left.every((part, i) => part === right[i] || isParameter(part) || isParameter(right[i]!));
}

function operationFaults(operation: Operation, path: string, document: Document): string[] {
  const { operationId = '', summary, parameters = [], responses = {} } = operation;
  const statuses = Object.keys(responses);
  const named = parameters.filter((one) => one.in === 'path').map(({ name }) => name);
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name!);
  const schemes = Object.keys(document.components.securitySchemes ?? {});
  const security = operation.security ?? document.security;
  return [
    ...unless(operationId !== '', 'operation-operationId'),
    ...unless(/^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]*$/.test(operationId), 'operation-operationId-url-safe'),
    ...unless(Boolean(summary), 'operation-summary'),
    ...unless(
      statuses.some((status) => status === 'default' || /^2(\d\d|XX)$/.test(status)),
      'operation-2xx-response',
    ),
    ...unless(
      statuses.some((status) => /^4(\d\d|XX)$/.test(status)),
      'operation-4xx-response',
    ),
    ...unless(repeated(parameters.map((one) => `${one.in} ${one.name}`)).length === 0, 'operation-parameters-unique'),
    ...unless(named.toSorted().join() === inPath.toSorted().join(), 'path-parameters-defined'),
    ...unless(security !== undefined, 'security-defined'),
    ...unless(
      (security ?? []).flatMap(Object.keys).every((name) => schemes.includes(name)),
      'security-defined',
    ),
  ];
}

function mediaFaults({ requestBody, responses = {} }: Operation, check: ReturnType<typeof schemaChecker>): string[] {
  const all = [requestBody, ...Object.values(responses)].flatMap((one) => Object.values(one?.content ?? {}));
  return all.flatMap(({ schema = {}, example, examples = {} }) => {
    const values = [...(example === undefined ? [] : [example]), ...Object.values(examples).map(({ value }) => value)];
    if (values.length === 0) return [];
    const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')) as object;
    const wrong = values.flatMap((value) => check(absolute, value));
    const both = Object.values(examples).filter((one) => 'value' in one && 'externalValue' in one);
    return [
      ...wrong.map((fault) => `no-invalid-media-type-examples (${fault})`),
      ...both.map(() => 'no-example-value-and-externalValue'),
    ];
  });
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: object;
  readonly items?: object;
}

const TYPE_OF: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
  array: Array.isArray,
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

function schemaFaults(document: Document): string[] {
  const faults: string[] = [];
  JSON.stringify(document, (_key, value: Schema | null) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    const types = [value.type ?? []].flat();
    const place = JSON.stringify(value).slice(0, 120);
    if (Array.isArray(value.enum) && types.length > 0) {
      const fits = value.enum.every((one) => types.some((type) => TYPE_OF[type]?.(one)));
      faults.push(...unless(fits, `no-enum-type-mismatch: ${place}`));
    }
    if (Array.isArray(value.required) && typeof value.properties === 'object')
      for (const name of value.required)
        faults.push(...unless(name in value.properties, `no-required-schema-properties-undefined: ${name} ${place}`));
    if (types.length === 1 && types[0] === 'array' && typeof value.properties === 'object')
      faults.push(`no-schema-type-mismatch: ${place}`);
    if (
      types.length === 1 &&
      types[0] === 'object' &&
      typeof value.items === 'object' &&
      value.properties === undefined
    )
      faults.push(`no-schema-type-mismatch: ${place}`);
    return value;
  });
  return faults;
}

function referenceFaults(document: Document): string[] {
  const text = JSON.stringify(document);
  const named = new Set(Array.from(text.matchAll(/"\$ref":"#\/components\/(\w+\/[^"]+)"/g), ([, name]) => name!));
  const { securitySchemes: _, ...components } = document.components;
  const there = Object.entries(components).flatMap(([kind, all]) => Object.keys(all).map((name) => `${kind}/${name}`));
  return [
    ...there.flatMap((name) => unless(named.has(name), `no-unused-components: ${name}`)),
    ...[...named].flatMap((name) => unless(there.includes(name), `no-unresolved-refs: ${name}`)),
  ];
}

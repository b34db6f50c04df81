/** The parts of OpenAPI 3.1 that Lamppost's own document uses. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}
interface Body {
  readonly required?: boolean;
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}
interface Operation {
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: Schema }[];
  readonly requestBody?: Body;
  readonly responses?: Readonly<Record<string, Body>>;
}
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/**
 * Returns TypeScript of an OpenAPI document: `paths`, as openapi-fetch reads it, and a type for each named schema. It
 * is written here because openapi-typescript needs the compiler API of TypeScript 5, which TypeScript 7 does not have.
 */
export function typesOf({ paths, components }: OpenApi): string {
  // Sorted: the document has them in the order in which they were first used.
  const names = Object.entries(components.schemas)
    .map(([name, schema]) => `export type ${typeName(name)} = ${typeOf(schema)};\n`)
    .toSorted();
  const routes = Object.entries(paths).map(([path, methods]) => {
    const operations = Object.entries(methods).map(([method, one]) => `    ${method}: ${operationOf(one)};\n`);
    return `  ${JSON.stringify(path)}: {\n${operations.join('')}  };\n`;
  });
  const head = '// Written by test/unit/console/types.test.ts (vitest -u) from the OpenAPI document; not by hand.\n\n';
  return `${head}${names.join('')}\nexport interface paths {\n${routes.join('')}}\n`;
}

const typeName = (name: string) => name.replace(/\W/g, '_');
const keyOf = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

function operationOf({ parameters = [], requestBody, responses = {} }: Operation): string {
  const places = ['query', 'path', 'header'].flatMap((place) => {
    const some = parameters.filter((one) => one.in === place);
    if (some.length === 0) return [];
    const fields = some.map((one) => `${keyOf(one.name)}${one.required ? '' : '?'}: ${typeOf(one.schema)}`);
    return [`${place}${some.some(({ required }) => required) ? '' : '?'}: { ${fields.join('; ')} }`];
  });
  // Any action may name the version that it is meant for, and itself.
  if (!places.some((one) => one.startsWith('header'))) places.push('header?: Record<string, string>');
  // Errors are `default` already.
  const own = Object.entries(responses).filter(([status]) => status !== '4XX');
  const bodies = own.map(([status, body]) => `${status}: { content: ${contentOf(body)} }`);
  const body = requestBody && `requestBody${requestBody.required ? '' : '?'}: { content: ${contentOf(requestBody)} }; `;
  return `{ parameters: { ${places.join('; ')} }; ${body ?? ''}responses: { ${bodies.join('; ')} } }`;
}

function contentOf({ content = {} }: Body): string {
  const types = Object.entries(content).map(([type, { schema }]) => `${JSON.stringify(type)}: ${typeOf(schema ?? {})}`);
  return types.length === 0 ? 'Record<never, never>' : `{ ${types.join('; ')} }`;
}

/** Returns the type of values that a schema describes. */
function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return typeName(schema.$ref.split('/').at(-1)!);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return either.map((one) => `(${typeOf(one)})`).join(' | ');
  if (schema.allOf !== undefined) return schema.allOf.map((one) => `(${typeOf(one)})`).join(' & ');
  const types = [schema.type ?? []].flat();
  if (types.length > 1) return types.map((type) => typeOf({ ...schema, type })).join(' | ');
  return plainTypeOf(types[0], schema);
}

function plainTypeOf(type: string | undefined, schema: Schema): string {
  if (type === 'integer') return 'number';
  if (type === 'string' || type === 'number' || type === 'boolean' || type === 'null') return type;
  if (type === 'array') {
    if (schema.prefixItems !== undefined) return tupleOf(schema.prefixItems.map(typeOf));
    return `(${typeOf(schema.items ?? {})})[]`;
  }
  return type === 'object' || schema.properties !== undefined ? objectOf(schema) : 'unknown';
}

function objectOf({ properties = {}, required = [], additionalProperties }: Schema): string {
  const fields = Object.entries(properties).map(
    ([name, one]) => `${keyOf(name)}${required.includes(name) ? '' : '?'}: ${typeOf(one)}`,
  );
  const rest = typeof additionalProperties === 'object' ? `Record<string, ${typeOf(additionalProperties)}>` : null;
  if (fields.length === 0) return rest ?? 'Record<string, unknown>';
  return `{ ${fields.join('; ')} }${rest === null ? '' : ` & ${rest}`}`;
}

/** Items of one type are a list: openapi-fetch makes lists of them anyway. */
function tupleOf(items: readonly string[]): string {
  return new Set(items).size === 1 ? `(${items[0]})[]` : `[${items.join(', ')}]`;
}

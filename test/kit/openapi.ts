import { schemaChecker } from './json-schema.ts';

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

/** The parts of an OpenAPI document that a checker needs. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** A response as a client got it. */
export interface OpenApiResponse {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const pointer = (...steps: readonly string[]) =>
  steps.map((step) => `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('');

/** Checks JSON responses against an OpenAPI 3.1 document; returns what is wrong with a response. */
export function openApiChecker(document: OpenApiDocument) {
  const check = schemaChecker({ openapi: document });
  const templates = Object.keys(document.paths).map((template) => ({
    template,
    // Fixed segments win over parameters.
    rank: template.split('{').length,
    matches: new RegExp(`^${template.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
  }));
  templates.sort((a, b) => a.rank - b.rank);
  const schemas = new Map<string, { $ref: string }>();

  return ({ method, path, status, type, text }: OpenApiResponse): string[] => {
    // A doubled slash is ignored.
    const url = path.split('?')[0]!.replace(/\/{2,}/g, '/');
    const found = templates.find(({ template, matches }) => matches.test(url) && method in document.paths[template]!);
    if (found === undefined) return status === 404 || status === 405 ? [] : [`${method} ${url} is not in the document`];
    const { responses } = document.paths[found.template]![method]!;
    const name = String(status) in responses ? String(status) : 'default';
    const content = Object.keys(responses[name]?.content ?? {}).find((one) => type.startsWith(one));
    if (content === undefined) return [`${method} ${found.template} ${status}: ${type} is not in the document`];
    const $ref = `openapi#${pointer('paths', found.template, method, 'responses', name, 'content', content, 'schema')}`;
    const schema = schemas.get($ref) ?? { $ref };
    schemas.set($ref, schema);
    return check(schema, JSON.parse(text)).map((fault) => `${method} ${found.template} ${status}: ${fault}`);
  };
}

import type { City } from '../../api/schema.ts';

/** A JSON Schema, as far as completion reads it. */
export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema | boolean;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/**
 * Where somebody writes in YAML: the keys around the place, whether a key or a value follows, and what is typed of it.
 */
export interface Place {
  readonly path: readonly string[];
  readonly isKey: boolean;
  readonly word: string;
}

const KEY = /^(\s*)(?:- +)?([\w-]+):(?:\s|$)/;
const indentOf = (line: string) => /^\s*(?:- +)?/.exec(line)![0].length;

/** Returns the place at an offset of a YAML text: blocks by their indentation, flow collections within one line. */
export function placeIn(text: string, at: number): Place {
  const lines = text.slice(0, at).split('\n');
  const line = lines.at(-1)!;
  const path: string[] = [];
  let indent = indentOf(line);
  for (const above of lines.slice(0, -1).reverse()) {
    const [, spaces = '', key] = KEY.exec(above) ?? [];
    if (key === undefined || indentOf(above) >= indent) continue;
    path.unshift(key);
    indent = spaces.length;
  }
  return placeInLine(path, line.slice(indentOf(line)));
}

/** Adds what the line opens: `when: { metric: x, ` is a key within `when`. */
function placeInLine(outer: readonly string[], line: string): Place {
  const open: string[] = [];
  let [key, word, quote] = ['', '', ''];
  for (const [i, char] of [...line].entries()) {
    if (quote !== '') {
      if (char === quote) quote = '';
      word += char;
    } else if (char === '{' || char === '[') {
      open.push(key);
      // In a list the values are those of its key.
      key = char === '[' ? key : '';
      word = '';
    } else if (char === '}' || char === ']') {
      key = open.pop() ?? '';
      word = '';
    } else if (char === ',') {
      const isList = open.length > 0 && open.at(-1) === key;
      if (!isList) key = '';
      word = '';
    } else if (char === ':' && (line[i + 1] ?? ' ') === ' ') {
      key = word.trim();
      word = '';
    } else {
      if (char === '"' || char === "'") quote = char;
      word += char;
    }
  }
  const around = [...outer, ...open.filter((one) => one !== '' && one !== key)];
  return key === ''
    ? { path: around, isKey: true, word: word.trimStart() }
    : { path: [...around, key], isKey: false, word: word.trimStart() };
}

/** Returns the schemas of what may stand at a path. */
function schemasAt(root: Schema, path: readonly string[]): Schema[] {
  let here = expand(root, root);
  for (const key of path) {
    here = here.flatMap((one) => {
      const next = one.properties?.[key];
      return next === undefined ? [] : expand(root, next);
    });
  }
  return here;
}

/** A schema with its alternatives and the items of its lists, without references. */
function expand(root: Schema, schema: Schema, depth = 0): Schema[] {
  if (depth > 8) return [];
  const named = schema.$ref === undefined ? undefined : root.$defs?.[schema.$ref.replace('#/$defs/', '')];
  const more = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  const items = [schema.items, ...(schema.prefixItems ?? []), named].filter((one) => typeof one === 'object');
  return [schema, ...[...more, ...items].flatMap((one) => expand(root, one, depth + 1))];
}

/** Something that may be written: what it is, in a few words. */
export interface Option {
  readonly label: string;
  readonly apply: string;
  readonly detail: string;
}

/** The names of the city that a key takes. */
const NAMED = {
  metric: 'metrics',
  profile: 'profiles',
  district: 'districts',
  service: 'services',
  department: 'departments',
  calendar: 'calendars',
} as const satisfies Record<string, keyof City>;

/** Returns what may be written at a place of a rule: keys and values of its schema, and names of the city. */
export function optionsAt(schema: Schema, city: City, language: 'en' | 'zh', { path, isKey }: Place): Option[] {
  const here = schemasAt(schema, path);
  if (isKey) {
    const known = new Map(here.flatMap(({ properties }) => Object.entries(properties ?? {})));
    const needed = new Set(here.flatMap(({ required }) => required ?? []));
    return [...known].map(([label, one]) => ({
      label,
      apply: `${label}: `,
      detail: [needed.has(label) ? '*' : '', kindOf(expand(schema, one))].join(' ').trim(),
    }));
  }
  const kind = NAMED[path.at(-1) as keyof typeof NAMED];
  const names = kind === undefined ? [] : city[kind];
  const values = here.flatMap((one) => ('const' in one ? [one.const] : (one.enum ?? [])));
  const booleans = here.some(({ type, const: fixed }) => type === 'boolean' && fixed === undefined)
    ? [true, false]
    : [];
  return [
    ...names.map(({ id, title }) => ({ label: id, apply: id, detail: title[language] })),
    ...[...new Set([...values, ...booleans].map(String))].map((label) => ({ label, apply: label, detail: '' })),
  ];
}

/** What a key takes: its values where they are few, else its types, and its default. */
function kindOf(schemas: readonly Schema[]): string {
  const values = schemas.flatMap((one) => ('const' in one ? [one.const] : (one.enum ?? [])));
  const types = schemas.flatMap(({ type }) => type ?? []);
  const fallback = schemas.find((one) => one.default !== undefined)?.default;
  const said = values.length > 0 ? values : types;
  return `${[...new Set(said.map(String))].join(' | ')}${fallback === undefined ? '' : ` = ${JSON.stringify(fallback)}`}`;
}

/** Returns what the key at a place takes, for a hint; null where the schema does not know it. */
export function hintAt(schema: Schema, path: readonly string[]): string | null {
  const found = path.length === 0 ? [] : schemasAt(schema, path);
  return found.length === 0 ? null : `${path.join(' › ')}: ${kindOf(found)}`;
}

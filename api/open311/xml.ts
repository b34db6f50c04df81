/** What answers are made of. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [name: string]: Value };

/** What GeoReport v2 calls one of several. */
const ITEMS: Readonly<Record<string, string>> = {
  services: 'service',
  attributes: 'attribute',
  values: 'value',
  service_requests: 'request',
  errors: 'error',
  endpoints: 'endpoint',
  formats: 'format',
};

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};
/** Characters that XML 1.0 does not have (§2.2), and halves of characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const IMPOSSIBLE = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/gu;

/** A document (UTF-8): arrays become elements by the names of GeoReport v2, null and the empty text an empty element. */
export function xmlOf(root: string, value: Value): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n${element(root, value)}\n`;
}

function element(name: string, value: Value): string {
  const content = contentOf(name, value);
  return content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`;
}

function contentOf(name: string, value: Value): string {
  if (value === null) return '';
  if (Array.isArray(value)) return value.map((one: Value) => element(ITEMS[name] ?? 'item', one)).join('');
  if (typeof value !== 'object') return escaped(String(value));
  return Object.entries(value)
    .map(([key, one]) => element(key, one))
    .join('');
}

function escaped(text: string): string {
  return text.replace(IMPOSSIBLE, '\ufffd').replace(/[&<>"\r]/g, (one) => ENTITIES[one]!);
}

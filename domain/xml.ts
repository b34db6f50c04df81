/** An XML element that holds text or elements. */
export interface Xml {
  readonly name: string;
  readonly content: string | readonly Xml[];
  readonly namespace?: string;
}

/** Returns an element. */
export function element(name: string, content: Xml['content']): Xml {
  return { name, content };
}

/** An XML 1.0 document in UTF-8: one line, or each element on an indented line of its own. */
export function xmlOf(root: Xml, { indented = false }: { readonly indented?: boolean } = {}): string {
  const newline = indented ? '\n' : '';
  return `<?xml version="1.0" encoding="UTF-8"?>\n${textOf(root, newline)}\n`;
}

/** An element as text on one line, as it stands in a document. */
export function xmlTextOf(one: Xml): string {
  return textOf(one, '');
}

function textOf({ name, content, namespace }: Xml, newline: string): string {
  const start = namespace === undefined ? name : `${name} xmlns="${escapeXml(namespace)}"`;
  if (content.length === 0) return `<${start}/>`;
  if (typeof content === 'string') return `<${start}>${escapeXml(content)}</${name}>`;
  const deeper = newline === '' ? '' : `${newline}  `;
  return `<${start}>${content.map((one) => deeper + textOf(one, deeper)).join('')}${newline}</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  // A parser turns a bare one into a line feed (XML 1.0 §2.11).
  '\r': '&#13;',
};

/** Text for XML 1.0 and HTML, in elements and attributes; a character that XML does not have (§2.2) becomes U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"'\r]/g, (one) => ENTITIES[one]!);
}

/** An element of text or of elements. */
export interface Xml {
  readonly name: string;
  readonly content: string | readonly Xml[];
  readonly namespace?: string;
}

/** Makes an element. */
export function element(name: string, content: Xml['content']): Xml {
  return { name, content };
}

/** A document in UTF-8, on lines of their own. */
export function xmlOf(root: Xml): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${textOf(root, '')}\n`;
}

function textOf({ name, content, namespace }: Xml, indent: string): string {
  const start = namespace === undefined ? name : `${name} xmlns="${escapeXml(namespace)}"`;
  if (typeof content === 'string') return `${indent}<${start}>${escapeXml(content)}</${name}>`;
  const inner = content.map((one) => textOf(one, `${indent}  `));
  return [`${indent}<${start}>`, ...inner, `${indent}</${name}>`].join('\n');
}

/** Text for XML 1.0 and HTML, in elements and attributes; what is no character of XML (§2.2) is replaced. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

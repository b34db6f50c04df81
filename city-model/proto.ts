import parse from 'protocol-buffers-schema';
import type { Enum, Field, Message } from 'protocol-buffers-schema/types.js';
import type { ProtoField, ProtoTypes } from '../domain/index.ts';

/** The scalar types of Protocol Buffers, by how they are on the wire. */
const SCALARS = new Set([
  ...['double', 'float', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64'],
  ...['fixed32', 'fixed64', 'sfixed32', 'sfixed64', 'bool', 'string', 'bytes'],
]);
const LONGEST = 200_000;

interface Found {
  readonly messages: Record<string, Record<number, ProtoField>>;
  readonly enums: Record<string, Record<number, string>>;
}

/**
 * Reads the text of a `.proto` file. Returns its types with full names (`package.Message.Inner`), or what is wrong as a
 * text. A file stands alone: imports are not followed.
 */
export function readProto(text: string): ProtoTypes | string {
  if (text.length > LONGEST) return `more than ${LONGEST} characters`;
  try {
    const { package: root, messages, enums, imports } = parse(text);
    if ((imports ?? []).length > 0) return `import "${imports![0]}": put its types into this file`;
    const types: Found = { messages: Object.create(null), enums: Object.create(null) };
    const scope = root ? `${root}.` : '';
    for (const one of enums) addEnum(one, scope, types);
    for (const one of messages) addMessage(one, scope, types);
    return resolved(types);
  } catch (error) {
    return (error as Error).message;
  }
}

function addEnum({ name, values }: Enum, scope: string, types: Found): void {
  const byNumber: Record<number, string> = {};
  for (const [text, { value }] of Object.entries(values as unknown as Record<string, { value: number }>)) {
    byNumber[value] ??= text;
  }
  types.enums[scope + name] = byNumber;
}

function addMessage({ name, fields, enums, messages }: Message, scope: string, types: Found): void {
  const own = scope + name;
  const byTag: Record<number, ProtoField> = {};
  types.messages[own] = byTag;
  for (const one of enums) addEnum(one, `${own}.`, types);
  for (const one of messages) addMessage(one, `${own}.`, types);
  for (const field of fields) byTag[field.tag] = fieldOf(field, own, types);
}

/** A map is a list of entries on the wire. */
function fieldOf({ name, type, tag, repeated, map }: Field, own: string, types: Found): ProtoField {
  if (!map) return { name, type, repeated, map: false };
  const { from, to } = map as { readonly from: string; readonly to: string };
  const entry = `${own}.map ${tag}`;
  types.messages[entry] = {
    1: { name: 'key', type: from, repeated: false, map: false },
    2: { name: 'value', type: to, repeated: false, map: false },
  };
  return { name, type: entry, repeated: true, map: true };
}

/** Replaces the names of types by full names: the innermost scope that has the name wins. */
function resolved({ messages, enums }: Found): ProtoTypes {
  const known = (name: string) => name in messages || name in enums;
  for (const [own, fields] of Object.entries(messages)) {
    for (const [tag, field] of Object.entries(fields)) {
      if (SCALARS.has(field.type)) continue;
      const full = scopesOf(own)
        .map((scope) => scope + field.type.replace(/^\./, ''))
        .find(known);
      if (full === undefined) throw new Error(`${own}.${field.name}: unknown type ${field.type}`);
      fields[Number(tag)] = { ...field, type: full };
    }
  }
  return { messages, enums };
}

/** `a.b.M` gives `a.b.M.`, `a.b.`, `a.` and the root. */
function scopesOf(name: string): string[] {
  const parts = name.replace(/\.map \d+$/, '').split('.');
  return [...parts.map((_, i) => `${parts.slice(0, parts.length - i).join('.')}.`), ''];
}

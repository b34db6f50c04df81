// A JSON Schema in short notation: `{ id: string, value: number | null }`, with links to named shapes.

/** Returns the parts of a schema's text: strings, {ref} and {note}. */
export function shape(schema, depth = 0) {
  const { $ref, anyOf, oneOf, allOf } = schema;
  if ($ref !== undefined) return [{ ref: $ref.split('/').at(-1) }];
  if (allOf?.length === 1) return shape(allOf[0], depth);
  const forms = anyOf ?? oneOf;
  if (forms !== undefined)
    return between(
      forms.map((one) => shape(one, depth)),
      ' | ',
    );
  if ('const' in schema) return [JSON.stringify(schema.const)];
  if (schema.enum !== undefined) return [schema.enum.map((one) => JSON.stringify(one)).join(' | ')];
  if (Array.isArray(schema.type))
    return between(
      schema.type.map((type) => shape({ ...schema, type }, depth)),
      ' | ',
    );
  if (schema.type === 'array') return arrayOf(schema, depth);
  if (schema.type === 'object') return objectOf(schema, depth);
  return [`${schema.format ?? schema.type ?? 'any'}`];
}

function arrayOf({ items, prefixItems }, depth) {
  const tuple = prefixItems ?? (Array.isArray(items) ? items : null);
  if (tuple !== null)
    return [
      '[',
      ...between(
        tuple.map((one) => shape(one, depth)),
        ', ',
      ),
      ']',
    ];
  const inner = shape(items ?? {}, depth);
  const [first] = inner;
  const plain =
    first === '[' || first === '{' || (inner.length === 1 && (first.ref !== undefined || !first.includes(' ')));
  return plain ? [...inner, '[]'] : ['(', ...inner, ')[]'];
}

function objectOf({ properties, required = [], additionalProperties }, depth) {
  if (properties === undefined) return ['{ [name]: ', ...shape(additionalProperties || {}, depth), ' }'];
  const indent = '  '.repeat(depth + 1);
  const lines = Object.entries(properties).flatMap(([name, schema]) => {
    const note = schema.description === undefined ? [] : [{ note: `  // ${schema.description}` }];
    return [`\n${indent}${name}${required.includes(name) ? '' : '?'}: `, ...shape(schema, depth + 1), ...note];
  });
  return ['{', ...lines, `\n${'  '.repeat(depth)}}`];
}

const between = (lists, separator) => lists.flatMap((list, i) => (i === 0 ? list : [separator, ...list]));

/** Returns the parts as DOM nodes. */
export function nodesOf(parts) {
  return parts.map((part) => {
    if (typeof part === 'string') return part;
    const node = document.createElement(part.ref === undefined ? 'i' : 'a');
    node.textContent = part.ref ?? part.note;
    if (part.ref !== undefined) node.href = `#schema-${part.ref}`;
    return node;
  });
}

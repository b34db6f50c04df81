import type { ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

type Schema = object;

/** Checks values against JSON Schema 2020-12; `refs` may be referred to by their keys. */
export function schemaChecker(refs: Readonly<Record<string, Schema>> = {}) {
  return checkerOf(new Ajv2020({ strict: false, allErrors: true }), refs);
}

/** The same for JSON Schema draft 7, which AsyncAPI uses. */
export function draft7Checker(refs: Readonly<Record<string, Schema>> = {}) {
  return checkerOf(new Ajv({ strict: false, allErrors: true }), refs);
}

function checkerOf(ajv: Ajv, refs: Readonly<Record<string, Schema>>) {
  addFormats.default(ajv);
  for (const [key, schema] of Object.entries(refs)) ajv.addSchema(schema, key);
  const compiled = new Map<Schema, ValidateFunction>();
  /** Returns what is wrong with a value. */
  return (schema: Schema, value: unknown): string[] => {
    const validate = compiled.get(schema) ?? ajv.compile(schema);
    compiled.set(schema, validate);
    if (validate(value)) return [];
    return validate.errors!.map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  };
}

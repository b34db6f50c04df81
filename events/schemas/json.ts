import { z } from 'zod';
import { AlertSchema, EVENT_TYPES } from '../../domain/index.ts';
import { schemaUriOf } from '../cloudevent.ts';
import { dataSchemaOf, EVENT_SCHEMAS } from './event.ts';
import { TicketSchema } from './ticket.ts';

/** A JSON Schema as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

type Override = NonNullable<z.core.ToJSONSchemaParams['override']>;

/** What zod says beyond what a reader of the schema needs: fields may be added to anything that is not strict; times are UTC. */
export const plainly: Override = ({ zodSchema, jsonSchema }) => {
  const { def } = zodSchema._zod;
  if (def.type === 'object' && (def as z.core.$ZodObjectDef).catchall === undefined)
    delete jsonSchema.additionalProperties;
  if (def.type === 'readonly') delete jsonSchema.readOnly;
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
  if (jsonSchema.format === 'date-time' && !(def as z.core.$ZodISODateTimeDef).offset) jsonSchema.pattern = 'Z$';
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
};

/** A schema as a document of its own (JSON Schema 2020-12). */
function documentOf(schema: z.ZodType, $id: string): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { override: plainly });
  return { $schema, $id, ...rest };
}

/** Schemas by name, as `components.schemas` of an AsyncAPI document has them (JSON Schema draft 7). */
export function componentsOf(schemas: Readonly<Record<string, z.ZodType>>): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const uri = (id: string) => `#/components/schemas/${id}`;
  const made = z.toJSONSchema(registry, { uri, target: 'draft-07', override: plainly });
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _, $id: __, ...rest }]) => [id, rest]));
}

/**
 * The JSON Schemas that are served, by name: what each type of event tells (`{type}`, whose `$id` is the event's
 * `dataschema`), any event with its envelope (`event`), an alert, and a ticket as its retained topic has it.
 */
export const JSON_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  ...Object.fromEntries(EVENT_TYPES.map((type) => [type, documentOf(dataSchemaOf(type), schemaUriOf(type))])),
  event: documentOf(z.discriminatedUnion('type', Object.values(EVENT_SCHEMAS) as never), schemaUriOf('event')),
  alert: documentOf(AlertSchema, schemaUriOf('alert')),
  ticket: documentOf(TicketSchema, schemaUriOf('ticket')),
};

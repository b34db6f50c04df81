import { z } from 'zod';
import {
  AlertSchema,
  CLOCK_DOUBTS,
  type ClockDoubt,
  DesiredStateSchema,
  DeviceCommandSchema,
  DROP_REASONS,
  type DropReason,
  END_CAUSES,
  type EndCause,
  EVENT_TYPES,
  type EventType,
  EvidenceSchema,
  type ShapeOf,
  TicketSchema,
} from '../../domain/index.ts';
import { SilenceSchema } from '../../tickets/index.ts';
import { isAlertType, isCommandType, isTicketType, schemaUriOf } from '../cloudevent.ts';

/** The data of an alert event. */
export const AlertDataSchema = AlertSchema.extend({
  department: z.string().nullable().describe('Department of its ticket'),
  evidence: EvidenceSchema,
  because: z
    .enum(Object.keys(END_CAUSES) as [EndCause, ...EndCause[]])
    .exactOptional()
    .describe('Why it ended, where its condition did not end it: nobody knows whether it is over'),
}).meta({ id: 'AlertData', description: 'An alert at the time of the event, with its evidence' });
export type AlertData = ShapeOf<typeof AlertDataSchema>;

/** The data of the events of silences. */
export const SilenceDataSchema = SilenceSchema.extend({
  alerts: z
    .array(z.object({ rule: z.string(), group: z.string() }))
    .readonly()
    .describe('Firing alerts whose tickets it holds back: new ones (matched), or all (ending)'),
}).meta({ id: 'SilenceData', description: 'A silence, and firing alerts that it silences' });
export type SilenceData = ShapeOf<typeof SilenceDataSchema>;

/** The data of the event of a session that lost messages. */
export const SessionDataSchema = z
  .object({
    session: z.string(),
    key: z.string().describe('Id of the key or device whose session it is'),
    department: z.string().nullable(),
    reason: z.enum(Object.keys(DROP_REASONS) as [DropReason, ...DropReason[]]),
    messages: z.int(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
  })
  .meta({ id: 'SessionData', description: 'Messages that a kept MQTT session lost to a limit or to its expiry' });
export type SessionData = ShapeOf<typeof SessionDataSchema>;

/** The data of the event of logins that fail. */
export const LoginDataSchema = z
  .object({
    source: z.string().describe('The IPv4 address, or the /64 of the IPv6 address, from which they came'),
    user: z
      .string()
      .nullable()
      .describe('Id of the device or key whose name was given; null where they gave many names, or names of nobody'),
    failures: z.int(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
  })
  .meta({ id: 'LoginData', description: 'Logins over MQTT, or of people, from one source that fail again and again' });
export type LoginData = ShapeOf<typeof LoginDataSchema>;

/** The data of the events of the wall clock. */
export const ClockDataSchema = z
  .object({
    byMs: z.int().describe('By how much civil time was moved; 0 where the wall clock is not believed'),
    from: z.iso.datetime().describe('Civil time just before'),
    to: z.iso.datetime().describe('Civil time just after'),
    wallMs: z.int().describe('What the wall clock showed, epoch ms'),
    doubt: z
      .enum(Object.keys(CLOCK_DOUBTS) as [ClockDoubt, ...ClockDoubt[]])
      .nullable()
      .describe('Why the wall clock is not believed; null: civil time follows it'),
  })
  .meta({
    id: 'ClockData',
    description: 'A step of the wall clock, or why it is not believed. Durations go on over it',
  });
export type ClockData = ShapeOf<typeof ClockDataSchema>;

/** Returns the schema of the data of a type's events, which their `dataschema` names. */
function dataSchemaOf(type: EventType): z.ZodType {
  if (isTicketType(type)) return TicketSchema;
  if (type === 'city.lamppost.session.dropped') return SessionDataSchema;
  if (type === 'city.lamppost.login.failing') return LoginDataSchema;
  if (type === 'city.lamppost.clock.stepped' || type === 'city.lamppost.clock.doubted') return ClockDataSchema;
  if (isCommandType(type)) return DeviceCommandSchema;
  if (type === 'city.lamppost.desired.changed') return DesiredStateSchema;
  if (!isAlertType(type)) return SilenceDataSchema;
  if (type === 'city.lamppost.alert.resolved') return AlertDataSchema.extend({ state: z.literal('resolved') });
  return AlertDataSchema.omit({ because: true }).extend({ state: z.literal('firing') });
}

/** Returns the schema of a type's events in structured JSON: the CloudEvents 1.0 envelope and the data. */
function eventSchemaOf(type: EventType) {
  return z
    .object({
      specversion: z.literal('1.0'),
      id: z
        .string()
        .min(1)
        .describe('With `source` the duplicate key: the same over redeliveries, restarts and replays'),
      source: z.literal('/lamppost'),
      type: z.literal(type),
      subject: z
        .string()
        .describe(
          '`alerts/{rule}/{group}`, `tickets/{ticket}`, `silences/{silence}`, `sessions/{session}`, `logins/{source}`, `commands/{device}/{command}`, `desired/{device}` or `clock`',
        ),
      time: z.iso.datetime().describe('Engine time'),
      datacontenttype: z.literal('application/json'),
      dataschema: z.literal(schemaUriOf(type)),
      data: dataSchemaOf(type),
    })
    .meta({ id: eventName(type), description: `A CloudEvent: ${type.slice('city.lamppost.'.length)}` });
}

/** Returns the name of an event type in documents: `TicketOpenedEvent` for `city.lamppost.ticket.opened`. */
export function eventName(type: EventType): string {
  const words = type.slice('city.lamppost.'.length).split(/[.-]/);
  return `${words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}Event`;
}

type EventSchema = ReturnType<typeof eventSchemaOf>;

/** Returns an object whose values are made once each, when they are first read. */
function madeWhenRead<K extends string, T>(makers: Readonly<Record<K, () => T>>): Readonly<Record<K, T>> {
  const made = {} as Record<K, T>;
  for (const [name, make] of Object.entries<() => T>(makers)) {
    const get = () => {
      const value = make();
      Object.defineProperty(made, name, { value, enumerable: true });
      return value;
    };
    Object.defineProperty(made, name, { get, enumerable: true, configurable: true });
  }
  return made;
}

/** The schema of the events of each type. */
export const EVENT_SCHEMAS = madeWhenRead(
  Object.fromEntries(EVENT_TYPES.map((type) => [type, () => eventSchemaOf(type)])) as Record<
    EventType,
    () => EventSchema
  >,
);

/** A JSON Schema as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

type Override = NonNullable<z.core.ToJSONSchemaParams['override']>;

/**
 * Removes what zod adds and readers of a schema do not need. Objects that are not strict may get more fields; times
 * are UTC.
 */
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

/** Returns a schema as a document (JSON Schema 2020-12). */
function documentOf(schema: z.ZodType, $id: string): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { override: plainly });
  return { $schema, $id, ...rest };
}

/** Returns schemas by name, as `components.schemas` of an AsyncAPI document has them (JSON Schema draft 7). */
export function componentsOf(schemas: Readonly<Record<string, z.ZodType>>): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const uri = (id: string) => `#/components/schemas/${id}`;
  const made = z.toJSONSchema(registry, { uri, target: 'draft-07', override: plainly });
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _, $id: __, ...rest }]) => [id, rest]));
}

const anyEvent = () => z.discriminatedUnion('type', EVENT_TYPES.map((type) => EVENT_SCHEMAS[type]) as AtLeastOne);
type AtLeastOne = [EventSchema, ...EventSchema[]];

/**
 * The JSON Schemas that are served, by name: the data of each type of event (`{type}`, whose `$id` is the event's
 * `dataschema`), any event with its envelope (`event`), an alert, and a ticket as its retained topic has it. Each is
 * made when it is first read: most threads never do.
 */
export const JSON_SCHEMAS: Readonly<Record<string, JsonSchema>> = madeWhenRead({
  ...Object.fromEntries(EVENT_TYPES.map((type) => [type, () => documentOf(dataSchemaOf(type), schemaUriOf(type))])),
  event: () => documentOf(anyEvent(), schemaUriOf('event')),
  alert: () => documentOf(AlertSchema, schemaUriOf('alert')),
  ticket: () => documentOf(TicketSchema, schemaUriOf('ticket')),
});

import { z } from 'zod';
import { EVENT_TYPES, type EventType } from '../../domain/index.ts';
import { isAlertType, isTicketType, schemaUriOf } from '../cloudevent.ts';
import { AlertDataSchema } from './alert.ts';
import { SessionDataSchema } from './session.ts';
import { SilenceDataSchema } from './silence.ts';
import { TicketSchema } from './ticket.ts';

/** What the events of a type tell: the schema that their `dataschema` names. */
export function dataSchemaOf(type: EventType): z.ZodType {
  if (isTicketType(type)) return TicketSchema;
  if (type === 'city.lamppost.session.dropped') return SessionDataSchema;
  if (!isAlertType(type)) return SilenceDataSchema;
  return AlertDataSchema.extend({ state: z.literal(type === 'city.lamppost.alert.firing' ? 'firing' : 'resolved') });
}

/** An event of a type in structured JSON: the CloudEvents 1.0 envelope and what it tells. */
function eventSchemaOf(type: EventType): z.ZodType {
  const told = type.slice('city.lamppost.'.length);
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
        .describe('`alerts/{rule}/{group}`, `tickets/{ticket}`, `silences/{silence}` or `sessions/{session}`'),
      time: z.iso.datetime().describe('Engine time'),
      datacontenttype: z.literal('application/json'),
      dataschema: z.literal(schemaUriOf(type)),
      data: dataSchemaOf(type),
    })
    .meta({ id: eventName(type), description: `A CloudEvent: ${told}` });
}

/** `TicketOpenedEvent` for `city.lamppost.ticket.opened`: its name in documents. */
export function eventName(type: EventType): string {
  const words = type.slice('city.lamppost.'.length).split(/[.-]/);
  return `${words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}Event`;
}

/** The schema of the events of each type. */
export const EVENT_SCHEMAS = Object.fromEntries(EVENT_TYPES.map((type) => [type, eventSchemaOf(type)])) as Readonly<
  Record<EventType, z.ZodType>
>;

import { z } from 'zod';
import { EVENT_TYPES, SEVERITIES } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';
import {
  DELIVERY_STATES,
  type Delivery,
  type DeliveryDetail,
  ORIGINS,
  OUTCOMES,
  type Outcome,
  WEBHOOK_FORMATS,
  type Webhook,
  type WebhookDetail,
} from '../../notify/index.ts';

const when = z.iso.datetime();
const names = z.array(z.string()).readonly().optional();
const outcome = z.enum(Object.keys(OUTCOMES) as [Outcome, ...Outcome[]]);

/** What a receiver's filter may hold. */
export const FilterAnswer = z.object({
  types: z.array(z.enum(EVENT_TYPES)).readonly().optional(),
  departments: names,
  districts: names,
  severities: z.array(z.enum(SEVERITIES)).readonly().optional(),
  rules: names,
  parties: names,
});

const Secrets = z.array(z.object({ createdAt: when, expiresAt: when.nullable() })).readonly();

/** A webhook, without its secrets. */
export const WebhookAnswer = exactly<Webhook>()(
  z
    .object({
      id: z.string(),
      url: z.string(),
      format: z.enum(WEBHOOK_FORMATS),
      filter: FilterAnswer.nullable().describe(
        'Each list that is given must have the event’s own; null: only what is subscribed to over it',
      ),
      concurrency: z.int().describe('Events of different subjects that may be under way at once'),
      party: z.string().nullable().describe('For whom it is'),
      description: z.string(),
      authorization: z.boolean().describe('Whether an `Authorization` is sent along'),
      enabled: z.boolean(),
      disabled: z.object({ reason: z.string(), detail: z.string() }).nullable(),
      cursor: z.int().describe('The last event that was matched against its filter'),
      waiting: z.int().describe('Deliveries that are not settled'),
      failingSince: when.nullable(),
      secrets: Secrets.describe('What signs, newest first'),
      createdAt: when,
      updatedAt: when,
    })
    .meta({ id: 'Webhook' }),
);

/** A webhook and what befell it. */
export const WebhookInFull = exactly<WebhookDetail>()(
  WebhookAnswer.extend({
    log: z
      .array(z.object({ at: when, note: z.string() }))
      .readonly()
      .describe('Newest first'),
  }).meta({ id: 'WebhookInFull' }),
);

const secret = z.string().describe('Shown once, here');

/** A webhook that was added, with its secret. */
export const NewWebhook = WebhookAnswer.extend({ secret }).meta({ id: 'NewWebhook' });

/** A new secret, and what signs from now on. */
export const RotatedWebhook = z.object({ secret, secrets: Secrets }).meta({ id: 'RotatedWebhook' });

const delivery = {
  id: z.string(),
  state: z.enum(DELIVERY_STATES),
  origin: z.enum(ORIGINS),
  events: z
    .array(z.object({ id: z.string(), n: z.int().nullable(), type: z.string(), subject: z.string() }))
    .readonly(),
  createdAt: when,
  dueAt: when.nullable().describe('When it is tried next'),
  settledAt: when.nullable(),
  attempts: z.int(),
  outcome: outcome.nullable().describe('Of the last attempt'),
};

/** A delivery, as the log lists it. */
export const DeliveryAnswer = exactly<Delivery>()(z.object(delivery).meta({ id: 'Delivery' }));

const Attempt = z.object({
  at: when,
  ms: z.number(),
  outcome,
  status: z.int().nullable(),
  answer: z.string().describe('What the receiver answered, or what went wrong'),
});

/** A delivery with what was sent and what was answered. */
export const DeliveryInFull = exactly<DeliveryDetail>()(
  z
    .object({
      ...delivery,
      request: z.object({ contentType: z.string(), body: z.string() }),
      tries: z.array(Attempt).readonly(),
    })
    .meta({ id: 'DeliveryInFull' }),
);

import { z } from 'zod';
import {
  DeliveryDetailSchema as DeliveryInFull,
  type EventRange,
  NewWebhookSchema as NewWebhook,
  RotatedWebhookSchema as RotatedWebhook,
  WebhookDetailSchema as WebhookInFull,
  WebhookSchema as WebhookResponse,
  WebhookSettingsSchema,
} from '../../notify/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { checkFilter, checkParty, FilterBody, PartyName } from '../receivers.ts';
import { given, Id, Instant, Name, Paged, pageOf } from '../schema.ts';
import { receiverRoutes } from './receivers.ts';
import type { App } from './routes.ts';

const tags = ['webhooks'];
const reading = { permission: 'webhooks.read' } as const;
const writing = { permission: 'webhooks.write', audited: 'action' } as const;

const Settings = z.strictObject({
  ...WebhookSettingsSchema.shape,
  url: z
    .url({
      protocol: /^https?$/,
      hostname: /^[^\s]+$/,
      error: 'must be an http or https URL, such as https://city.example/hooks/lamppost',
    })
    .max(2_000)
    .refine((url) => !/^\w+:\/\/[^/?#]*@/.test(url), 'must have no user and password: put them into "authorization"'),
  filter: FilterBody.nullable(),
  concurrency: z.number().int().min(1).max(32),
  party: PartyName.nullable(),
  description: z.string().max(500),
  authorization: z
    .string()
    .regex(/^[\x21-\x7e]([\x20-\x7e]{0,998}[\x21-\x7e])?$/, 'must be printable ASCII, such as "Bearer abc"')
    .nullable(),
});
const Creation = Settings.extend({
  format: Settings.shape.format.default('cloudevents'),
  filter: FilterBody.nullable().default({}),
  concurrency: Settings.shape.concurrency.default(4),
  party: Settings.shape.party.default(null),
  description: Settings.shape.description.default(''),
  authorization: Settings.shape.authorization.default(null),
  after: z.number().int().min(0).optional(),
});
const Change = Settings.partial();

/** By numbers of events, or by times as text. */
const Range = z.union([
  z
    .strictObject({ from: z.number().int().min(1), to: z.number().int().min(1) })
    .transform((range): EventRange => ({ by: 'number', ...range })),
  z.strictObject({ from: Instant, to: Instant }).transform((range): EventRange => ({ by: 'time', ...range })),
]);

/** `/api/v1/webhooks`. The administrator's filter decides which events a webhook gets. */
export function webhookRoutes(app: App, { webhooks, city }: Pick<ApiDeps, 'webhooks' | 'city'>): void {
  app.post(
    '/api/v1/webhooks',
    {
      config: writing,
      schema: {
        tags,
        summary:
          'Adds a webhook (Standard Webhooks); its secret is shown once. It gets the events after number `after`; default: new ones',
        body: Creation,
        response: { 201: NewWebhook },
      },
    },
    async (request, reply) => {
      const { after, ...settings } = request.body;
      checkFilter(settings.filter ?? {}, city());
      checkParty(settings.party, city());
      const webhook = await webhooks.create(settings, after ?? null, callerOf(request));
      return reply.code(201).header('location', `/api/v1/webhooks/${webhook.id}`).send(webhook);
    },
  );
  app.get(
    '/api/v1/webhooks',
    {
      config: reading,
      schema: {
        tags,
        summary: 'Lists webhooks without their secrets',
        querystring: Paged.extend({ party: Name.exactOptional() }),
        response: { 200: pageOf(WebhookResponse) },
      },
    },
    async ({ query }) => await webhooks.list(query),
  );
  app.patch(
    '/api/v1/webhooks/:id',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Changes the given settings of a webhook',
        params: Id,
        body: Change,
        response: { 200: WebhookInFull },
      },
    },
    async (request) => {
      const { params, body } = request;
      checkFilter(body.filter ?? {}, city());
      checkParty(body.party, city());
      return await webhooks.change(params.id, given(body), callerOf(request));
    },
  );
  receiverRoutes(app, {
    name: 'webhooks',
    noun: 'webhook',
    words: {
      delivery: 'delivery',
      deliveries: 'deliveries',
      again: 'Delivers the event again with the same webhook-id',
    },
    detail: WebhookInFull,
    service: webhooks,
  });
  actionRoutes(app, webhooks);
}

function actionRoutes(app: App, webhooks: ApiDeps['webhooks']): void {
  app.post(
    '/api/v1/webhooks/:id/rotate',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Replaces the secret; the new one is shown once. The old one signs too for 24 hours',
        params: Id,
        response: { 200: RotatedWebhook },
      },
    },
    async (request) => await webhooks.rotate(request.params.id, callerOf(request)),
  );
  app.post(
    '/api/v1/webhooks/:id/ping',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Sends a test message (city.lamppost.ping) now and returns the result',
        params: Id,
        response: { 200: DeliveryInFull },
      },
    },
    async (request) => await webhooks.ping(request.params.id, callerOf(request)),
  );
  app.post(
    '/api/v1/webhooks/:id/redeliver',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Delivers the matching events of a range again; `from` and `to` are event numbers or times',
        params: Id,
        body: Range,
        response: { 202: z.object({ deliveries: z.number().int() }) },
      },
    },
    async (request, reply) => {
      const deliveries = await webhooks.redeliverRange(request.params.id, request.body, callerOf(request));
      return reply.code(202).send({ deliveries });
    },
  );
}

import { z } from 'zod';
import type { Caller } from '../../actions/index.ts';
import type { ShapeOf } from '../../domain/index.ts';
import {
  DELIVERY_STATES,
  DeliveryDetailSchema as DeliveryInFull,
  DeliverySchema,
  type SubscriptionDetailSchema,
  type WebhookDetailSchema,
} from '../../notify/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { Id, Name, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const DeliveryId = Id.extend({ delivery: Name });

type Detail = typeof WebhookDetailSchema | typeof SubscriptionDetailSchema;

/** What webhooks and subscriptions have in common. */
interface Kind {
  /** Last part of the path, and the tag of the routes. */
  readonly name: 'webhooks' | 'subscriptions';
  readonly noun: 'webhook' | 'subscription';
  /** Words of the summaries: what is sent, all of it, and the one thing that sends it again. */
  readonly words: { readonly delivery: string; readonly deliveries: string; readonly again: string };
  readonly detail: Detail;
  readonly service: Pick<ApiDeps['webhooks'], 'remove' | 'deliveries' | 'delivery' | 'redeliver'> & {
    get(id: string): Promise<ShapeOf<Detail>>;
    enable(id: string, missed: 'deliver' | 'skip', caller: Caller): Promise<ShapeOf<Detail>>;
    disable(id: string, caller: Caller): Promise<ShapeOf<Detail>>;
  };
}

/** Adds the routes to read, enable, disable and delete one receiver, and those of its deliveries. */
export function receiverRoutes(app: App, kind: Kind): void {
  const { name, noun, detail, service } = kind;
  const reading = { permission: `${name}.read` } as const;
  const writing = { permission: `${name}.write`, audited: 'action' } as const;
  const tags = [name];
  const response = { 200: detail };
  app.get(
    `/api/v1/${name}/:id`,
    { config: reading, schema: { tags, summary: `Returns a ${noun} and its log`, params: Id, response } },
    async ({ params: { id } }) => await service.get(id),
  );
  app.delete(
    `/api/v1/${name}/:id`,
    { config: writing, schema: { tags, summary: `Deletes a ${noun} and its log`, params: Id } },
    async (request, reply) => {
      await service.remove(request.params.id, callerOf(request));
      return reply.code(204).send();
    },
  );
  app.post(
    `/api/v1/${name}/:id/enable`,
    {
      config: writing,
      schema: {
        tags,
        summary: `Enables a ${noun}. It gets the events that it missed, or, with \`missed: skip\`, only new ones`,
        params: Id,
        body: z.strictObject({ missed: z.enum(['deliver', 'skip']).default('deliver') }).nullish(),
        response,
      },
    },
    async (request) => await service.enable(request.params.id, request.body?.missed ?? 'deliver', callerOf(request)),
  );
  app.post(
    `/api/v1/${name}/:id/disable`,
    {
      config: writing,
      schema: { tags, summary: `Disables a ${noun}; events wait in the outbox`, params: Id, response },
    },
    async (request) => await service.disable(request.params.id, callerOf(request)),
  );
  deliveryRoutes(app, kind);
}

function deliveryRoutes(app: App, { name, words, service }: Kind): void {
  const tags = [name];
  const reading = { permission: `${name}.read` } as const;
  const writing = { permission: `${name}.write` } as const;
  app.get(
    `/api/v1/${name}/:id/deliveries`,
    {
      config: reading,
      schema: {
        tags,
        summary: `Lists ${words.deliveries}, newest first`,
        params: Id,
        querystring: Paged.extend({ state: z.enum(DELIVERY_STATES).exactOptional(), event: Name.exactOptional() }),
        response: { 200: pageOf(DeliverySchema) },
      },
    },
    async ({ params: { id }, query }) => await service.deliveries(id, query),
  );
  app.get(
    `/api/v1/${name}/:id/deliveries/:delivery`,
    {
      config: reading,
      schema: {
        tags,
        summary: `Returns a ${words.delivery}: what was sent, and every attempt with its response`,
        params: DeliveryId,
        response: { 200: DeliveryInFull },
      },
    },
    async ({ params: { id, delivery } }) => await service.delivery(id, delivery),
  );
  app.post(
    `/api/v1/${name}/:id/deliveries/:delivery/redeliver`,
    { config: writing, schema: { tags, summary: words.again, params: DeliveryId, response: { 202: DeliveryInFull } } },
    async (request, reply) => {
      const { id, delivery } = request.params;
      return reply.code(202).send(await service.redeliver(id, delivery, callerOf(request)));
    },
  );
}

import { z } from 'zod';
import type { ShapeOf } from '../../domain/index.ts';
import {
  DELIVERY_STATES,
  DeliveryDetailSchema as DeliveryInFull,
  DeliverySchema,
  type SubscriptionDetailSchema,
  type WebhookDetailSchema,
} from '../../notify/index.ts';
import type { ApiDeps } from '../deps.ts';
import { Id, Name, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const config = { role: 'admin' } as const;
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
    enable(id: string, missed: 'deliver' | 'skip'): Promise<ShapeOf<Detail>>;
    disable(id: string): Promise<ShapeOf<Detail>>;
  };
}

/** Adds the routes to read, enable, disable and delete one receiver, and those of its deliveries. */
export function receiverRoutes(app: App, kind: Kind): void {
  const { name, noun, detail, service } = kind;
  const tags = [name];
  const response = { 200: detail };
  app.get(
    `/api/v1/${name}/:id`,
    { config, schema: { tags, summary: `Returns a ${noun} and its log`, params: Id, response } },
    async ({ params: { id } }) => await service.get(id),
  );
  app.delete(
    `/api/v1/${name}/:id`,
    { config, schema: { tags, summary: `Deletes a ${noun} and its log`, params: Id } },
    async ({ params: { id } }, reply) => {
      await service.remove(id);
      return reply.code(204).send();
    },
  );
  app.post(
    `/api/v1/${name}/:id/enable`,
    {
      config,
      schema: {
        tags,
        summary: `Enables a ${noun}. It gets the events that it missed, or, with \`missed: skip\`, only new ones`,
        params: Id,
        body: z.strictObject({ missed: z.enum(['deliver', 'skip']).default('deliver') }).nullish(),
        response,
      },
    },
    async ({ params: { id }, body }) => await service.enable(id, body?.missed ?? 'deliver'),
  );
  app.post(
    `/api/v1/${name}/:id/disable`,
    { config, schema: { tags, summary: `Disables a ${noun}; events wait in the outbox`, params: Id, response } },
    async ({ params: { id } }) => await service.disable(id),
  );
  deliveryRoutes(app, kind);
}

function deliveryRoutes(app: App, { name, words, service }: Kind): void {
  const tags = [name];
  app.get(
    `/api/v1/${name}/:id/deliveries`,
    {
      config,
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
      config,
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
    { config, schema: { tags, summary: words.again, params: DeliveryId, response: { 202: DeliveryInFull } } },
    async ({ params: { id, delivery } }, reply) => reply.code(202).send(await service.redeliver(id, delivery)),
  );
}

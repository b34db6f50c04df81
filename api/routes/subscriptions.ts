import { z } from 'zod';
import { type City, LamppostError, parseDuration, suggest } from '../../domain/index.ts';
import { DELIVERY_STATES, type EmailSettings, MAIL_LANGUAGES } from '../../notify/index.ts';
import { SubscriptionAnswer, SubscriptionInFull } from '../answers/subscriptions.ts';
import { DeliveryAnswer, DeliveryInFull } from '../answers/webhooks.ts';
import type { ApiDeps } from '../deps.ts';
import { checkFilter, checkParty, FilterBody, PartyName } from '../receivers.ts';
import { given, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const tags = ['subscriptions'];
const config = { role: 'admin' } as const;
const Id = z.object({ id: z.string() });
const DeliveryId = Id.extend({ delivery: z.string() });

const LEAST_MS = 10_000;
const MOST_MS = 7 * 86_400_000;
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day, such as "07:30"');
const Every = z.string().refine((text) => {
  const ms = parseDuration(text);
  return ms !== null && ms >= LEAST_MS && ms <= MOST_MS;
}, 'must be a duration from 10s to 7d, such as "15m"');

const Mail = z.strictObject({
  channel: z.literal('email'),
  to: z.email({ error: 'must be an e-mail address, such as "duty@water.city.example"' }).max(254),
  party: PartyName,
  filter: FilterBody,
  language: z.enum(MAIL_LANGUAGES),
  digest: z.union([z.strictObject({ every: Every }), z.strictObject({ daily: TimeOfDay })]).nullable(),
  quietHours: z
    .union([
      z
        .strictObject({ from: TimeOfDay, to: TimeOfDay })
        .refine(({ from, to }) => from !== to, 'from and to must differ: quiet all day is no subscription'),
      z.strictObject({ during: z.string() }),
      z.strictObject({ outside: z.string() }),
    ])
    .nullable(),
  critical: z.enum(['at-once', 'waits']),
});
const { filter, language, digest, quietHours, critical } = Mail.shape;
const Creation = z.discriminatedUnion('channel', [
  Mail.extend({
    filter: filter.default({}),
    language: language.default('both'),
    digest: digest.default(null),
    quietHours: quietHours.default(null),
    critical: critical.default('at-once'),
  }),
  z.strictObject({ channel: z.literal('webhook'), webhook: z.string(), party: PartyName, filter: filter.default({}) }),
]);
const Change = Mail.omit({ channel: true }).partial();

/** `/api/v1/subscriptions`: who gets what, how and when. What a party sees is decided by the filter, and so by the administrator. */
export function subscriptionRoutes(app: App, { subscriptions, city }: Pick<ApiDeps, 'subscriptions' | 'city'>): void {
  app.post(
    '/api/v1/subscriptions',
    {
      config,
      schema: {
        tags,
        summary: 'Subscribes a party: by e-mail, or over a webhook that is there',
        body: Creation,
        response: { 201: SubscriptionAnswer },
      },
    },
    async ({ body }, reply) => {
      check(body, city());
      const made = await subscriptions.create(body);
      return reply.code(201).header('location', `/api/v1/subscriptions/${made.id}`).send(made);
    },
  );
  app.get(
    '/api/v1/subscriptions',
    {
      config,
      schema: {
        tags,
        summary: 'Subscriptions, of all parties or of one',
        querystring: Paged.extend({ party: z.string().exactOptional() }),
        response: { 200: pageOf(SubscriptionAnswer) },
      },
    },
    async ({ query }) => await subscriptions.list(query),
  );
  app.get(
    '/api/v1/subscriptions/:id',
    {
      config,
      schema: {
        tags,
        summary: 'One subscription, and what befell it',
        params: Id,
        response: { 200: SubscriptionInFull },
      },
    },
    async ({ params: { id } }) => await subscriptions.get(id),
  );
  app.patch(
    '/api/v1/subscriptions/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Changes what is given',
        params: Id,
        body: Change,
        response: { 200: SubscriptionInFull },
      },
    },
    async ({ params: { id }, body }) => {
      check(body, city());
      return await subscriptions.change(id, given(body));
    },
  );
  app.delete(
    '/api/v1/subscriptions/:id',
    { config, schema: { tags, summary: 'Ends a subscription, with its log', params: Id } },
    async ({ params: { id } }, reply) => {
      await subscriptions.remove(id);
      return reply.code(204).send();
    },
  );
  actionRoutes(app, subscriptions);
  deliveryRoutes(app, subscriptions);
}

type Asked = Partial<Pick<EmailSettings, 'party' | 'filter' | 'quietHours'>>;

/** What zod does not know: the city. */
function check(
  { party, filter: wanted, quietHours: quiet }: { [K in keyof Asked]: Asked[K] | undefined },
  city: City,
): void {
  checkParty(party, city);
  checkFilter(wanted ?? {}, city);
  if (quiet === null || quiet === undefined || 'from' in quiet) return;
  const [key, id] = Object.entries(quiet)[0] as [string, string];
  if (city.calendars.has(id)) return;
  throw new LamppostError(
    'invalid',
    `quietHours.${key}: the city has no calendar "${id}"${suggest(id, city.calendars.keys())}`,
  );
}

function actionRoutes(app: App, subscriptions: ApiDeps['subscriptions']): void {
  app.post(
    '/api/v1/subscriptions/:id/test',
    {
      config,
      schema: {
        tags,
        summary: 'Sends a test mail now, and answers what came of it',
        params: Id,
        response: { 200: DeliveryInFull },
      },
    },
    async ({ params: { id } }) => await subscriptions.test(id),
  );
  app.post(
    '/api/v1/subscriptions/:id/enable',
    {
      config,
      schema: {
        tags,
        summary: 'Enables a subscription: it gets what it missed, or, with `missed: skip`, goes on from now',
        params: Id,
        body: z.strictObject({ missed: z.enum(['deliver', 'skip']).default('deliver') }).nullish(),
        response: { 200: SubscriptionInFull },
      },
    },
    async ({ params: { id }, body }) => await subscriptions.enable(id, body?.missed ?? 'deliver'),
  );
  app.post(
    '/api/v1/subscriptions/:id/disable',
    {
      config,
      schema: {
        tags,
        summary: 'Disables a subscription; what happens meanwhile waits in the outbox',
        params: Id,
        response: { 200: SubscriptionInFull },
      },
    },
    async ({ params: { id } }) => await subscriptions.disable(id),
  );
}

function deliveryRoutes(app: App, subscriptions: ApiDeps['subscriptions']): void {
  app.get(
    '/api/v1/subscriptions/:id/deliveries',
    {
      config,
      schema: {
        tags,
        summary: 'Mails, newest first',
        params: Id,
        querystring: Paged.extend({
          state: z.enum(DELIVERY_STATES).exactOptional(),
          event: z.string().exactOptional(),
        }),
        response: { 200: pageOf(DeliveryAnswer) },
      },
    },
    async ({ params: { id }, query }) => await subscriptions.deliveries(id, query),
  );
  app.get(
    '/api/v1/subscriptions/:id/deliveries/:delivery',
    {
      config,
      schema: {
        tags,
        summary: 'One mail: what was sent, and every attempt with its answer',
        params: DeliveryId,
        response: { 200: DeliveryInFull },
      },
    },
    async ({ params: { id, delivery } }) => await subscriptions.delivery(id, delivery),
  );
  app.post(
    '/api/v1/subscriptions/:id/deliveries/:delivery/redeliver',
    {
      config,
      schema: {
        tags,
        summary: 'Sends a mail once more, with the same Message-ID',
        params: DeliveryId,
        response: { 202: DeliveryInFull },
      },
    },
    async ({ params: { id, delivery } }, reply) => reply.code(202).send(await subscriptions.redeliver(id, delivery)),
  );
}

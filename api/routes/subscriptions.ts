import { z } from 'zod';
import { type City, DAY_MS, parseDuration, requireName } from '../../domain/index.ts';
import {
  DeliveryDetailSchema as DeliveryInFull,
  type EmailSettings,
  EmailSettingsSchema,
  type NewSubscription,
  SubscriptionDetailSchema as SubscriptionInFull,
  SubscriptionSchema as SubscriptionResponse,
} from '../../notify/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { checkFilter, checkParty, FilterBody, PartyName } from '../receivers.ts';
import { given, Id, Name, Paged, pageOf } from '../schema.ts';
import { receiverRoutes } from './receivers.ts';
import type { App } from './routes.ts';

const tags = ['subscriptions'];
const reading = { permission: 'subscriptions.read' } as const;
const writing = { permission: 'subscriptions.write', audited: 'action' } as const;

const MIN_DIGEST_MS = 10_000;
const MAX_DIGEST_MS = 7 * DAY_MS;
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day, such as "07:30"');
const Every = z
  .string()
  .max(20)
  .refine((text) => {
    const ms = parseDuration(text);
    return ms !== null && ms >= MIN_DIGEST_MS && ms <= MAX_DIGEST_MS;
  }, 'must be a duration from 10s to 7d, such as "15m"');

const Mail = z.strictObject({
  ...EmailSettingsSchema.shape,
  channel: z.literal('email'),
  to: z.email({ error: 'must be an e-mail address, such as "duty@water.city.example"' }).max(254),
  party: PartyName,
  filter: FilterBody,
  digest: z.union([z.strictObject({ every: Every }), z.strictObject({ daily: TimeOfDay })]).nullable(),
  quietHours: z
    .union([
      z
        .strictObject({ from: TimeOfDay, to: TimeOfDay })
        .refine(
          ({ from, to }) => from !== to,
          'from and to must differ: quiet hours of a whole day would hold all mail',
        ),
      z.strictObject({ during: Name }),
      z.strictObject({ outside: Name }),
    ])
    .nullable(),
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
  z.strictObject({ channel: z.literal('webhook'), webhook: Name, party: PartyName, filter: filter.default({}) }),
]);
const Change = Mail.omit({ channel: true }).partial();

/**
 * `/api/v1/subscriptions`: who gets which events, how and when. The administrator's filter decides what a party sees.
 */
export function subscriptionRoutes(app: App, { subscriptions, city }: Pick<ApiDeps, 'subscriptions' | 'city'>): void {
  app.post(
    '/api/v1/subscriptions',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Subscribes a party by e-mail or over an existing webhook',
        body: Creation,
        response: { 201: SubscriptionResponse },
      },
    },
    async (request, reply) => {
      check(request.body, city());
      const made = await subscriptions.create(wantedOf(request.body), callerOf(request));
      return reply.code(201).header('location', `/api/v1/subscriptions/${made.id}`).send(made);
    },
  );
  app.get(
    '/api/v1/subscriptions',
    {
      config: reading,
      schema: {
        tags,
        summary: 'Lists subscriptions of all parties or of one',
        querystring: Paged.extend({ party: Name.exactOptional() }),
        response: { 200: pageOf(SubscriptionResponse) },
      },
    },
    async ({ query }) => await subscriptions.list(query),
  );
  app.patch(
    '/api/v1/subscriptions/:id',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Changes the given settings of a subscription',
        params: Id,
        body: Change,
        response: { 200: SubscriptionInFull },
      },
    },
    async (request) => {
      const { params, body } = request;
      check(body, city());
      return await subscriptions.change(params.id, given(body), callerOf(request));
    },
  );
  app.post(
    '/api/v1/subscriptions/:id/test',
    {
      config: writing,
      schema: {
        tags,
        summary: 'Sends a test mail now and returns the result',
        params: Id,
        response: { 200: DeliveryInFull },
      },
    },
    async (request) => await subscriptions.test(request.params.id, callerOf(request)),
  );
  receiverRoutes(app, {
    name: 'subscriptions',
    noun: 'subscription',
    words: { delivery: 'mail', deliveries: 'mails', again: 'Sends a mail again with the same Message-ID' },
    detail: SubscriptionInFull,
    service: subscriptions,
  });
}

function wantedOf(body: z.infer<typeof Creation>): NewSubscription {
  if (body.channel === 'webhook') return body;
  const { channel, ...settings } = body;
  return { channel, settings };
}

type Wanted = Partial<Pick<EmailSettings, 'party' | 'filter' | 'quietHours'>>;

/** Checks the names against the city. Throws `invalid`. */
function check(
  { party, filter: wanted, quietHours: quiet }: { [K in keyof Wanted]: Wanted[K] | undefined },
  city: City,
): void {
  checkParty(party, city);
  checkFilter(wanted ?? {}, city);
  if (quiet === null || quiet === undefined || 'from' in quiet) return;
  const [key, id] = Object.entries(quiet)[0] as [string, string];
  requireName('calendar', id, city.calendars, `quietHours.${key}: `);
}

import { z } from 'zod';
import { exactly } from '../../events/index.ts';
import { MAIL_LANGUAGES, type Subscription, type SubscriptionDetail } from '../../notify/index.ts';
import { FilterAnswer } from './webhooks.ts';

const when = z.iso.datetime();
const log = z
  .array(z.object({ at: when, note: z.string() }))
  .readonly()
  .describe('Newest first');

const OverWebhook = z.object({
  id: z.string(),
  channel: z.literal('webhook'),
  webhook: z.string(),
  party: z.string(),
  filter: FilterAnswer,
  createdAt: when,
  updatedAt: when,
});

const ByMail = z.object({
  id: z.string(),
  channel: z.literal('email'),
  to: z.string(),
  party: z.string(),
  filter: FilterAnswer,
  language: z.enum(MAIL_LANGUAGES),
  digest: z.union([z.object({ every: z.string() }), z.object({ daily: z.string() })]).nullable(),
  quietHours: z
    .union([
      z.object({ from: z.string(), to: z.string() }),
      z.object({ during: z.string() }),
      z.object({ outside: z.string() }),
    ])
    .nullable(),
  critical: z.enum(['at-once', 'waits']),
  enabled: z.boolean(),
  disabled: z.object({ reason: z.string(), detail: z.string() }).nullable(),
  cursor: z.int().describe('The last event that was matched against its filter'),
  waiting: z.int().describe('Mails that are not settled'),
  held: z.int().describe('Events that are held for a digest'),
  failingSince: when.nullable(),
  createdAt: when,
  updatedAt: when,
});

/** What a party wants, by mail or over a webhook, and how it stands. */
export const SubscriptionAnswer = exactly<Subscription>()(z.union([ByMail, OverWebhook]).meta({ id: 'Subscription' }));

/** With what befell it. */
export const SubscriptionInFull = exactly<SubscriptionDetail>()(
  z.union([ByMail.extend({ log }), OverWebhook.extend({ log })]).meta({ id: 'SubscriptionInFull' }),
);

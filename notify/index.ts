export { refusePrivate } from './address.ts';
export { createDefinitionReader, RECEIVER_SCHEMA } from './definitions.ts';
export {
  DELIVERY_STATES,
  type Delivery,
  type DeliveryDetail,
  DeliveryDetailSchema,
  DeliverySchema,
} from './deliveries.ts';
export { createMailer, type Envelope, type Mailer, noMailer, type SmtpSettings } from './email/smtp.ts';
export { createPoster, type Post, type Poster } from './http.ts';
export { createIncidentReader } from './incidents.ts';
export { createNotifier } from './notifier.ts';
export {
  type EmailSettings,
  EmailSettingsSchema,
  type ReceiverFilter,
  type WebhookSettings,
  WebhookSettingsSchema,
} from './receiver.ts';
export { createResultReader, createResultWriter } from './results.ts';
export { type AttemptResult, decideNext } from './retry-policy.ts';
export { restoreReceivers } from './salvage.ts';
export { openDeliveries } from './schema.ts';
export { createSealer, keyFileFault, readKeyFile, type Sealer } from './seal.ts';
export type { SharedLog } from './shared.ts';
export {
  type Subscription,
  type SubscriptionDetail,
  SubscriptionDetailSchema,
  SubscriptionSchema,
  type Subscriptions,
} from './subscriptions.ts';
export { newWebhookSecret, signatureHeaders } from './webhook.ts';
export {
  type EventRange,
  NewWebhookSchema,
  RotatedWebhookSchema,
  type Webhook,
  type WebhookDetail,
  WebhookDetailSchema,
  WebhookSchema,
  type Webhooks,
} from './webhooks.ts';
export { createReceiverWriter, type EarlierReceiver, type NewSubscription, type ReceiverWriter } from './writer.ts';

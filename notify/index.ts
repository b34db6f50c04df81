export {
  DELIVERY_STATES,
  type Delivery,
  type DeliveryDetail,
  DeliveryDetailSchema,
  DeliverySchema,
} from './deliveries.ts';
export { createMailer, type SmtpSettings } from './email/smtp.ts';
export { createPoster } from './http.ts';
export { createNotifier } from './notifier.ts';
export {
  type EmailSettings,
  EmailSettingsSchema,
  type ReceiverFilter,
  type WebhookSettings,
  WebhookSettingsSchema,
} from './receiver.ts';
export { restoreReceivers } from './salvage.ts';
export { openDeliveries } from './schema.ts';
export {
  type Subscription,
  SubscriptionDetailSchema,
  SubscriptionSchema,
  type Subscriptions,
} from './subscriptions.ts';
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

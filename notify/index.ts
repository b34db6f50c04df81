export { createMailer, type SmtpSettings } from './email/smtp.ts';
export { createPoster, type Poster } from './http.ts';
export { OUTCOMES, type Outcome } from './ladder.ts';
export { DELIVERY_STATES, type Delivery, type DeliveryDetail, type DeliveryQuery, type DeliveryState } from './log.ts';
export { createNotifier, type Notifier, type NotifierCounts } from './notifier.ts';
export { ORIGINS } from './queue.ts';
export {
  type EmailSettings,
  MAIL_LANGUAGES,
  type ReceiverFilter,
  WEBHOOK_FORMATS,
  type WebhookSettings,
} from './receiver.ts';
export { openDeliveries } from './schema.ts';
export type { Subscription, SubscriptionDetail, SubscriptionRequest, Subscriptions } from './subscriptions.ts';
export type { EventRange, Webhook, WebhookDetail, Webhooks } from './webhooks.ts';

import type { WebhookFormat } from '../receiver.ts';
import { cloudEvents } from './cloudevents.ts';
import type { Format } from './format.ts';

/** The formats of webhooks, by name. */
export type Formats = Readonly<Record<WebhookFormat, Format>>;

/** Every format. */
export function createFormats(): Formats {
  return { cloudevents: cloudEvents };
}

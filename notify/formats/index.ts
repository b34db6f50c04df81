import type { WebhookFormat } from '../receiver.ts';
import { createAlertmanager } from './alertmanager.ts';
import { createCap } from './cap.ts';
import { cloudEvents } from './cloudevents.ts';
import type { Format, FormatDeps } from './format.ts';

/** The formats of webhooks, by name. */
export type Formats = Readonly<Record<WebhookFormat, Format>>;

/** Every format. */
export function createFormats(deps: FormatDeps): Formats {
  return { cloudevents: cloudEvents, alertmanager: createAlertmanager(deps), cap: createCap(deps) };
}

import { createHash } from 'node:crypto';
import { type AlertData, isAlertEvent } from '../../events/index.ts';
import { alertPage } from '../pages.ts';
import type { Message } from '../receiver.ts';
import type { Format, FormatDeps } from './index.ts';

/** Go's zero time stands for an alert that has not ended. */
const NOT_ENDED = '0001-01-01T00:00:00Z';

/**
 * Why it is sent. An alert of another severity is the same alert, since its labels stay: Alertmanager would send it
 * when its interval to repeat is over.
 */
const REASONS = {
  first: 'first notification',
  again: 'repeat interval elapsed',
  resolved: 'all alerts resolved',
} as const;

/** An alert, as Alertmanager's templates have it. */
interface TemplateAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: 'firing' | 'resolved';
  readonly startsAt: string;
  readonly endsAt: string;
  /** Where more is to be read: the page of its ticket, or without one the alert in the API. */
  readonly page: string;
}

/**
 * Creates the format of Alertmanager's webhook receiver, version 4 (`notify/webhook`, `template.Data` as of 0.34): one
 * alert a message, no tickets. `notification_reason` has the words of its `NotifyReason`.
 */
export function createAlertmanager({ publicUrl }: Pick<FormatDeps, 'publicUrl'>): Format {
  /** A group has one alert, so its common labels and annotations are those of the alert. */
  function messageOf(webhook: string, { page, ...alert }: TemplateAlert, reason: keyof typeof REASONS): Message {
    const { alertname = '', group = '' } = alert.labels;
    const groupLabels = { alertname, group };
    const body = {
      version: '4',
      groupKey: `{}:{alertname=${JSON.stringify(alertname)}, group=${JSON.stringify(group)}}`,
      truncatedAlerts: 0,
      status: alert.status,
      receiver: webhook,
      notification_reason: REASONS[reason],
      groupLabels,
      commonLabels: alert.labels,
      commonAnnotations: alert.annotations,
      // A route of Alertmanager's own configuration; here there is none.
      routeLabels: {},
      externalURL: publicUrl,
      alerts: [{ ...alert, generatorURL: page, fingerprint: fingerprintOf(alertname, group) }],
    };
    return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(body) };
  }

  return {
    refersBack: true,
    accepts: ({ event }) => isAlertEvent(event),
    render({ event, webhook, earlier }) {
      if (!isAlertEvent(event)) throw new TypeError(`${event.type} is no alert`);
      const goesOn = earlier.length === 0 ? 'first' : 'again';
      const reason = event.data.state === 'resolved' ? 'resolved' : goesOn;
      return messageOf(webhook, templateAlertOf(event.data, publicUrl), reason);
    },
    ping({ webhook, time }) {
      const alert = {
        labels: { alertname: 'LamppostPing', group: webhook },
        annotations: { summary: 'A test message of Lamppost', summary_zh: 'Lamppost 测试消息', severity: 'info' },
        status: 'firing',
        startsAt: time,
        endsAt: NOT_ENDED,
        page: `${publicUrl}/`,
      } as const;
      return messageOf(webhook, alert, 'first');
    },
  };
}

function templateAlertOf(data: AlertData, publicUrl: string): TemplateAlert {
  const { rule, group, state, severity, district, department, since, updatedAt, ...alert } = data;
  // Labels are the identity: what can change while it fires is an annotation, or the old group would never end.
  const labels = { alertname: rule, group, district };
  return {
    // For Prometheus an empty label is an absent one.
    labels: Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== '')),
    annotations: {
      summary: alert.title,
      summary_zh: alert.titleZh,
      severity,
      ...(department === null ? {} : { department }),
      ...(alert.value === null ? {} : { value: String(alert.value) }),
      ...(alert.ticket === null ? {} : { ticket: alert.ticket }),
    },
    status: state === 'resolved' ? 'resolved' : 'firing',
    startsAt: since,
    endsAt: state === 'resolved' ? updatedAt : NOT_ENDED,
    page: alertPage(data, publicUrl),
  };
}

/** Stays the same when the severity or the department changes: receivers identify an alert by its fingerprint. */
function fingerprintOf(rule: string, group: string): string {
  return createHash('sha256').update(`${rule}\0${group}`).digest('hex').slice(0, 16);
}

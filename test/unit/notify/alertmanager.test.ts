import { expect, test } from 'vitest';
import { openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';

interface Body {
  readonly notification_reason: string;
  readonly status: string;
  readonly groupKey: string;
  readonly alerts: readonly {
    readonly fingerprint: string;
    readonly labels: object;
    readonly annotations: { readonly severity: string };
    readonly startsAt: string;
    readonly endsAt: string;
  }[];
}

function openAlertmanager() {
  const kit = openNotifier();
  const webhook = kit.notifier.webhooks.create({ ...WEBHOOK, format: 'alertmanager' }, null);
  return { ...kit, webhook, bodies: () => kit.poster.posts.map(({ body }) => JSON.parse(body) as Body) };
}

test('Alertmanager - a firing alert has the body of its webhook receiver, version 4; tickets are not sent', async () => {
  const kit = openAlertmanager();
  kit.happen('1.0', 'firing');
  await settled();
  const labels = {
    alertname: 'pm25-unhealthy',
    group: 'air-7',
    district: 'harbour',
  };
  const annotations = {
    summary: 'Fine dust above 75 at Pier 7, Harbour',
    summary_zh: '港区Pier 7细颗粒物超过75',
    severity: 'high',
    department: 'environment',
    value: '91.234',
    ticket: 't-1-0',
  };
  expect(kit.bodies()).toEqual([
    {
      version: '4',
      groupKey: '{}:{alertname="pm25-unhealthy", group="air-7"}',
      truncatedAlerts: 0,
      status: 'firing',
      receiver: kit.webhook.id,
      notification_reason: 'first notification',
      groupLabels: { alertname: 'pm25-unhealthy', group: 'air-7' },
      commonLabels: labels,
      commonAnnotations: annotations,
      routeLabels: {},
      externalURL: 'https://lamppost.example',
      alerts: [
        {
          status: 'firing',
          labels,
          annotations,
          startsAt: '2026-01-01T00:00:00.000Z',
          endsAt: '0001-01-01T00:00:00Z',
          generatorURL: 'https://lamppost.example/tickets/t-1-0',
          fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
        },
      ],
    },
  ]);
  expect(kit.poster.posts[0]!.headers).toMatchObject({
    'webhook-id': '1.0-alert',
    'content-type': 'application/json; charset=utf-8',
  });
});

test('Alertmanager - a higher severity and the end belong to the same alert: fingerprint, group, labels and start stay', async () => {
  const kit = openAlertmanager();
  kit.happen('1.0', 'firing');
  kit.happen('2.0', 'firing', { from: 'firing', severity: 'critical' });
  kit.happen('3.0', 'resolved', { from: 'firing', severity: 'critical' });
  await settled();
  const bodies = kit.bodies();
  expect(bodies.map(({ status }) => status)).toEqual(['firing', 'firing', 'resolved']);
  expect(bodies.map((body) => body.notification_reason)).toEqual([
    'first notification',
    'repeat interval elapsed',
    'all alerts resolved',
  ]);
  expect(
    new Set(bodies.map(({ groupKey, alerts }) => groupKey + alerts[0]!.fingerprint + alerts[0]!.startsAt)).size,
  ).toBe(1);
  expect(new Set(bodies.map(({ alerts }) => JSON.stringify(alerts[0]!.labels))).size).toBe(1);
  expect(bodies.map(({ alerts }) => alerts[0]!.annotations.severity)).toEqual(['high', 'critical', 'critical']);
  expect(bodies[2]!.alerts[0]!.endsAt).toBe('2026-01-01T00:03:00.000Z');
});

test('Alertmanager - empty labels are left out', async () => {
  const kit = openAlertmanager();
  kit.happen('1.0', 'firing', { group: '~fault' });
  await settled();
  expect(kit.bodies()[0]).toMatchObject({
    commonAnnotations: expect.not.objectContaining({ department: expect.anything() }),
  });
});

test('Alertmanager - a test message is an alert LamppostPing', async () => {
  const kit = openAlertmanager();
  await kit.notifier.webhooks.ping(kit.webhook.id);
  expect(kit.bodies()[0]).toMatchObject({
    status: 'firing',
    commonLabels: { alertname: 'LamppostPing' },
    commonAnnotations: { severity: 'info' },
  });
});

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../app/metrics.ts';
import { everyMetric, expectKnown, namesIn, SOURCES } from '../../kit/app/metrics.ts';

/** Endings by the conventions of Prometheus: base units in the plural. */
const UNITS = /_(milliseconds|ms|minutes|hours|days|kilobytes|kib|mib|percent)(_|$)/;

test('metrics - what only grows ends in _total, and nothing else does', async () => {
  const { text } = await everyMetric();
  const types = Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, name, type]) => ({ name, type }));
  expect(types.length).toBeGreaterThan(40);
  for (const { name, type } of types) expect(name!.endsWith('_total'), name).toBe(type === 'counter');
  expect(types.map(({ name }) => name).filter((name) => UNITS.test(name!))).toEqual([]);
});

test('metrics - no label of our own is in camelCase, and each metric has a help', async () => {
  const { text, samples } = await everyMetric();
  const ours = samples.filter((line) => line.startsWith('lamppost_') && !line.includes('route='));
  const values = ours.flatMap((line) => Array.from(line.matchAll(/(\w+)="([^"]*)"/g)));
  expect(values.length).toBeGreaterThan(20);
  for (const [all, label, value] of values)
    expect(`${label} ${value}`, all).toMatch(/^[a-z]+ [a-z0-9.+-]+$|^le \+Inf$/);
  expect(text).not.toMatch(/^# HELP \w+ *$/m);
});

test('metrics - say what their sources say, in seconds and bytes', async () => {
  const { samples } = await everyMetric();
  expect(samples).toEqual(
    expect.arrayContaining([
      'lamppost_messages_received_total 6',
      'lamppost_messages_decoded_total 3',
      'lamppost_messages_quarantined 2',
      'lamppost_readings_duplicate_total 3',
      'lamppost_broker_connections 9',
      'lamppost_broker_connections_before_login 2',
      'lamppost_broker_connections_ended_total{reason="gave-way"} 4',
      'lamppost_broker_connections_ended_total{reason="not-mqtt"} 11',
      'lamppost_broker_publishes_total{outcome="dropped"} 8',
      'lamppost_broker_sessions_connected 3',
      'lamppost_broker_queue_dropped_messages_total 14',
      'lamppost_throttled_seconds_total{client="bin-1"} 1.5',
      'lamppost_consumer_lag_blocks{consumer="history"} 3',
      'lamppost_engine_lag_seconds 0.25',
      'lamppost_clock_offset_seconds 1.5',
      'lamppost_newest_backup_timestamp_seconds 1.5',
      'lamppost_bridge_messages_acknowledged_total{bridge="harbour"} 3',
      'lamppost_thread_external_bytes{thread="main"} 3',
      'lamppost_http_request_duration_seconds_count{route="/api/v1/devices/:id",method="GET",status="2xx"} 1',
      'lamppost_http_request_duration_seconds_sum{route="/api/v1/devices/:id",method="GET",status="5xx"} 2',
      'lamppost_query_duration_seconds_sum 0.3',
      'lamppost_alert_latency_seconds_count 1',
      'lamppost_acknowledgement_duration_seconds_bucket{le="0.002"} 5',
      'lamppost_acknowledgement_duration_seconds_bucket{le="+Inf"} 9',
      'lamppost_acknowledgement_duration_seconds_sum 0.075',
      'lamppost_acknowledgement_duration_seconds_count 9',
      'lamppost_action_wait_seconds_sum 0.04',
      'lamppost_cluster_duty{duty="clock"} 1',
      'lamppost_cluster_duty{duty="notify"} 0',
      'lamppost_cluster_log_away_seconds 1.5',
    ]),
  );
});

test('metrics - until the newest backup is known there is no sample of it, not a 0 as if there were none', async () => {
  let newest: number | null = null;
  const metrics = createMetrics({ ...SOURCES, newestBackupMs: () => newest });
  const sample = async () => /^lamppost_newest_backup\S* .*$/m.exec(await metrics.text())?.[0];
  expect(await sample()).toBeUndefined();
  newest = 1_500;
  expect(await sample()).toBe('lamppost_newest_backup_timestamp_seconds 1.5');
  newest = 0;
  expect(await sample()).toBe('lamppost_newest_backup_timestamp_seconds 0');
});

test('metrics - a scrape does not count again what an earlier one counted, and forgets who is gone', async () => {
  let throttled = [{ id: 'bin-1', ms: 1_000 }];
  const metrics = createMetrics({ ...SOURCES, throttled: async () => throttled });
  expect(await metrics.text()).toContain('client="bin-1"');
  throttled = [{ id: 'bin-2', ms: 2_000 }];
  const [text] = await Promise.all([metrics.text(), metrics.text()]);
  expect(text).toMatch(/^lamppost_messages_received_total 6$/m);
  expect(text.match(/^lamppost_throttled_seconds_total.*$/gm)).toEqual([
    'lamppost_throttled_seconds_total{client="bin-2"} 2',
  ]);
});

test('metrics - without a history of its own there is no process of it', async () => {
  const text = await createMetrics({ ...SOURCES, historyProcess: async () => null }).text();
  expect(text).not.toContain('history_process');
});

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

test('alerts - every rule of docs/monitoring/alerts.yaml is whole, and asks for metrics that there are', async () => {
  const text = readFileSync(new URL('../../../docs/monitoring/alerts.yaml', import.meta.url), 'utf8');
  const { groups } = parse(text) as { groups: { name: string; rules: AlertRule[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(10);
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, expr, labels, annotations, ...rest } of rules) {
    expect(alert).toMatch(/^Lamppost[A-Z]\w+$/);
    expect(['critical', 'warning'], alert).toContain(labels.severity);
    expect(Object.keys(annotations), alert).toEqual(['summary', 'description']);
    expect(rest.for ?? '1m', alert).toMatch(/^\d+m$/);
    // Of what Prometheus itself says there is `up` only.
    expect(namesIn(expr).length > 0 || expr.startsWith('up{'), alert).toBe(true);
  }
  const expressions = rules.map(({ expr }) => expr);
  expectKnown(expressions, await everyMetric());
});

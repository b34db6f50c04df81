import { isoOf, type MetricTable, type Publication } from '../domain/index.ts';
import type { Outcome, Refusal } from './outcome.ts';

/** Messages for which one call reports rejections: a flood of bad messages must not become a flood of reports. */
const MOST_REJECTIONS = 200;

/** `live/{district}/{id}`: valid readings of blocks read for the first time, one publication a device and timestamp. */
export function liveOf(outcomes: readonly Outcome[], metrics: MetricTable): Publication[] {
  const live = new Map<string, { topic: string; ts: number; metrics: Record<string, number> }>();
  for (const { fresh, readings } of outcomes) {
    for (let i = 0; fresh && i < readings.length; i++) {
      const device = readings.device[i]!;
      const ts = readings.ts[i]!;
      const key = `${device.id} ${ts}`;
      const message = live.get(key) ?? { topic: `live/${device.district}/${device.id}`, ts, metrics: {} };
      message.metrics[metrics.idOf(readings.metric[i]!)] = readings.value[i]!;
      live.set(key, message);
    }
  }
  return [...live.values()].map(({ topic, ts, metrics: values }) => ({
    topic,
    payload: JSON.stringify({ ts: isoOf(ts), metrics: values }),
    qos: 0,
    retain: false,
  }));
}

/**
 * `devices/{id}/rejections`: what was refused of a message and why, for the device that sent it. Best effort, QoS 0.
 */
export function rejectionsOf(outcomes: readonly Outcome[]): Publication[] {
  const byMessage = new Map<number, Refusal[]>();
  for (const { fresh, refusals } of outcomes) {
    if (!fresh) continue;
    for (const refusal of refusals) {
      const others = byMessage.get(refusal.position);
      if (others !== undefined) others.push(refusal);
      else if (byMessage.size < MOST_REJECTIONS) byMessage.set(refusal.position, [refusal]);
    }
  }
  return [...byMessage.values()].map(publicationOf);
}

function publicationOf(refusals: readonly Refusal[]): Publication {
  const { device, topic, receivedAt } = refusals[0]!;
  const refused = refusals.map(({ scope, reason, path, detail }) => ({ scope, reason, path, detail }));
  const payload = JSON.stringify({ topic, receivedAt: isoOf(receivedAt), refused });
  return { topic: `devices/${device}/rejections`, payload, qos: 0, retain: false };
}

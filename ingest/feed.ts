import { isoOf, type MetricTable, type Publication } from '../domain/index.ts';
import type { Outcome, Refusal } from './outcome.ts';

/** Messages for which one call reports rejections: a flood of bad messages must not become a flood of reports. */
const MOST_REJECTIONS = 200;
/** Of one report; with the topic and its frame it is less than 64 KiB. */
const REJECTIONS_BYTES = 56 * 1024;
const LONGEST_TOPIC = 512;

/**
 * `live/{district}/{id}`: valid readings of blocks read for the first time, one publication a device and timestamp.
 * `isText`: of the city in force.
 */
export function liveOf(
  outcomes: readonly Outcome[],
  metrics: MetricTable,
  isText: (metric: string) => boolean = () => false,
): Publication[] {
  const live = new Map<string, { topic: string; ts: number; metrics: Record<string, number | string> }>();
  for (const { fresh, readings, texts } of outcomes) {
    for (let i = 0; fresh && i < readings.length; i++) {
      const device = readings.device[i]!;
      const ts = readings.ts[i]!;
      const key = `${device.id} ${ts}`;
      const message = live.get(key) ?? { topic: `live/${device.district}/${device.id}`, ts, metrics: {} };
      const metric = metrics.idOf(readings.metric[i]!);
      const text = texts !== undefined && isText(metric) ? texts.get(readings.value[i]!) : undefined;
      message.metrics[metric] = text ?? readings.value[i]!;
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
 * `devices/{id}/rejections`: what was refused of a message and why, for the device that sent it, in less than 64 KiB.
 * Best effort, QoS 0: where many messages were refused, 200 of them are reported, of all devices in turn.
 */
export function rejectionsOf(outcomes: readonly Outcome[]): Publication[] {
  const byDevice = new Map<string, Map<number, Refusal[]>>();
  for (const { fresh, refusals } of outcomes) {
    if (!fresh) continue;
    for (const refusal of refusals) {
      const messages = byDevice.get(refusal.device) ?? new Map<number, Refusal[]>();
      byDevice.set(refusal.device, messages);
      const others = messages.get(refusal.position);
      if (others !== undefined) others.push(refusal);
      else if (messages.size < MOST_REJECTIONS) messages.set(refusal.position, [refusal]);
    }
  }
  return inTurn([...byDevice.values()].map((messages) => [...messages.values()])).map(publicationOf);
}

/** The first of each list, then the second of each, and so on. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const taken: T[] = [];
  for (let i = 0, left = lists; left.length > 0 && taken.length < MOST_REJECTIONS; i++) {
    for (const list of left) taken.push(list[i]!);
    left = left.filter(({ length }) => length > i + 1);
  }
  return taken.slice(0, MOST_REJECTIONS);
}

function publicationOf(refusals: readonly Refusal[]): Publication {
  const { device, topic, receivedAt } = refusals[0]!;
  const refused: object[] = [];
  let bytes = 0;
  let omitted = 0;
  for (const { scope, reason, path, detail, count, paths } of refusals) {
    const one = { scope, reason, path, detail, ...(count === 1 ? {} : { count, paths }) };
    bytes += Buffer.byteLength(JSON.stringify(one));
    if (bytes <= REJECTIONS_BYTES) refused.push(one);
    else omitted += count;
  }
  const more = omitted === 0 ? {} : { omitted };
  const payload = JSON.stringify({
    topic: topic.slice(0, LONGEST_TOPIC),
    receivedAt: isoOf(receivedAt),
    refused,
    ...more,
  });
  return { topic: `devices/${device}/rejections`, payload, qos: 0, retain: false };
}

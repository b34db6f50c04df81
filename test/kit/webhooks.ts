import mqtt from 'mqtt';
import { expect } from 'vitest';
import type { CloudEvent } from '../../domain/index.ts';
import type { NumberedEvent } from '../../events/index.ts';
import { ADMIN_KEY, type ServerProcess } from './server.ts';
import { pause } from './wait.ts';

/** Publishes a bin as full and empty by turns, each message until it is acknowledged, also over crashes. */
export async function fillAndEmpty(
  server: ServerProcess,
  { id, secret }: { id: string; secret: string },
  isOver: () => boolean,
): Promise<void> {
  const options = { clientId: id, username: id, password: secret, reconnectPeriod: 100, clean: false };
  const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, options);
  client.on('error', () => {});
  const send = (fill: number) =>
    client
      .publishAsync(`devices/${id}/readings`, JSON.stringify({ ts: Date.now(), metrics: { fill } }), { qos: 1 })
      .then(
        () => true,
        () => false,
      );
  // The last message empties it.
  for (let fill = 95; fill === 20 || !isOver(); fill = fill === 95 ? 20 : 95) {
    while (!(await send(fill))) await pause(20);
    await pause(120);
  }
  await client.endAsync();
}

/** Subscribes over MQTT with a kept session, QoS 1. */
export async function readMqtt(server: Pick<ServerProcess, 'mqttPort'>) {
  const ids: string[] = [];
  const identity = { clientId: 'reader', username: 'admin', password: ADMIN_KEY, clean: false, reconnectPeriod: 50 };
  const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, identity);
  client.on('error', () => {});
  client.on('message', (_topic, payload) => ids.push((JSON.parse(payload.toString()) as CloudEvent).id));
  await client.subscribeAsync('events/#', { qos: 1 });
  return { ids, stop: () => client.endAsync() };
}

/** Which events may arrive again: `newest`: only the newest of its subject; `any`: any that arrived in order before. */
type Repeats = 'newest' | 'any';

/**
 * Checks what a subscriber got against the outbox: all events at least once, in order of each subject, and no others.
 */
export function expectComplete(
  name: string,
  got: readonly string[],
  events: readonly NumberedEvent[],
  repeats: Repeats = 'newest',
): void {
  const known = new Map(events.map((one) => [one.event.id, one]));
  expect(
    [...known.keys()].filter((id) => !got.includes(id)),
    `${name}: never came`,
  ).toEqual([]);
  const newest = new Map<string, number>();
  for (const id of repeats === 'any' ? new Set(got) : got) {
    const one = known.get(id);
    expect(one, `${name}: ${id} is no event`).toBeDefined();
    const before = newest.get(one!.event.subject) ?? 0;
    expect(one!.n, `${name}: ${id} came behind event ${before} of its subject`).toBeGreaterThanOrEqual(before);
    newest.set(one!.event.subject, one!.n);
  }
}

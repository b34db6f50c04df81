import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Packet } from 'mqtt-packet';
import { until } from '../wait.ts';
import { type RawClient, rawLogin, type Scene, startBroker } from './kit.ts';

/** Returns a client with a kept session; by default it acknowledges every message of QoS 1. */
export async function keptSession(
  scene: Pick<Scene, 'port'>,
  user: string,
  { clientId = 'a', acknowledges = true } = {},
): Promise<RawClient> {
  const client = await rawLogin(scene.port, user, { clientId, clean: false });
  client.onPacket = (packet: Packet) => {
    if (packet.cmd === 'publish' && packet.qos === 1 && acknowledges) acknowledge(client, packet.messageId!);
  };
  // Packets that arrived before this line.
  for (const packet of client.packets) client.onPacket(packet);
  return client;
}

export const acknowledge = (client: RawClient, messageId: number) => client.send({ cmd: 'puback', messageId });

export async function subscribe(client: RawClient, ...filters: (string | [string, 0 | 1])[]): Promise<number[]> {
  const before = client.got('suback').length;
  const subscriptions = filters.map((one) =>
    typeof one === 'string' ? { topic: one, qos: 1 as const } : { topic: one[0], qos: one[1] },
  );
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await until(() => client.got('suback').length > before, 'SUBACK');
  return client.got('suback').at(-1)!.granted as number[];
}

/** Payloads of the received messages, in order. */
export const payloads = (client: RawClient) => client.got('publish').map(({ payload }) => payload.toString());

/** Closes the connections without DISCONNECT. */
export async function leave(scene: Scene, ...clients: RawClient[]): Promise<void> {
  const left = scene.broker.counts().connections - clients.length;
  for (const client of clients) client.socket.destroy();
  await until(() => scene.broker.counts().connections === left, 'the end of the connection');
}

/** Publishes events of one ticket with these payloads, in order. */
export function publishEvents(scene: Scene, ...payloads: (string | number)[]): void {
  const event = (payload: string) => ({ topic: 'events/tickets/waste/1', payload, qos: 1, retain: false }) as const;
  for (const payload of payloads) scene.publish(event(String(payload)));
}

/** Starts another broker over a copy of the files, as after a crash of this one. */
export async function afterCrash(scene: Scene, more: Parameters<typeof startBroker>[0] = {}): Promise<Scene> {
  // What a turn of the event loop writes is in the file after it.
  await new Promise((resolve) => setImmediate(resolve));
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-crash-'));
  cpSync(scene.dir, dir, { recursive: true });
  return startBroker({ dir, outbox: scene.outbox.copy(), ...more });
}

/** Numbers from `from` to `to`. */
export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

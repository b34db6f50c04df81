/**
 * A process of devices that come back: each keeps one connection, sends one reading (QoS 1) when it has one, and tries
 * again after a moment when it loses it. Usage: returning.ts <port> <file of secrets>. Writes `all` to its parent when
 * each has been acknowledged; at the message `lost` it begins to count anew, for the `Returned` that comes with the
 * next.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { LoadIdentity } from '../../simulators/index.ts';
import { LoadConnection } from '../../simulators/load/connection.ts';

/** When each device was acknowledged, ms after the loss, sorted; and the connections that ended before. */
export interface Returned {
  readonly acknowledgedMs: readonly number[];
  /** Connections that the server accepted and ended, or refused, by what the client saw. */
  readonly ended: Readonly<Record<string, number>>;
}

/** Devices try again after half of this to one and a half of it. */
const RETRY_MS = 1_000;

const [port, file] = process.argv.slice(2);
const identities = JSON.parse(readFileSync(file!, 'utf8')) as readonly LoadIdentity[];
let lostMs = performance.now();
let times: number[] = [];
let ended: Record<string, number> = {};

function acknowledged(): void {
  times.push(performance.now() - lostMs);
  if (times.length < identities.length) return;
  process.send!({ acknowledgedMs: times.toSorted((a, b) => a - b), ended } satisfies Returned);
}

/** Keeps one device connected. */
async function live(identity: LoadIdentity): Promise<never> {
  for (;;) {
    const closed = Promise.withResolvers<void>();
    const shared = { left: 1, selfPaced: true, onAck: acknowledged, onClosed: () => closed.resolve() };
    const topic = `devices/${identity.id}/readings`;
    const target = { host: '127.0.0.1', port: Number(port), identity, topic, window: 1, startTsMs: Date.now() };
    const connection = new LoadConnection(target, shared);
    try {
      await connection.start();
      connection.send(1, performance.now());
      await closed.promise;
    } catch (error) {
      const why = (error as Error).message.replace(`${identity.id}: `, '');
      // Nobody listens meanwhile.
      if (!why.includes('ECONNREFUSED')) ended[why] = (ended[why] ?? 0) + 1;
    }
    await pause(RETRY_MS * (0.5 + Math.random()));
  }
}

process.on('message', () => {
  lostMs = performance.now();
  times = [];
  ended = {};
});
for (const identity of identities) void live(identity);

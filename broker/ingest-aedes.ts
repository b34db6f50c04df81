import { Aedes, type AedesPublishPacket, type Client } from 'aedes';
import mqemitter from 'mqemitter';
import type { Packet, Sessions } from './sessions/index.ts';

type Published = Partial<Packet> & Pick<Packet, 'topic' | 'payload'>;
const NOBODY: ReadonlySet<string> = new Set();

/** What Aedes 1.2.0 does not declare of itself. */
interface Undeclared {
  id: string;
  counter: number;
  opts: { persistence?: unknown };
  mq: { emit(packet: object): void };
}

/**
 * Readings end in the journal: what a client publishes is never fanned out, stored as retained or queued. What Lamppost
 * publishes is, all in one turn: Aedes' own steps are asynchronous, and a message that overtakes another on its way would
 * make Aedes take the other for a duplicate.
 */
export class IngestAedes extends Aedes {
  #sessions: Sessions | undefined;
  /** The sessions that have the message being fanned out in their queues. */
  #queuedFor = NOBODY;

  constructor(options: ConstructorParameters<typeof Aedes>[0]) {
    super({ mq: eagerEmitter(), ...options });
  }

  /** Begins, over these sessions. */
  async listenWith(sessions: Sessions): Promise<void> {
    this.#sessions = sessions;
    (this as unknown as Undeclared).opts.persistence = sessions.persistence;
    await this.listen();
  }

  override publish(...args: Parameters<Aedes['publish']>): void {
    const [packet, client, done] = args as unknown as [Published, Client | null | (() => void), (() => void)?];
    const isOurs = client === null || client === undefined || typeof client === 'function';
    if (isOurs) this.#fanOut(packet);
    if (typeof client === 'function') client();
    else done?.();
  }

  /** What Aedes is to send to the client itself; null for what comes by its queue. */
  forward(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
    if (this.#queuedFor.has(client.id)) return null;
    if (client.clean || packet.qos === 0 || !packet.retain) return packet;
    // A retained message on subscribing: its id must not be one that a message of the queue has.
    const messageId = this.#sessions!.lendMessageId(client.id);
    return Object.assign(packet, messageId === 0 ? { qos: 0 as const } : { messageId });
  }

  #fanOut({ topic, payload, qos = 0, retain = false }: Published): void {
    const broker = this as unknown as Undeclared;
    const origin = { brokerId: broker.id, brokerCounter: ++broker.counter };
    const packet: Packet = { cmd: 'publish', ...origin, topic, payload, qos, retain, dup: false };
    if (retain) this.#sessions?.retained.store(packet);
    this.#queuedFor = qos === 0 ? NOBODY : (this.#sessions?.queue(packet) ?? NOBODY);
    broker.mq.emit(packet);
    this.#queuedFor = NOBODY;
  }
}

/**
 * The session of a client (§3.1.3.1) is its user's own: nobody pushes out or takes over another by its client id. A
 * device's client id is its id, so that two machines cannot share one secret unseen; a person's programs are free.
 * User names have no slash.
 */
export function sessionName(username: string, clientId: string): string {
  return clientId === '' || clientId === username ? clientId : `${username}/${clientId}`;
}

/** Whose a session of this name is. */
export function userOf(session: string): string {
  return session.split('/', 1)[0]!;
}

/** Whether a client is subscribed to live readings; a kept session brings its subscriptions along without a packet. */
export function readsLive(client: Client): boolean {
  return Object.keys((client as unknown as { subscriptions: object }).subscriptions).some(reachesLive);
}

function reachesLive(filter: string): boolean {
  return filter === '#' || filter.startsWith('live/') || filter.startsWith('+/');
}

/** A slow subscriber must not hold up the emitter: emit completes at once, and authorizeForward cuts who does not read. */
function eagerEmitter(): ReturnType<typeof mqemitter> {
  const emitter = mqemitter({ concurrency: 0, matchEmptyLevels: true });
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (message, done) => {
    emit(message);
    done?.();
  };
  return emitter;
}

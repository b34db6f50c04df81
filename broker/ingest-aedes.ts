import { Aedes, type Client } from 'aedes';
import mqemitter from 'mqemitter';

/** Readings end in the journal: what a client publishes is never fanned out, stored as retained or queued. */
export class IngestAedes extends Aedes {
  constructor(options: ConstructorParameters<typeof Aedes>[0]) {
    super({ mq: eagerEmitter(), ...options });
  }

  override publish(...args: Parameters<Aedes['publish']>): void {
    const [, client, done] = args as unknown as [object, Client | null | undefined | (() => void), (() => void)?];
    if (client === null || client === undefined || typeof client === 'function') super.publish(...args);
    else done?.();
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

/** The clients of NATS. */
interface Clients {
  readonly core: typeof import('@nats-io/transport-node');
  readonly jetstream: typeof import('@nats-io/jetstream');
  readonly keys: typeof import('@nats-io/kv');
  readonly objects: typeof import('@nats-io/obj');
}

let loaded: Clients | null = null;

/** Loads them: a machine that is alone never does. */
export async function loadNats(): Promise<Clients> {
  const [core, jetstream, keys, objects] = await Promise.all([
    import('@nats-io/transport-node'),
    import('@nats-io/jetstream'),
    import('@nats-io/kv'),
    import('@nats-io/obj'),
  ]);
  loaded = { core, jetstream, keys, objects };
  return loaded;
}

/** Returns them once there was a connection: who has one may call this. */
export function nats(): Clients {
  if (loaded === null) throw new Error('NATS is used before a connection');
  return loaded;
}

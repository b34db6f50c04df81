import type { Machine } from './machines.ts';
import { type NatsServer, startedNats } from './nats.ts';
import { ServerProcess } from './server.ts';

export const SECRETS = { LAMPPOST_SECRETS_KEY: 'what-nodes-seal-secrets-with-0123456789' };

/** A cluster: so many nats-servers, and as many nodes of Lamppost, each in its own process. */
export class Cluster {
  readonly servers: NatsServer[] = [];
  readonly nodes: ServerProcess[] = [];

  /** Resolves once every node is ready. On each machine there are a nats-server and a node. */
  async start(count: number, settings: Record<string, string> = {}, machines: readonly Machine[] = []): Promise<this> {
    this.servers.push(...(await startedNats(count, machines)));
    for (let n = 0; n < count; n++) {
      const node = this.join(`node-${n}`, settings);
      node.machine = machines[n] ?? node.machine;
      await node.start();
    }
    return this;
  }

  /** One more node, which is not started. */
  join(name: string, settings: Record<string, string> = {}): ServerProcess {
    const log = this.servers.map(({ url }) => url).join(',');
    const node = new ServerProcess(undefined, { LAMPPOST_LOG: log, LAMPPOST_NODE: name, ...SECRETS, ...settings });
    this.nodes.push(node);
    return node;
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await Promise.all(this.servers.map((server) => server.end()));
  }
}

import { readFileSync } from 'node:fs';
import type { NatsConnection } from '@nats-io/transport-node';
import { LamppostError } from '../domain/index.ts';
import { loadNats } from './nats.ts';
import type { ClusterSettings } from './settings.ts';

const TIMEOUT_MS = 5_000;
const RECONNECT_MS = 500;
/** A dead connection is noticed after twice this. */
const PING_MS = 2_000;

/**
 * Connects to NATS under the node's name and `what` it is for. Once connected it reconnects for ever by itself. Throws
 * `log-away` where no server can be reached now, `config` where the servers refuse the login.
 */
export async function connectTo(settings: ClusterSettings, what: string): Promise<NatsConnection> {
  const { core } = await loadNats();
  const { ca, cert, key } = settings.tls;
  const isTls = ca !== null || cert !== null || settings.servers.some((url) => url.startsWith('tls:'));
  const login =
    settings.credentials !== null
      ? { authenticator: core.credsAuthenticator(readFileSync(settings.credentials)) }
      : { user: settings.user ?? undefined, pass: settings.password ?? undefined };
  try {
    return await core.connect({
      ...definedOnly(login),
      servers: [...settings.servers],
      name: `lamppost ${settings.node} ${what}`,
      timeout: TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      pingInterval: PING_MS,
      // One server that was started with another password must not end what the others serve.
      ignoreAuthErrorAbort: true,
      // Other servers that the cluster speaks of may not be reachable from here: those of the settings are.
      ignoreClusterUpdates: true,
      ...(isTls ? { tls: definedOnly({ caFile: ca, certFile: cert, keyFile: key }) } : {}),
    });
  } catch (cause) {
    const why = (cause as Error).message;
    if (/authorization|permission|authentication/i.test(why))
      throw new LamppostError('config', `NATS refuses the login of LAMPPOST_LOG: ${why}`, { cause });
    const servers = settings.servers.join(', ');
    const said = `no NATS server of LAMPPOST_LOG can be reached (${servers}): ${why}`;
    throw new LamppostError('log-away', said, { retryable: true, cause });
  }
}

function definedOnly<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value != null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

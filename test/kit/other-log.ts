import { createHash } from 'node:crypto';
import { type NatsServer, startedNats } from './nats.ts';

let starting: Promise<NatsServer> | null = null;

/**
 * The settings with which a server keeps its log in NATS (`npm run test:jetstream`): one nats-server for each process
 * of the tests, a stream for each data folder.
 */
export async function otherLog(data: string): Promise<Record<string, string>> {
  starting ??= startedNats(1).then(([server]) => server!);
  const { url } = await starting;
  const name = `t${createHash('sha256').update(data).digest('hex').slice(0, 12)}`;
  const log = { LAMPPOST_LOG: url, LAMPPOST_NODE: 'one', LAMPPOST_CLUSTER: name, LAMPPOST_LOG_REPLICAS: '1' };
  return { ...log, LAMPPOST_SECRETS_KEY: 'what-tests-seal-secrets-with-0123456789' };
}

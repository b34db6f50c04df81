import { hostname } from 'node:os';

/** How a node reaches NATS, and who it is. */
export interface ClusterSettings {
  /** URLs of the NATS servers. */
  readonly servers: readonly string[];
  /** The name of this node, which is its own. */
  readonly node: string;
  /** The name of the cluster: its stream, its buckets and its subjects begin with it. */
  readonly name: string;
  /** On how many servers each record is. */
  readonly replicas: number;
  readonly user: string | null;
  readonly password: string | null;
  /** A credentials file (JWT and NKEY); null: none. */
  readonly credentials: string | null;
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };
  /** The JetStream domain; null: none. */
  readonly domain: string | null;
}

/** The settings of the process that concern the cluster. */
interface Given {
  readonly log: string;
  readonly node: string | undefined;
  readonly name: string;
  readonly replicas: number | undefined;
  readonly credentials: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly domain: string | undefined;
}

const MOST_REPLICAS = 3;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Returns what is wrong with `LAMPPOST_LOG`; null where it can be read. */
export function faultOfLog(log: string): string | null {
  const urls = log.split(',').map((url) => url.trim());
  const wrong = urls.find((url) => !/^(nats|tls):\/\/[^/,\s]+$/.test(url) || !URL.canParse(url));
  if (wrong === undefined) return null;
  return `must be URLs of NATS servers with commas between them, such as nats://10.0.0.1:4222,nats://10.0.0.2:4222; "${wrong}" is none`;
}

/** Whether a name may be that of a node or a cluster: it becomes a part of subjects. */
export const isClusterName = (name: string): boolean => NAME.test(name);

/** Returns the settings of a cluster. The log is one that `faultOfLog` has no objection to. */
export function clusterSettings(given: Given): ClusterSettings {
  const urls = given.log.split(',').map((url) => new URL(url.trim()));
  const { username, password } = urls.find((url) => url.username !== '') ?? { username: '', password: '' };
  return {
    servers: urls.map((url) => `${url.protocol}//${url.host}`),
    node:
      given.node ??
      hostname()
        .split('.')[0]!
        .replaceAll(/[^A-Za-z0-9_-]/g, '-'),
    name: given.name,
    replicas: given.replicas ?? Math.min(MOST_REPLICAS, urls.length),
    user: username === '' ? null : decodeURIComponent(username),
    password: password === '' ? null : decodeURIComponent(password),
    credentials: given.credentials ?? null,
    tls: { ca: given.ca ?? null, cert: given.cert ?? null, key: given.key ?? null },
    domain: given.domain ?? null,
  };
}

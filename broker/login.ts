import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { AuthenticateError, Client } from 'aedes';
import { type Logins, shown } from '../limits/index.ts';
import type { Credentials, Identity } from '../registry/index.ts';
import type { BrokerAccounts } from './accounts.ts';
import { createPublisher } from './admission.ts';
import { CONNACK, type Connection, firstRefusal, LOGIN, type LoginRefusal } from './connection.ts';
import type { Connections } from './connections.ts';
import type { FrontDoor } from './front-door.ts';
import type { QuietLog } from './quiet-log.ts';
import type { Refusals } from './refusals.ts';

interface Parts {
  readonly credentials: Credentials;
  readonly accounts: BrokerAccounts;
  readonly connections: Pick<Connections, 'get'>;
  readonly door: FrontDoor;
  readonly logins: Logins;
  readonly quiet: QuietLog;
  readonly refusals: Refusals;
  /** Whether a TLS client may log in with a name in its certificate. */
  readonly byCertificate: boolean;
  /** Called with a client whose login was accepted. */
  readonly accepted: (client: Client, connection: Connection, identity: Identity) => void;
}

/** Calls back with an error that has the return code of CONNACK, or with true. */
type Authenticated = (error: AuthenticateError | null, success: boolean | null) => void;

/** Decides about a CONNECT by its user name and password, or by the certificate in place of a password. */
type Login = (client: Client, user: string, password: Buffer | undefined, done: Authenticated) => void;

/** Returns what decides about a CONNECT, for Aedes. */
export function createLogin(parts: Parts): Login {
  const { credentials, accounts, connections, door, logins, quiet, refusals } = parts;
  const namesIn = parts.byCertificate ? certificateNames : () => NO_NAMES;

  function refuse(client: Client, user: string, why: LoginRefusal, done: Authenticated): void {
    const connection = connections.get(client.conn);
    if (connection !== undefined) connection.loginRefusal = why;
    refusals.counts.refusedLogins++;
    const returnCode = CONNACK[why];
    const source = connection?.visitor.source ?? '';
    quiet.warn(source, why, 'login refused', { username: shown(user), client: shown(client.id), code: returnCode });
    refusals.note(user, why, `client id ${client.id}`, client.conn);
    const error = Object.assign(new Error('login refused'), { returnCode }) as AuthenticateError;
    const respond = () => done(error, null);
    const isKnown = credentials.get(user) !== undefined;
    // The secret of a suspended device is right: nobody is guessing.
    if (why === 'device-suspended') respond();
    else logins.refused({ source, user, isKnown }, respond, () => client.conn.destroy());
  }

  function accept(client: Client, connection: Connection, identity: Identity): void {
    connection.client = client;
    connection.publisher = createPublisher(identity);
    connection.account = accounts.of(identity);
    connection.account.connections++;
    door.knows(connection.visitor, identity.id);
    logins.succeeded(connection.visitor.source, identity.id);
    parts.accepted(client, connection, identity);
  }

  return (client, user, password, done) => {
    const found =
      password === undefined && namesIn(client.conn).has(user)
        ? credentials.named(user)
        : credentials.check(user, password ?? Buffer.alloc(0));
    const identity = typeof found === 'string' ? null : found;
    const connection = connections.get(client.conn);
    const why = firstRefusal(LOGIN, {
      identity,
      suspended: found === 'suspended',
      clientId: client.id,
      nameless: connection?.nameless === true,
      connections: accounts.get(identity?.id ?? '')?.connections ?? 0,
    });
    if (why !== null) {
      refuse(client, user, why, done);
      return;
    }
    if (connection !== undefined) accept(client, connection, identity!);
    done(null, true);
  };
}

/**
 * Returns the names in the certificate of a TLS client: its common name and its DNS names (RFC 6125 §2.3). Empty where
 * they log nobody in.
 */
function certificateNames(conn: Duplex): ReadonlySet<string> {
  if (!(conn instanceof TLSSocket) || !conn.authorized) return NO_NAMES;
  const { subject, subjectaltname = '' } = conn.getPeerCertificate();
  // Node.js quotes a name with a comma in it, which could else look like two.
  const names = subjectaltname.includes('"') ? [] : subjectaltname.split(', ');
  const alternative = names.flatMap((name) => (name.startsWith('DNS:') ? name.slice(4) : []));
  return new Set([subject?.CN ?? [], alternative].flat());
}
const NO_NAMES: ReadonlySet<string> = new Set();

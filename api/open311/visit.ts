import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Key } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { TOO_MANY_WRONG } from '../edge/index.ts';
import { createRoom, type Held, keyFault, type RequestLimit } from './admission.ts';
import { Field, Refused } from './protocol.ts';

const MIB = 1024 * 1024;
/** Forms whose sender is not known yet: a form that begins with its key hardly counts. */
const STRANGERS_BYTES = 32 * MIB;
/** Forms of known senders. */
const SENDERS_BYTES = 96 * MIB;

/** Who sends what comes from the public page: nobody that is known. */
const ANYBODY: Key = { id: 'public', name: 'the public page', role: 'citizen-app', department: null };

/** One form on its way in: who sends it, and what it holds. */
export interface Visit {
  /** The key of the sender; null where it is not known yet. */
  readonly key: Key | null;
  /** Whether no key names the sender. */
  readonly isStranger: boolean;
  /**
   * Takes the secret of the sender's key, unless it is known already. Without one the sender is anybody, where the city
   * lets anybody request services. Throws `Refused`: 403 where it is missing or may not request services, 429 past a
   * limit.
   */
  identify(secret: string | undefined): void;
  /** Accounts for bytes that are kept. Throws `Refused`. */
  hold(bytes: number): void;
  /** Counts the request for an id that the app declares. Throws `Refused`. */
  declare(id: string): void;
  leave(): void;
}

interface Parts {
  readonly keys: Pick<ApiDeps['keys'], 'authenticate'>;
  /** Whether anybody may request a service. */
  readonly forAnybody: () => boolean;
  readonly limit: RequestLimit;
  /** Of requests without a key. */
  readonly strangersLimit: RequestLimit;
}

/**
 * Returns the function that begins a visit. A key in the header or the query is checked at once, before any byte of the
 * body is read.
 */
export function createVisits({ keys, forAnybody, limit, strangersLimit }: Parts) {
  const strangers = createRoom(STRANGERS_BYTES);
  const senders = createRoom(SENDERS_BYTES);
  // Whoever comes without a key takes no room from apps.
  const anybodys = createRoom(STRANGERS_BYTES);

  return (request: FastifyRequest, reply: FastifyReply): Visit => {
    const { source } = request;
    let key: Key | null = null;
    let held: Held = strangers.hold(source);

    function identify(secret: string | undefined): void {
      if (key !== null) return;
      const found = secret === undefined ? (forAnybody() ? ANYBODY : null) : keys.authenticate(secret);
      const waitMs = found === null && secret !== undefined ? request.server.admission.wrongKey(request) : 0;
      if (waitMs > 0) throw new Refused([{ code: 429, description: TOO_MANY_WRONG }], Math.ceil(waitMs / 1_000));
      const fault = keyFault(found);
      if (fault !== null) throw new Refused([fault]);
      (found === ANYBODY ? strangersLimit : limit).arrive(found!.id, source, reply);
      const own = (found === ANYBODY ? anybodys : senders).hold(`${found!.id} ${source}`);
      own.add(held.bytes);
      held.release();
      held = own;
      key = found;
    }

    const secret = secretOf(request);
    if (secret !== undefined) identify(secret);
    return {
      get key() {
        return key;
      },
      get isStranger() {
        return key === ANYBODY;
      },
      identify,
      hold: (bytes) => held.add(bytes),
      declare: (id) => limit.declare(key!.id, source, id, reply),
      leave: () => held.release(),
    };
  };
}

/** Apps that keep their key out of forms send it in the address, or as other keys are sent. */
function secretOf({ query, headers }: FastifyRequest): string | undefined {
  const { api_key } = query as { readonly api_key?: string };
  return Field.parse(api_key) ?? /^bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1];
}

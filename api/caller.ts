import type { FastifyRequest } from 'fastify';
import type { Caller } from '../actions/index.ts';
import { actorOf, LamppostError } from '../domain/index.ts';

/** What `Idempotency-Key` may be (draft-ietf-httpapi-idempotency-key-header-07 §2.1), with or without its quotes. */
const KEY = /^(?:"([\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255}))$/;

/** Returns who asks for an action. Throws `invalid` where its `Idempotency-Key` is none. */
export function callerOf({ key, source, headers }: FastifyRequest): Caller {
  return { actor: actorOf(key!), address: source, key: idempotencyKeyIn(headers['idempotency-key']) };
}

/** Returns the client's own name of a request; null: none. Throws `invalid`. */
export function idempotencyKeyIn(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const [, quoted, bare] = KEY.exec(String(header)) ?? [];
  const key = quoted ?? bare;
  if (key !== undefined) return key;
  throw new LamppostError('invalid', 'Idempotency-Key: 1 to 255 visible ASCII characters are right, such as a UUID');
}

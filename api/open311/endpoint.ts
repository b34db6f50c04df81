import type { FastifyRequest } from 'fastify';
import type { City } from '../../domain/index.ts';
import type { CitizenOptions } from '../deps.ts';
import type { Fault } from './answer.ts';

/** Below `/open311`. */
export const V2 = '/v2';
export const TAGS = ['open311'];
/** Without a key in the header; what takes one takes it as `api_key`. */
export const OPEN = { role: 'open' } as const;

/** What addresses of this server begin with, as the outside has it. */
export function baseOf({ protocol, host }: FastifyRequest, { publicUrl }: CitizenOptions): string {
  return publicUrl ?? `${protocol}://${host}`;
}

/** One city is served: its `jurisdiction_id` may be left out; another one is not here. */
export function notHere(given: string | undefined, { open311: { jurisdiction } }: City): Fault | null {
  if (given === undefined || given === jurisdiction) return null;
  const right = jurisdiction === null ? 'leave it out' : `write ${jurisdiction}, or leave it out`;
  return { code: 404, description: `jurisdiction_id: "${given}" is not served here; ${right}` };
}

import { z } from 'zod';
import { type City, EVENT_TYPES, LamppostError, suggest } from '../domain/index.ts';
import type { ReceiverFilter } from '../notify/index.ts';
import { SeveritySchema } from './schema.ts';

const names = z.array(z.string().min(1).max(200)).min(1).max(200);

/** Which events a receiver gets; what is left out matches all. */
export const FilterBody = z
  .strictObject({
    types: z.array(z.enum(EVENT_TYPES)).min(1),
    departments: names,
    districts: names,
    severities: z.array(SeveritySchema).min(1),
    rules: names,
    parties: names,
  })
  .partial();

/** Who subscribes: a party of the city, or a group or person that it does not know. */
export const PartyName = z
  .string()
  .regex(
    /^((group|person):\S.{0,99}|[\w-]{1,64})$/u,
    'must be a department, contractor or community of the city, or group:… or person:…, such as "person:li-wei"',
  );

/** Throws `invalid` for a department, party or district that the city does not have. Rules come and go: any name will do. */
export function checkFilter({ departments, parties, districts }: ReceiverFilter, city: City): void {
  for (const id of departments ?? []) checkName('filter.departments', id, city.departments);
  for (const id of parties ?? []) checkName('filter.parties', id, city.departments);
  for (const id of districts ?? []) checkName('filter.districts', id, city.districts);
}

/** Throws `invalid` for a party that the city does not have. */
export function checkParty(party: string | null | undefined, city: City): void {
  if (party === null || party === undefined || party.includes(':')) return;
  checkName('party', party, city.departments);
}

function checkName(field: string, id: string, known: ReadonlyMap<string, unknown>): void {
  if (known.has(id)) return;
  throw new LamppostError('invalid', `${field}: the city has no "${id}"${suggest(id, known.keys())}`);
}

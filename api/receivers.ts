import { z } from 'zod';
import { type City, EVENT_TYPES, requireName } from '../domain/index.ts';
import type { ReceiverFilter } from '../notify/index.ts';
import { SeveritySchema } from './schema.ts';

const names = z.array(z.string().min(1).max(200)).min(1).max(200);

/** The filter of a receiver in a request. A list that is absent matches all. */
export const FilterBody = z
  .strictObject({
    types: z.array(z.enum(EVENT_TYPES)).min(1).max(EVENT_TYPES.length),
    departments: names,
    districts: names,
    severities: z.array(SeveritySchema).min(1).max(20),
    rules: names,
    parties: names,
  })
  .partial();

/** A party of the city, or a `group:…` or `person:…` that the city does not list. */
export const PartyName = z
  .string()
  .regex(
    /^((group|person):\S.{0,99}|[\w-]{1,64})$/u,
    'must be a department, contractor or community of the city, or group:… or person:…, such as "person:li-wei"',
  );

/**
 * Throws `invalid` for a department, party or district that the city does not have. Any rule is valid: rules may be
 * added later.
 */
export function checkFilter({ departments, parties, districts }: ReceiverFilter, city: City): void {
  for (const id of departments ?? []) requireName('department', id, city.departments, 'filter.departments: ');
  for (const id of parties ?? []) requireName('party', id, city.departments, 'filter.parties: ');
  for (const id of districts ?? []) requireName('district', id, city.districts, 'filter.districts: ');
}

/** Throws `invalid` for a party that the city does not have. */
export function checkParty(party: string | null | undefined, city: City): void {
  if (party === null || party === undefined || party.includes(':')) return;
  requireName('party', party, city.departments, 'party: ');
}

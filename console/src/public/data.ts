import { useEffect, useState } from 'react';
import type {
  Open311Request,
  Problem,
  PublicCity,
  PublicOversight,
  PublicReadings,
  PublicTickets,
  Series,
} from '../api/schema.ts';
import type { Refusal } from '../texts/refusals.ts';

/** What a document is: on its way, not to be had, or there. */
export type Loaded<T> =
  | { readonly state: 'loading' }
  | { readonly state: 'failed' }
  | { readonly state: 'there'; readonly data: T };

/** A response that is not 2xx, with all that the server says is wrong. */
export class Refused extends Error {
  readonly status: number;
  readonly refusals: readonly Refusal[];
  constructor(status: number, refusals: readonly Refusal[]) {
    super(String(status));
    this.status = status;
    this.refusals = refusals;
  }
}

/** Resolves to the JSON of an address. Throws `Refused`. */
export async function ask<T>(address: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(address, { ...init, headers: { accept: 'application/json', ...init.headers } });
  if (response.ok) return (await response.json()) as T;
  throw new Refused(response.status, refusalsIn(response.status, await response.json().catch(() => null)));
}

/** What a response says is wrong: a list of faults (Open311), or a problem (RFC 9457). */
function refusalsIn(status: number, said: Problem | readonly Open311Fault[] | null): Refusal[] {
  if (said === null) return [{ status, reason: '', detail: '' }];
  if (!('length' in said)) return [{ status, reason: said.reason ?? said.code ?? '', detail: said.detail }];
  return said.map(({ description: detail, reason = '' }) => ({ status, reason, detail }));
}

interface Open311Fault {
  readonly description: string;
  readonly reason?: string;
}

/** Loads a document, and again each minute, as often as the server makes it. */
function useDocument<T>(address: string): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: 'loading' });
  useEffect(() => {
    let gone = false;
    const load = () =>
      ask<T>(address).then(
        (data) => !gone && setLoaded((before) => (isSame(before, data) ? before : { state: 'there', data })),
        // What is shown stays where a later attempt fails.
        () => !gone && setLoaded((before) => (before.state === 'there' ? before : { state: 'failed' })),
      );
    setLoaded({ state: 'loading' });
    void load();
    const timer = setInterval(() => void load(), 60_000);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [address]);
  return loaded;
}

/** What has not changed stays the same object: a map of it is not drawn anew. */
const isSame = <T>(before: Loaded<T>, data: T) =>
  before.state === 'there' && JSON.stringify(before.data) === JSON.stringify(data);

export const useCity = () => useDocument<PublicCity>('/public/city.json');
export const useReadings = () => useDocument<PublicReadings>('/public/readings.geojson');
export const useTickets = () => useDocument<PublicTickets>('/public/tickets.geojson');
export const useOversight = (address: string) => useDocument<PublicOversight>(address);
/** Requests of citizens and sensors (Open311), as an address filters them. */
export const useRequests = (address: string) => useDocument<Open311Request[]>(address);
export const useHistory = (address: string) => useDocument<{ series: Series[] }>(address);

/** The document; null while it is not there. */
export const dataOf = <T>(loaded: Loaded<T>): T | null => (loaded.state === 'there' ? loaded.data : null);

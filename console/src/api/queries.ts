import { useQuery } from '@tanstack/react-query';
import { useWords } from '../language.ts';
import { api, bodyOf, inFull } from './client.ts';
import type { City, ShownTicket } from './schema.ts';

/** What the city describes; it changes when its folder does. */
export function useCity() {
  return useQuery({ queryKey: ['city'], staleTime: 300_000, queryFn: () => bodyOf(api.GET('/api/v1/city')) });
}

type Kind = 'departments' | 'services' | 'districts' | 'profiles' | 'metrics' | 'calendars';

/** Returns the function that says the name of what has an id; the id where the city does not know it. */
export function useNames(): (kind: Kind, id: string | null | undefined) => string {
  const { language } = useWords();
  const { data } = useCity();
  return (kind, id) => {
    const all: readonly { id: string; title: City['name'] }[] = data?.[kind] ?? [];
    return all.find((one) => one.id === id)?.title[language] ?? id ?? '';
  };
}

/**
 * Returns the function of the points of a chart for each metric: what a counter counted and the newest value of a
 * state, which have no mean, and else the mean.
 */
export function useChartFn(): (metric: string) => 'mean' | 'delta' | 'last' {
  const { data } = useCity();
  return (metric) => {
    const kind = data?.metrics.find(({ id }) => id === metric)?.kind;
    if (kind === 'counter') return 'delta';
    return kind === 'state' || kind === 'text' ? 'last' : 'mean';
  };
}

/** What `/ready` says; also where it is 503. */
export function useReady() {
  return useQuery({
    queryKey: ['ready'],
    refetchInterval: 10_000,
    queryFn: async () => {
      const { data, error } = await api.GET('/ready');
      const found = data ?? error;
      if (found === undefined || !('parts' in found)) throw new Error('no response');
      return found;
    },
  });
}

export function useLedger(device?: string) {
  const query = device === undefined ? {} : { device };
  return useQuery({
    queryKey: ['ledger', device ?? ''],
    refetchInterval: 5_000,
    queryFn: () => bodyOf(api.GET('/api/v1/ledger', { params: { query } })),
  });
}

/** A ticket and the tag of its version. */
export function useTicket(id: string) {
  return useQuery({
    queryKey: ['ticket', id],
    queryFn: () => ticketOf(api.GET('/api/v1/tickets/{id}', { params: { path: { id } } })),
  });
}

/** A ticket with the tag of its version. openapi-fetch takes tuples for arrays: here they are pairs again. */
export function ticketOf(outcome: Parameters<typeof inFull>[0]): Promise<{ data: ShownTicket; etag: string }> {
  return inFull(outcome) as Promise<{ data: ShownTicket; etag: string }>;
}

import { useInfiniteQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import type { ShownTicket } from '../../api/schema.ts';
import type { Query } from './filter.ts';

/** The tickets of a query, by pages, and how to load more. */
export function useTicketList(query: Query, limit: number) {
  const list = useInfiniteQuery({
    queryKey: ['tickets', query, limit],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      bodyOf(
        api.GET('/api/v1/tickets', {
          params: { query: { ...query, limit, ...(pageParam === null ? {} : { after: pageParam }) } },
          // A refetch that another one replaces ends: it has as many requests as the list has pages.
          signal,
        }),
      ),
    getNextPageParam: ({ next }) => next,
  });
  return { list, tickets: list.data?.pages.flatMap(({ items }) => items as ShownTicket[]) ?? [] };
}

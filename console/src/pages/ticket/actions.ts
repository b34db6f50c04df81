import { useMutation, useQueryClient } from '@tanstack/react-query';
import { api } from '../../api/client.ts';
import { ticketOf } from '../../api/queries.ts';
import { useMe } from '../../session.ts';
import { type Action, mayAct, type Permitted } from './moves.ts';

export { ACTIONS, type Action, NAMES_A_PARTY, undoOf } from './moves.ts';

/** Returns the function that says whether the one who is signed in may do something to a ticket as it is now. */
export function useCanAct(): (action: Action | 'split', ticket: Permitted) => boolean {
  const me = useMe();
  return (action, ticket) => mayAct(me, action, ticket);
}

interface Act {
  readonly id: string;
  readonly action: Action;
  /** The version that was seen; a comment fits any. */
  readonly etag: string;
  readonly note?: string;
  readonly to?: string;
  readonly assignee?: string;
  readonly severity?: string;
  /** Of a comment: whether everybody may read it. */
  readonly public?: boolean;
}

/** Acts on a ticket, and shows what became of it everywhere. */
export function useAct() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, action, etag, ...said }: Act) => {
      const body = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== ''));
      const header: Record<string, string> = action === 'comment' ? {} : { 'If-Match': etag };
      return ticketOf(api.POST('/api/v1/tickets/{id}/{action}', { params: { path: { id, action }, header }, body }));
    },
    onSuccess: (full) => {
      client.setQueryData(['ticket', full.data.id], full);
      for (const key of ['tickets', 'counts']) void client.invalidateQueries({ queryKey: [key] });
    },
  });
}

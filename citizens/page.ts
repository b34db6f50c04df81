import { z } from 'zod';
import {
  isoOf,
  LocalTextSchema,
  PlaceSchema,
  RatingSchema,
  type Service,
  type ShapeOf,
  TICKET_STATUSES,
  type Ticket,
} from '../domain/index.ts';
import { alongWith, isOfPerson, isOpen, notFixedUntil } from '../tickets/index.ts';
import type { Shown, ShownChange } from './statements.ts';

const text = z.string().nullable();
const when = z.iso.datetime();

/** What of a ticket's history its reporter is shown. */
export const REQUEST_ACTIONS = [
  'opened',
  'acknowledged',
  'started',
  'resolved',
  'closed',
  'reopened',
  'replied',
  'wrote',
] as const;

const UpdateSchema = z.object({
  at: when,
  action: z.enum(REQUEST_ACTIONS).describe('`replied`: the department wrote; `wrote`: the citizen did'),
  text: text.describe('Of a reply, of the resolution, or of the citizen; null: nobody wrote'),
  media: z.array(z.string()).readonly().describe('Addresses of photos'),
});

/** A request as the citizen sees it who has its link. */
export const RequestPageSchema = z
  .object({
    id: z.string(),
    service: z.object({ code: z.string(), title: LocalTextSchema }),
    department: LocalTextSchema.describe('Who is responsible'),
    status: z.enum(TICKET_STATUSES),
    isOpen: z.boolean(),
    requestedAt: when,
    updatedAt: when,
    expectedAt: when,
    resolvedAt: when.nullable(),
    closedAt: when.nullable(),
    sameAs: text.describe('The request that this one repeats: both are done together'),
    description: text,
    address: text,
    location: PlaceSchema.nullable(),
    media: z.array(z.string()).readonly().describe('Addresses of its photos'),
    updates: z.array(UpdateSchema).readonly().describe('The oldest first'),
    rating: RatingSchema.omit({ statement: true }).nullable(),
    canRate: z.boolean(),
    notFixedUntil: when.nullable().describe('Until when its reporter may say that it is not fixed; null: not now'),
    follow: z
      .array(z.enum(['email', 'sms']))
      .readonly()
      .describe('How one may follow it: empty where the city sends nothing'),
  })
  .meta({ id: 'RequestPage', description: "A citizen's request as its reporter sees it" });
export type RequestPage = ShapeOf<typeof RequestPageSchema>;

interface Parts {
  readonly shown: Shown;
  readonly service: Service | undefined;
  /** The ticket that it reports once more; null: none. */
  readonly whole: Ticket | null;
  readonly department: RequestPage['department'];
  readonly follow: RequestPage['follow'];
  readonly nowMs: number;
}

/** Returns the page of a request. It has no name of who works on it, and no note but those that are for citizens. */
export function requestPageOf(ticket: Ticket, parts: Parts): RequestPage {
  const { shown, service, whole, department, follow, nowMs } = parts;
  const { ticket: _, ...said } = shown.request(ticket);
  const { rating, history } = shown.ticket(ticket);
  const { mediaUrl, moreMedia = [] } = said;
  const until = notFixedUntil(ticket, service);
  return {
    id: ticket.id,
    service: { code: ticket.service, title: service?.title ?? { en: ticket.service, zh: ticket.service } },
    department,
    status: ticket.status,
    isOpen: isOpen(ticket.status),
    requestedAt: ticket.openedAt,
    updatedAt: ticket.updatedAt,
    expectedAt: ticket.dueAt,
    resolvedAt: ticket.resolvedAt,
    closedAt: ticket.closedAt,
    sameAs: ticket.relation === 'report' ? ticket.parent : null,
    description: said.description,
    address: said.address,
    location: ticket.location,
    media: mediaUrl === null ? [] : [mediaUrl, ...moreMedia],
    updates: history.flatMap((change) => updateOf(change, whole)),
    rating: rating === null ? null : { stars: rating.stars, comment: rating.comment, at: rating.at },
    canRate: ticket.status === 'closed' && rating === null,
    notFixedUntil: until !== null && until >= nowMs ? isoOf(until) : null,
    follow,
  };
}

function updateOf(change: ShownChange, whole: Ticket | null): RequestPage['updates'] {
  const { at, by, mediaUrls: media = [] } = change;
  const action = REQUEST_ACTIONS.find((one) => one === change.action);
  // What another citizen wrote about the same is theirs.
  if (action === undefined || (action === 'wrote' && by !== 'reporter')) return [];
  return [{ at, action, text: textOf(change, whole), media }];
}

/**
 * Returns the words of a change that are for citizens; null: it has none, such as what a rule says of its values. A
 * report ends with the words with which the other ended then.
 */
export function textOf(
  change: Pick<ShownChange, 'action' | 'note' | 'at' | 'by'>,
  whole: Ticket | null,
): string | null {
  const { action, at } = change;
  if (action === 'replied' || action === 'wrote') return wordsOf(change);
  if (action !== 'resolved') return null;
  if (whole === null || change.note !== alongWith(whole.id)) return wordsOf(change);
  const ended = whole.history.findLast((one) => one.action === 'resolved' && one.at <= at);
  return ended === undefined ? null : wordsOf(ended);
}

/** Returns the note of a person; null: there is none, or it is that of a rule or of the clock. */
export function wordsOf({ by, note }: Pick<ShownChange, 'by' | 'note'>): string | null {
  return note.trim() === '' || !isOfPerson(by) ? null : note;
}

import type { Clock, Ticket } from '../domain/index.ts';
import { DAY_MS, isoOf } from '../domain/index.ts';
import type { Request } from '../tickets/index.ts';
import type { Media } from './media.ts';
import type { Photo } from './photo/index.ts';
import type { Reporter, Reporters } from './reporters.ts';

/** What a citizen asks for, checked. */
export interface Report
  extends Pick<Request, 'service' | 'title' | 'titleZh' | 'description' | 'district' | 'location'> {
  /** Where it is, in words. */
  readonly address: string | null;
  readonly addressId: string | null;
  /** Answers to the service's questions, by code. */
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
  /** A photo that is kept elsewhere; never looked at. */
  readonly mediaUrl: string | null;
  /** A photo that was sent along. */
  readonly photo: Photo | null;
  /** Null where they said nothing of themselves. */
  readonly reporter: Reporter | null;
}

/** What the one who reported gets: the ticket, and a token that only they know. */
export interface Received {
  readonly ticket: Ticket;
  readonly token: string;
}

interface Deps {
  readonly clock: Clock;
  readonly reporters: Reporters;
  readonly media: Media;
  /** The reading side of the tickets. */
  readonly tickets: {
    get(id: string): Pick<Ticket, 'closedAt'> | null;
    servicesWith(mediaUrl: string): readonly string[];
  };
  /** Resolves when the ticket is on disk. */
  readonly openTicket: (request: Request & { readonly id: string }) => Promise<Ticket>;
  /** Random: an id that no ticket has, and a token that nobody guesses. */
  readonly newId: () => string;
  readonly newToken: () => string;
  /** SHA-256. */
  readonly hash: (token: string) => Uint8Array;
}

/** Where citizens' requests come in, and where what is known of their authors is forgotten. */
export interface Reception {
  /** Resolves when all of it is on disk: photo, reporter, ticket. Throws what opening a ticket throws, and `disk`. */
  report(report: Report): Promise<Received>;
  /** Forgets reporters whose ticket has been closed for long enough, and photos of no ticket; answers how many. */
  expire(): Promise<{ readonly reporters: number; readonly photos: number }>;
}

/** What has no ticket so long after it was kept never gets one: its request was not answered. */
const ORPHANED_MS = 3_600_000;
const AT_ONCE = 1_000;

/** Path under which a photo is served: what its ticket remembers. */
export const mediaPath = (name: string) => `/open311/media/${name}`;

/** Makes the reception. Requests within `sameWithinM` of an open ticket of their service join it. */
export function createReception(
  { clock, reporters, media, tickets, openTicket, newId, newToken, hash }: Deps,
  { sameWithinM, reporterDays }: { readonly sameWithinM: number; readonly reporterDays: number },
): Reception {
  function isOver(ticket: string, reportedAt: string): boolean {
    const known = tickets.get(ticket);
    const nowMs = clock.now();
    if (known === null) return Date.parse(reportedAt) < nowMs - ORPHANED_MS;
    return known.closedAt !== null && Date.parse(known.closedAt) <= nowMs - reporterDays * DAY_MS;
  }

  function expireReporters(): number {
    let forgotten = 0;
    for (let last = ''; ; ) {
      const some = reporters.after(last, AT_ONCE);
      const over = some.filter(({ ticket, reportedAt }) => isOver(ticket, reportedAt));
      if (over.length > 0) forgotten += reporters.forget(over.map(({ ticket }) => ticket));
      if (some.length < AT_ONCE) return forgotten;
      last = some.at(-1)!.ticket;
    }
  }

  return {
    async report({ reporter, photo, addressId, attributes, mediaUrl, ...of }) {
      const [id, token] = [newId(), newToken()];
      const kept = photo === null ? mediaUrl : mediaPath(await media.put(photo));
      // Before the ticket: a ticket that was answered never lacks its reporter.
      if (reporter !== null) reporters.put(id, { ...reporter, reportedAt: isoOf(clock.now()) });
      try {
        const ticket = await openTicket({
          ...of,
          id,
          origin: 'citizen',
          by: 'reporter',
          severity: 'medium',
          same: sameWithinM === 0 ? null : { withinM: sameWithinM },
          extras: { reporterHash: hash(token), mediaUrl: kept, addressId, attributes },
        });
        return { ticket, token };
      } catch (error) {
        reporters.forget([id]);
        throw error;
      }
    },
    async expire() {
      const photos = await media.sweep(
        (name) => tickets.servicesWith(mediaPath(name)).length > 0,
        clock.now() - ORPHANED_MS,
      );
      return { reporters: expireReporters(), photos };
    },
  };
}

import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/index.ts';
import { sseOf } from '../../events/index.ts';
import type { ApiDeps, EventFilter } from '../deps.ts';
import { given, Item, Paged, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

/** How an event stream behaves. */
export interface StreamOptions {
  /** How often a quiet stream says that it lives. A reader that takes nothing for so long is cut; it resumes by Last-Event-ID. */
  readonly heartbeatMs: number;
}

/** Also what a reader that does not read costs: about 100 KB. */
const PAGE = 50;
const text = z.string().optional();
const Query = Paged.extend({
  after: z
    .string()
    .regex(/^\d{1,15}$/, { error: ({ input }) => `"${input}" is not the next of a page` })
    .nullish()
    .transform((after) => after ?? null),
  type: z.enum(EVENT_TYPES).optional(),
  department: text,
  district: text,
  severity: SeveritySchema.optional(),
  ticket: text,
});

/** `/api/v1/events`: JSON pages after a cursor, or a stream (`Accept: text/event-stream`). Returns how to end the streams. */
export function eventRoutes(app: App, { events }: ApiDeps, options: StreamOptions): () => void {
  const open = new Set<ServerResponse>();
  app.get(
    '/api/v1/events',
    {
      schema: {
        tags: ['events'],
        summary: 'CloudEvents after a cursor: a page of JSON, or server-sent events resumed by Last-Event-ID',
        querystring: Query,
        response: { 200: z.object({ items: z.array(Item).readonly(), next: z.string().nullable() }) },
      },
    },
    async (request, reply) => {
      const { type: types, department, district, severity, ticket, limit, after } = request.query;
      const filter = given({ types, department, district, severity, ticket }) as EventFilter;
      if (!(request.headers.accept ?? '').includes('text/event-stream')) {
        return events.page({ ...filter, limit, after }) as never;
      }
      const last = request.headers['last-event-id'] ?? after;
      reply.hijack();
      open.add(reply.raw);
      reply.raw.once('close', () => open.delete(reply.raw));
      stream(reply.raw, events, { filter, last: last === null ? null : Number(last) }, options);
      return reply as never;
    },
  );
  return () => {
    for (const response of open) response.end();
  };
}

function stream(
  response: ServerResponse,
  events: ApiDeps['events'],
  { filter, last }: { filter: EventFilter; last: number | null },
  options: StreamOptions,
): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.write('retry: 2000\n\n');
  let cursor = startOf(response, events, last);

  /** Whether the reader took all there was, or anything since the last heartbeat. */
  let taking = true;

  /** What the socket does not take yet stays in the outbox: the reader goes on from its cursor when it has read. */
  function push(): void {
    while (!response.writableNeedDrain && !response.destroyed) {
      // Asked before the page: what is appended meanwhile is met again, what does not match is not searched twice.
      const head = events.head();
      const { items, next } = events.page({ ...filter, limit: PAGE, after: String(cursor) });
      for (const item of items) response.write(sseOf(item));
      cursor = next === null ? Math.max(cursor, head, items.at(-1)?.n ?? 0) : items.at(-1)!.n;
      if (next === null) return;
    }
  }

  function beat(): void {
    if (!response.writableNeedDrain) response.write(': still here\n\n');
    else if (taking) taking = false;
    else response.destroy();
  }

  response.on('drain', () => {
    taking = true;
    push();
  });
  const stopListening = events.onAppended(push);
  const heartbeat = setInterval(beat, options.heartbeatMs);
  response.once('close', () => {
    stopListening();
    clearInterval(heartbeat);
  });
  push();
}

/** Where to begin: behind the reader's last event; now where it has none; from the oldest, said aloud, where its place is gone. */
function startOf(response: ServerResponse, events: ApiDeps['events'], last: number | null): number {
  if (last === null) return events.head();
  const oldest = events.oldest();
  const known =
    Number.isSafeInteger(last) && last >= 0 && last <= events.head() && (oldest === 0 || last >= oldest - 1);
  if (known) return last;
  response.write(`event: reset\ndata: ${JSON.stringify({ asked: last, oldest })}\n\n`);
  return Math.max(0, oldest - 1);
}

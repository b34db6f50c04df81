import { z } from 'zod';
import { boundTo, DAY_MS, HOUR_MS, LamppostError, requireName, type Ticket } from '../../domain/index.ts';
import { type Incident, SuggestionsSchema } from '../../rules/index.ts';
import type { ApiDeps } from '../deps.ts';
import { Instant, Name } from '../schema.ts';
import type { App } from './routes.ts';

const BODY_LIMIT = 256 * 1024;
const DEFAULT_DAYS = 30;
const MOST_INCIDENTS = 1_000;
/** Pages of tickets that are read, newest first. */
const MOST_PAGES = 10;
const PAGE = 200;

const Asked = z.strictObject({
  metric: Name,
  profile: Name,
  from: Instant.optional().describe(`Default: ${DEFAULT_DAYS} days before \`to\``),
  to: Instant.optional().describe('Default: now'),
  incidents: z
    .array(z.strictObject({ device: Name.optional(), from: Instant, to: Instant }))
    .max(MOST_INCIDENTS)
    .default([])
    .describe('What people marked as unusual; without a device: of all'),
  tickets: z
    .boolean()
    .default(true)
    .describe('Whether tickets about these devices that somebody acknowledged count as incidents, too'),
});

/** Whether a person did something about a ticket; one that ends with its alert counts as acknowledged then, too. */
const isAcknowledged = ({ by, from, to }: Ticket['history'][number]) =>
  from === 'open' && to !== 'open' && /^(key|person):/.test(by);

/** `POST /api/v1/rules/suggest`. */
export function suggestionRoutes(
  app: App,
  {
    rules,
    tickets,
    devices,
    city,
    queries,
    clock,
  }: Pick<ApiDeps, 'rules' | 'tickets' | 'devices' | 'city' | 'queries' | 'clock'>,
): void {
  /** Returns the acknowledged tickets of devices of a profile, as incidents: from an hour before they opened. */
  async function realTickets(profile: string, fromMs: number, toMs: number, seenBy: readonly string[] | null) {
    const found: Incident[] = [];
    let after: string | null = null;
    for (let page = 0; page < MOST_PAGES; page++) {
      const { items, next }: { items: readonly Ticket[]; next: string | null } = await tickets.listInTurns({
        ...{ origin: ['sensor'], seenBy, limit: PAGE, after },
      });
      for (const { group, history, openedAt, resolvedAt } of items) {
        const beganMs = Date.parse(openedAt) - HOUR_MS;
        const isOfProfile = group !== null && devices.get(group)?.profile === profile;
        if (!isOfProfile || beganMs >= toMs || !history.some(isAcknowledged)) continue;
        found.push({ device: group, fromMs: beganMs, toMs: resolvedAt === null ? toMs : Date.parse(resolvedAt) });
      }
      after = next;
      const oldest = items.at(-1)?.openedAt;
      if (next === null || oldest === undefined || Date.parse(oldest) < fromMs) break;
    }
    return found.slice(0, MOST_INCIDENTS);
  }

  app.post(
    '/api/v1/rules/suggest',
    {
      config: { permission: 'rules.try', concurrency: 'queries', audited: 'no' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags: ['rules'],
        summary:
          'Suggests thresholds, jumps and anomalies for a metric: how often each would have fired, and what it would have found. It changes nothing',
        body: Asked,
        response: { 200: SuggestionsSchema },
      },
    },
    async ({ body, key, reach }, reply) => {
      const { metric, profile, incidents, to: toMs = clock.now() } = body;
      const { from: fromMs = toMs - DEFAULT_DAYS * DAY_MS } = body;
      if (fromMs >= toMs) throw new LamppostError('invalid', 'from: it must be before to');
      requireName('profile', profile, city().profiles);
      requireName('metric', metric, city().profiles.get(profile)!.metrics);
      if (city().metrics.get(metric)?.kind === 'text')
        throw new LamppostError('invalid', `${metric} is a text, which is kept and shown: no condition fits it`);
      if (city().metrics.get(metric)?.kind === 'state')
        throw new LamppostError('invalid', `${metric} is a state: write is: or is_not: with its values`);
      const marked = incidents.map(
        (one): Incident => ({
          device: one.device ?? null,
          fromMs: one.from,
          toMs: one.to,
        }),
      );
      const real = body.tickets ? await realTickets(profile, fromMs, toMs, boundTo(reach)) : [];
      const asked = queries.begin(key!.id, reply.raw);
      try {
        const wanted = { metric, profile, fromMs, toMs, incidents: [...marked, ...real] };
        return await rules.suggest(wanted, asked.options);
      } finally {
        asked.worked();
      }
    },
  );
}

import { setImmediate } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { happened, PHOTO_FAULTS, type Photo, textOf } from '../../citizens/index.ts';
import { actorOf, DAY_MS, keyPrincipal, LamppostError, type Ticket } from '../../domain/index.ts';
import { isOpen, type RequestChange } from '../../tickets/index.ts';
import type { ApiDeps, CitizenOptions } from '../deps.ts';
import { OPEN311_RESPONSES } from '../responses/open311.ts';
import type { App } from '../routes/routes.ts';
import { Instant } from '../schema.ts';
import { publicServices } from './documents.ts';
import { spanOf, timesOf, wholeOf } from './filters.ts';
import { type Form, readForm } from './form.ts';
import {
  baseOf,
  CommonQuery,
  type Fault,
  Field,
  FORMAT,
  FormatSchema,
  instantOf,
  type Language,
  languageOf,
  OPEN,
  onlyHere,
  Refused,
  refuse,
  sendDocument,
  shown,
  TAGS,
  V2,
  type Value,
} from './protocol.ts';
import { checkMedia } from './submission.ts';
import type { Visit } from './visit.ts';

type Deps = Pick<ApiDeps, 'city' | 'clock' | 'citizens'>;

const ROOT = 'service_request_updates';
const PATH = `${V2}/servicerequestupdates.${FORMAT}`;
const MOST = 1_000;
const MOST_TEXT = 4_000;
const MOST_NAME = 200;
/** Without dates, what happened in so many days. */
const USUAL_DAYS = 7;
/** What of a request's history is published. What citizens write is for the department. */
const PUBLISHED = ['acknowledged', 'started', 'resolved', 'closed', 'reopened', 'replied'] as const;
/** The statuses that apps send (FixMyStreet's among them); only `REOPEN` changes anything. */
const STATUSES = [
  ...['OPEN', 'CLOSED', 'REOPEN', 'FIXED', 'IN_PROGRESS', 'ACTION_SCHEDULED', 'INVESTIGATING', 'DUPLICATE'],
  ...['NOT_COUNCILS_RESPONSIBILITY', 'NO_FURTHER_ACTION', 'INTERNAL_REFERRAL'],
];

const Query = CommonQuery.extend({ start_date: Field, end_date: Field, limit: Field, after: Field });

/** `servicerequestupdates`: mySociety's extension of GeoReport v2, which FixMyStreet uses. */
export function updateRoutes(
  app: App,
  deps: Deps,
  options: CitizenOptions,
  visitOf: (request: FastifyRequest, reply: Parameters<typeof readForm>[1]) => Visit,
): void {
  readRoute(app, deps, options);
  postRoute(app, deps, visitOf);
}

function readRoute(app: App, { city, clock, citizens }: Deps, options: CitizenOptions): void {
  app.get(
    PATH,
    {
      config: { ...OPEN, concurrency: 'lists' },
      preHandler: onlyHere(city),
      schema: {
        tags: TAGS,
        summary: 'Lists what happened to requests, the oldest first',
        params: FormatSchema,
        querystring: Query,
        response: OPEN311_RESPONSES.updates,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const faults: Fault[] = [];
      const wrong = (description: string) => void faults.push({ code: 400, description });
      const nowMs = clock.now();
      const usual = { fromMs: nowMs - USUAL_DAYS * DAY_MS, toMs: nowMs };
      const { from, to } = timesOf(spanOf(query, ['start_date', 'end_date'], nowMs, wrong) ?? usual);
      const limit = wholeOf('limit', query.limit, MOST, wrong, MOST);
      if (faults.length > 0) return refuse(reply, faults);
      const services = [...publicServices(city()).keys()];
      const wanted = { services, actions: PUBLISHED, from: from!, to: to!, limit, after: query.after ?? null };
      const { items, next } = await citizens.requests.changes(wanted, () => nextTurnOf(request));
      if (next !== null) reply.header('link', `<${nextOf(request, baseOf(request, options), next)}>; rel="next"`);
      const language = languageOf(request, query.locale);
      const wholes = new Map<string, Ticket | null>();
      return sendDocument(
        reply,
        ROOT,
        items.map((one) => updateOf(one, wholeOfReport(one, wholes, citizens), language)),
      );
    },
  );
}

/** Other work of the thread runs. Throws where nobody waits for the list any more. */
async function nextTurnOf({ raw }: FastifyRequest): Promise<void> {
  if (raw.socket.destroyed) throw new LamppostError('busy', 'nobody waits for the list any more');
  await setImmediate();
}

/** A report ends with the words that the request which it repeats ends with. */
function wholeOfReport(
  { action, sameAs }: RequestChange,
  known: Map<string, Ticket | null>,
  { requests }: Pick<Deps['citizens'], 'requests'>,
): Ticket | null {
  if (sameAs === null || action !== 'resolved') return null;
  if (!known.has(sameAs)) known.set(sameAs, requests.get(sameAs));
  return known.get(sameAs)!;
}

function updateOf(change: RequestChange, whole: Ticket | null, language: Language): Value {
  const { ticket, version, to, at, action } = change;
  const published = PUBLISHED.find((one) => one === action)!;
  return {
    update_id: `${ticket}.${version}`,
    service_request_id: ticket,
    status: isOpen(to) ? 'OPEN' : 'CLOSED',
    updated_datetime: instantOf(at),
    description: textOf(change, whole) ?? happened(published)[language],
    media_url: null,
  };
}

function nextOf({ url }: FastifyRequest, base: string, after: string): string {
  const next = new URL(url, 'http://localhost');
  next.searchParams.delete('api_key');
  next.searchParams.set('after', after);
  return base + next.pathname + next.search;
}

function postRoute(app: App, deps: Deps, visitOf: Parameters<typeof updateRoutes>[3]): void {
  const { city, citizens } = deps;
  app.post(
    PATH,
    {
      config: OPEN,
      schema: {
        tags: TAGS,
        summary: 'Adds what a citizen wrote about a request; the same `update_id` once. Takes the api_key of the app',
        consumes: ['application/x-www-form-urlencoded', 'multipart/form-data'],
        params: FormatSchema,
        querystring: CommonQuery,
        response: OPEN311_RESPONSES.updated,
      },
    },
    async (request, reply) => {
      const visit = visitOf(request, reply);
      try {
        const form = await readForm(request, reply, visit, city());
        const { ticket, name, notFixed, comment } = saidIn(form, deps);
        const said = {
          ticket,
          token: null,
          comment,
          notFixed,
          name,
          photos: await cleaned(form.files, visit, citizens),
        };
        const sender = { actor: actorOf(keyPrincipal(visit.key!)), key: null };
        const { statement } = await citizens.say({ ...said, mediaUrls: form.mediaUrls }, sender);
        return sendDocument(reply, ROOT, [{ update_id: statement, service_request_id: ticket }]);
      } finally {
        visit.leave();
      }
    },
  );
}

/** Returns what a form says. Names and contacts in it are not kept. Throws `Refused`, with everything that is wrong. */
function saidIn({ fields, files, mediaUrls }: Form, { city, citizens }: Deps) {
  const faults: Fault[] = [];
  const wrong = (description: string) => void faults.push({ code: 400, description });
  const id = fields.get('service_request_id');
  const request = id === undefined ? null : citizens.requests.get(id);
  const found = request !== null && publicServices(city()).has(request.service) ? request : null;
  if (id === undefined) wrong('service_request_id: is missing');
  else if (found === null)
    faults.push({ code: 404, description: `service_request_id: there is no request "${shown(id)}"` });
  const name = fields.get('update_id');
  if (name === undefined || name.length > MOST_NAME)
    wrong(`update_id: name the update, in at most ${MOST_NAME} characters`);
  const [status, comment] = [fields.get('status')?.toUpperCase() ?? 'OPEN', fields.get('description') ?? ''];
  if (!STATUSES.includes(status)) wrong(`status: "${shown(status)}" is none of ${STATUSES.join(', ')}`);
  if (comment.length > MOST_TEXT) wrong(`description: has ${comment.length} characters; at most ${MOST_TEXT}`);
  if (comment === '' && files.length + mediaUrls.length === 0) wrong('description: is missing, and there is no photo');
  const at = fields.get('updated_datetime');
  if (at !== undefined && !Instant.safeParse(at).success)
    wrong(`updated_datetime: "${shown(at)}" is not ISO 8601 with a zone (2026-01-31T12:00:00Z)`);
  checkMedia(mediaUrls, wrong);
  if (faults.length > 0 || found === null) throw new Refused(faults.toSorted((a, b) => b.code - a.code));
  return { ticket: found.id, name: `${found.id} ${name}`, notFixed: status === 'REOPEN', comment };
}

/** Throws `Refused` where a file is no photo. */
export async function cleaned(
  files: Form['files'],
  { isStranger }: Pick<Visit, 'isStranger'>,
  { clean }: Pick<Deps['citizens'], 'clean'>,
): Promise<Photo[]> {
  const photos: Photo[] = [];
  for (const file of files) {
    const photo = await clean(file, isStranger);
    if (typeof photo === 'string')
      throw new Refused([{ code: 400, description: `media: ${PHOTO_FAULTS[photo]}`, reason: 'bad-photo' }]);
    photos.push(photo);
  }
  return photos;
}

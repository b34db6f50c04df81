import type { FastifyRequest, RouteGenericInterface } from 'fastify';
import { boundTo, type City, LamppostError, type Permission, TICKET_REFUSALS } from '../domain/index.ts';
import type { WebhookSettings } from '../notify/index.ts';
import type { ApiDeps } from './deps.ts';
import type { App } from './routes/routes.ts';
import { found } from './schema.ts';

type Deps = Pick<ApiDeps, 'webhooks' | 'subscriptions' | 'quarantine' | 'devices' | 'city' | 'rules'>;
type Binding = (request: Bound, own: readonly string[], deps: Deps) => void | Promise<void>;

/**
 * Binds requests to the departments that they reach, by what they name: a receiver, a device, or refused messages. It
 * runs before the audit trail, which has what was allowed. Tickets, silences and events are bound where they are
 * decided and read.
 */
export function bindToDepartments(app: App, deps: Deps): void {
  app.addHook<Asked>('preHandler', async (request) => {
    const own = boundTo(request.reach);
    const { permission } = request.routeOptions.config;
    if (own !== null && permission !== undefined) await BINDINGS[permission]?.(request, own, deps);
  });
}

const receivers =
  (name: 'webhooks' | 'subscriptions'): Binding =>
  (request, own, deps) =>
    bindReceiver(request, own, deps[name]);

const BINDINGS: Readonly<Record<string, Binding>> = {
  'webhooks.read': receivers('webhooks'),
  'webhooks.write': receivers('webhooks'),
  'subscriptions.read': receivers('subscriptions'),
  'subscriptions.write': bindSubscription,
  'quarantine.read': bindQuarantine,
  'quarantine.write': bindQuarantine,
  'readings.read': bindReadings,
  'rules.try': bindTrial,
} satisfies Partial<Record<Permission, Binding>>;

function refuse(detail: string): never {
  const reason = 'not-your-department';
  throw new LamppostError('forbidden', `${TICKET_REFUSALS[reason]}: ${detail}`, { reason });
}

/** What the requests name that are bound. */
interface Asked extends RouteGenericInterface {
  Params: { readonly id?: string };
  Querystring: { party?: string; readonly device?: string | readonly string[] };
  Body: (Owned & { readonly ids?: readonly string[]; readonly device?: string }) | null | undefined;
}
/** Whose a receiver is, and what of the departments it gets. */
type Owned = Partial<Pick<WebhookSettings, 'party' | 'filter'>> & { readonly webhook?: string };
type Bound = FastifyRequest<Asked>;

type Receivers = Pick<ApiDeps['webhooks'], 'get'> | Pick<ApiDeps['subscriptions'], 'get'>;

async function bindReceiver(request: Bound, own: readonly string[], service: Receivers): Promise<void> {
  const { params, query, body } = request;
  if (params.id !== undefined) {
    const receiver = (await service.get(params.id)) as Owned;
    found(faultOf(receiver, own) === null ? receiver : null, `receiver "${params.id}" of ${own.join(', ')}`);
    return requireOwn(body, own, false);
  }
  if (request.method !== 'GET') return requireOwn(body, own, true);
  if (query.party === undefined && own.length === 1) query.party = own[0]!;
  if (query.party === undefined || !own.includes(query.party)) refuse(`party: name one of ${own.join(', ')}`);
}

async function bindSubscription(request: Bound, own: readonly string[], deps: Deps): Promise<void> {
  await bindReceiver(request, own, deps.subscriptions);
  const { webhook } = request.body ?? {};
  if (webhook === undefined) return;
  const { party } = await deps.webhooks.get(webhook);
  if (party === null || !own.includes(party)) refuse(`webhook: "${webhook}" is none of ${own.join(', ')}`);
}

/** Returns why a receiver is not of some departments; null where it is: its party, and all that it gets. */
function faultOf({ party, filter }: Owned, own: readonly string[]): string | null {
  if (typeof party !== 'string' || !own.includes(party)) return `party: name one of ${own.join(', ')}`;
  if (filter === null) return null;
  const departments = filter?.departments ?? [];
  const isOwn = departments.length > 0 && departments.every((one) => own.includes(one));
  return isOwn ? null : `filter.departments: name one or more of ${own.join(', ')}`;
}

/** Throws `forbidden` where a request would make a receiver another's. */
function requireOwn(body: Owned | null | undefined, own: readonly string[], isNew: boolean): void {
  const { party, filter } = body ?? {};
  const fault = faultOf({ party: party ?? (isNew ? null : own[0]!), filter: filterOf(filter, own, isNew) }, own);
  const isForeign = fault !== null || (!isNew && party === null);
  if (isForeign) refuse(fault ?? `party: name one of ${own.join(', ')}`);
}

/** A filter that is not changed stays that of the department. */
function filterOf(
  filter: Owned['filter'],
  own: readonly string[],
  isNew: boolean,
): NonNullable<Owned['filter']> | null {
  if (filter === undefined) return isNew ? {} : { departments: own };
  return filter;
}

async function bindQuarantine(request: Bound, own: readonly string[], deps: Deps): Promise<void> {
  const owns = ownerOf(own, deps);
  const { params, query, body } = request;
  if (params.id !== undefined) {
    if (request.routeOptions.url?.includes('/replays/')) return;
    const entry = deps.quarantine.get(params.id);
    found(entry !== null && owns(entry.device) ? entry : null, `"${params.id}" in quarantine`);
  } else if (body?.ids !== undefined) {
    const foreign = deps.quarantine.holdersOf(body.ids).filter((device) => !owns(device));
    if (foreign.length > 0) refuse(`messages of ${foreign.slice(0, 10).join(', ')}`);
  } else if (request.method !== 'GET' || request.routeOptions.url?.endsWith('/usage')) {
    requireDevices([body?.device ?? query.device ?? []].flat(), own, deps);
  }
}

/** The city does not share readings, or the reach would be the city's. A list of devices has own ones only. */
function bindReadings(request: Bound, own: readonly string[], deps: Deps): void {
  const { url } = request.routeOptions;
  const { device } = request.query;
  if (url === '/api/v1/readings/seen' && device === undefined) return;
  requireDevices([device ?? []].flat(), own, deps);
}

function bindTrial(_request: Bound, own: readonly string[]): void {
  refuse(`the city does not share readings, and a rule is tried on those of all departments, not of ${own.join(', ')}`);
}

function requireDevices(devices: readonly string[], own: readonly string[], deps: Deps): void {
  if (devices.length === 0) refuse(`device: name devices of ${own.join(', ')}`);
  const owns = ownerOf(own, deps);
  const foreign = devices.filter((device) => !owns(device));
  if (foreign.length > 0) refuse(`device: ${foreign.slice(0, 10).join(', ')}; name devices of ${own.join(', ')}`);
}

/** Returns what says whether a device belongs to one of some departments; those of the city alone belong to none. */
export function ownerOf(
  own: readonly string[],
  { devices, city }: Pick<ApiDeps, 'devices' | 'city'>,
): (device: string) => boolean {
  const known = new Map<string, boolean>();
  const { profiles } = city();
  return (id) => {
    const before = known.get(id);
    if (before !== undefined) return before;
    const profile = devices.get(id)?.profile;
    const departments = (profile === undefined ? undefined : profiles.get(profile)?.departments) ?? [];
    const isOwn = departments.some((one) => own.includes(one));
    known.set(id, isOwn);
    return isOwn;
  };
}

/** Returns the rules whose tickets are those of some departments. */
export function rulesOf(own: readonly string[], rules: Pick<ApiDeps['rules'], 'list'>, { services }: City): string[] {
  const isOwn = (service: string | undefined) => own.includes(services.get(service ?? '')?.department ?? '');
  return rules.list().flatMap(({ id, ticket }) => (isOwn(ticket?.service) ? [id] : []));
}

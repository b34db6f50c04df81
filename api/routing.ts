import type { FastifyInstance, RouteOptions } from 'fastify';
import { z } from 'zod';
import { LamppostError, suggest, unknownName } from '../domain/index.ts';

/** Which methods an address takes. */
export interface Routes {
  /** The methods of the routes that match an address without its query; empty where there is none. */
  methodsOf(path: string): readonly string[];
  /** `: did you mean "/api/v1/devices"?` where an address is close to that of a route; else ''. */
  near(path: string): string;
}

/** A longer address is not compared with those of the routes: that takes time, and anybody may ask. */
const LONGEST_COMPARED = 48;

/**
 * Addresses whose parameters are ours alone: GeoReport's clients, network servers and providers add some of their own.
 */
const OURS = /^\/(api\/v1\/|ready$)/;
/** Lists of open data: a filter that is not known would list everything. */
const OPEN_LISTS = /^\/(open311\/v2\/(requests|servicerequestupdates)\.|public\/(history|[a-z]+\.(json|geojson|csv))$)/;

/**
 * Follows the routes that are added after it: each of `/api/v1`, and the lists of open data, refuse parameters that
 * they do not have, and what an address takes is known for 405. A new route gets both by itself.
 */
export function followRoutes(app: FastifyInstance): Routes {
  const routes: { readonly matches: RegExp; readonly methods: readonly string[] }[] = [];
  const addresses = new Set<string>();
  app.addHook('onRoute', (route) => {
    const isList = OPEN_LISTS.test(route.url) && route.method !== 'POST';
    if (isList || OURS.test(route.url)) refuseUnknown(route);
    if (!/[:*]/.test(route.url)) addresses.add(route.url);
    // A parameter may have an expression of its own: `:format(^(?:xml|json)$)`.
    const path = route.url.replace(/[.]/g, '\\.').replace(/:\w+(?:\(\^(.*?)\$\))?/g, (_, own: string = '[^/]+') => own);
    if (!path.includes('*')) routes.push({ matches: new RegExp(`^${path}$`), methods: [route.method].flat() });
  });
  return {
    methodsOf: (path) =>
      [...new Set(routes.filter(({ matches }) => matches.test(path)).flatMap(({ methods }) => methods))].toSorted(),
    near: (path) => {
      const [, close] = path.length > LONGEST_COMPARED ? [] : suggest(path, addresses).split(': did you mean ');
      return close === undefined ? '' : `: did you mean ${close}`;
    },
  };
}

function refuseUnknown(route: RouteOptions): void {
  const names = parametersOf(route.schema?.querystring);
  if (names === null) return;
  const before = [route.preValidation ?? []].flat();
  const check = async ({ query }: { readonly query: unknown }) => {
    for (const name of Object.keys(query as object)) {
      const fault = unknownName('parameter', name, names);
      if (fault !== null) throw new LamppostError('invalid', names.length === 0 ? `${fault}: this takes none` : fault);
    }
  };
  route.preValidation = [check, ...before];
}

/** The names of a query's parameters; null where its schema does not list them. */
function parametersOf(schema: unknown): readonly string[] | null {
  if (schema === undefined) return [];
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : null;
}

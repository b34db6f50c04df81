export type { ApiDeps, CitizenOptions } from './deps.ts';
export { createRefusals, EDGE, type EdgeOptions, type Refusals } from './edge/index.ts';
export { createOidc, type OidcSettings } from './oidc.ts';
export { createQueries, type QueryLimits } from './queries.ts';
export type { Responded } from './responded.ts';
export { type Api, type ApiOptions, createApi } from './server.ts';

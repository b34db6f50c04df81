export type { ApiDeps, CitizenOptions } from './deps.ts';
export { createRefusals, EDGE, type EdgeOptions, type Refusals } from './edge/index.ts';
export { createQueries, type QueryLimits } from './queries.ts';
export { type Api, type ApiOptions, createApi } from './server.ts';

export type { ApiDeps, CitizenOptions } from './deps.ts';
export { createQueries, type QueryLimits } from './queries.ts';
export { type Api, type ApiOptions, createApi } from './server.ts';

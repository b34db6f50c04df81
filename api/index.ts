export type { ApiDeps, CitizenOptions } from './deps.ts';
export { type Api, type ApiOptions, createApi } from './server.ts';

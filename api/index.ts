export type { ApiDeps, CitizenOptions, Paging } from './deps.ts';
export { type Api, type ApiOptions, createApi } from './server.ts';

export { createInfluxHistory } from './history.ts';
export type { InfluxSettings } from './settings.ts';

export { createDuckdbHistory } from './duckdb.ts';
export { createInfluxHistory, type InfluxSettings } from './influx/index.ts';

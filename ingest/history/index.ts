export { createDuckdbHistory, openDuckdbScan } from './duckdb.ts';
export { createInfluxHistory, type InfluxSettings } from './influx/index.ts';

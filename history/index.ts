export { type BatchLimits, createHistoryConsumer, type HistoryConsumer } from './consumer.ts';
export { createDuckdbHistory } from './duckdb.ts';
export { openDuckdbScan } from './duckdb-file.ts';
export type { InfluxSettings } from './influx/connection.ts';
export { createInfluxHistory } from './influx/history.ts';

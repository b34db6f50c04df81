export { type BatchLimits, createHistoryConsumer, type HistoryConsumer } from './consumer.ts';
export { createDuckdbHistory, openDuckdbScan } from './duckdb.ts';
export type { InfluxSettings } from './influx/connection.ts';
export { createInfluxHistory } from './influx/history.ts';

export { type BatchLimits, createHistoryConsumer, type HistoryConsumer } from './consumer.ts';
export { createDuckdbHistory, openDuckdbScan } from './duckdb.ts';
export { createInfluxHistory, type InfluxSettings } from './influx/index.ts';

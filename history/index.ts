export { type BatchLimits, createHistoryConsumer, type HistoryConsumer } from './consumer.ts';
export { createDuckdbHistory, type DuckdbLimits } from './duckdb.ts';
export { openDuckdbScan, readInFull } from './duckdb-file.ts';
export { createDuckdbProcess, type HistoryProcess, type ProcessStatus } from './duckdb-process.ts';
export type { InfluxSettings } from './influx/connection.ts';
export { createInfluxHistory } from './influx/history.ts';
export { csvOfParquet, parquetAsCsv } from './parquet.ts';
export { SharedHistory } from './shared.ts';

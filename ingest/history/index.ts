export { createDuckdbHistory } from './duckdb.ts';

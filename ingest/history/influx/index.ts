export { createInfluxHistory } from './history.ts';
export { INFLUX_LIMITS, type InfluxLimits, type InfluxSettings } from './settings.ts';

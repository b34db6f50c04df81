export { type LoadedCity, loadCity } from './city-in-force.ts';
export { type Config, readConfig } from './config.ts';
export { type Lamppost, startLamppost } from './lamppost.ts';
export { backtestDevices, inputOf } from './threads/backtests.ts';
export { wouldBeTickets } from './threads/would-be.ts';

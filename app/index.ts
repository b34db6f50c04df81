export { type LoadedCity, loadCity } from './city-in-force.ts';
export { type Config, readConfig } from './config.ts';
export { createLamppost, type Lamppost, type Started } from './lamppost.ts';

export { type LoadedCity, loadCity } from './city-in-force.ts';
export { type Config, readConfig } from './config.ts';
export { type Examination, examine } from './examine.ts';
export { createLamppost, type Lamppost, type Started } from './lamppost.ts';
export { type Repaired, repair } from './repair.ts';

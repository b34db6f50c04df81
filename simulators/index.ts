export { readCityFolder, type SimulatedCity } from './city/folder.ts';
export { formatFor, SIMULATED_FORMATS, spoken } from './city/formats.ts';
export { type Metrics, type Model, modelOf, SIMULATED_PROFILES } from './city/models.ts';
export { type PlannedDistrict, planCity } from './city/plan.ts';
export { type Credentials, type Registry, registerDevices } from './city/register.ts';
export { createSimulator, type Simulator, type SimulatorOptions, type SimulatorStats } from './city/simulator.ts';
export type { LoadIdentity } from './load/packets.ts';
export { type LoadOptions, type LoadReport, runLoad } from './load/run.ts';
export { type SimulateDeps, simulate } from './simulate.ts';

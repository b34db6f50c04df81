export { type BridgeStatus, BridgeStatusSchema } from './bridge.ts';
export { type Bridges, createBridges } from './bridges.ts';
export type { DownlinkQueue } from './downlinks.ts';

export { Five, type FiveHooks, refusingConnack } from './five.ts';
export type { FiveLimits } from './incoming.ts';

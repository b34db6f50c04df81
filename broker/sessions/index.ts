export type { Drop } from './drops.ts';
export type { Owner, Packet, SessionLimits } from './session.ts';
export { Sessions, type SessionsDeps } from './sessions.ts';

export type { Drop } from './drops.ts';
export { FilterTree, matchesFilter, type Subscription } from './filters.ts';
export type { MemberHooks } from './groups.ts';
export { followedTo } from './holders.ts';
export type { SessionRecords, SessionsRecord } from './log.ts';
export type { EventMessages, MqttOutbox } from './outbox.ts';
export type { Owner, Packet, SessionLimits } from './session.ts';
export { Sessions, type SessionsDeps, type Shared } from './sessions.ts';

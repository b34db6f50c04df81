export {
  type DeclaredNames,
  type Departments,
  declaredTopics,
  refusePublish,
  Subscribers,
  type TopicRefusal,
} from './access.ts';
export {
  type AccountLimits,
  type ClientRecord,
  ClientRecordSchema,
  type ClientRefusal,
  type SendLimits,
} from './accounts.ts';
export { type Admission, createAdmission, createPublisher, type Publisher } from './admission.ts';
export { type Bridge, openBridge } from './bridge.ts';
export { createBroker } from './broker.ts';
export { type DeviceCommands, isDownlinkFilter } from './commands.ts';
export type { Broker, BrokerCounts, BrokerOptions } from './contract.ts';
export { createDirectWays, type Direct, type DirectHooks, type DirectWays } from './direct.ts';
export { type GuardLimits, type GuardRefusal, guard, PacketWalker } from './guard.ts';
export type { Carried, Carrier } from './outside.ts';
export { Peeler, type PublishTaker } from './peel.ts';
export {
  type EventMessages,
  followedTo,
  type MqttOutbox,
  matchesFilter,
  type SessionLimits,
  type SessionRecords,
  Sessions,
  type SessionsDeps,
  type SessionsRecord,
} from './sessions/index.ts';

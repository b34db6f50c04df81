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
export {
  type Broker,
  type BrokerCounts,
  type BrokerOptions,
  createBroker,
} from './broker.ts';
export type { Carried, Carrier } from './carrier.ts';
export { type DeviceCommands, isDownlinkFilter } from './commands.ts';
export { createDirectWays, type Direct, type DirectHooks, type DirectWays } from './direct.ts';
export { type GuardLimits, type GuardRefusal, guard, PacketWalker } from './guard.ts';
export { Peeler, type PublishTaker } from './peel.ts';
export {
  type EventMessages,
  type MqttOutbox,
  matchesFilter,
  type SessionLimits,
  Sessions,
  type SessionsDeps,
} from './sessions/index.ts';

export { connectTo } from './connection.ts';
export { type FailuresOfCluster, openFailures } from './failures.ts';
export { IDENTITY_FILE, identityOf, type NodeIdentity } from './identity.ts';
export {
  type ClusterFinding,
  findingsOf,
  inspectCluster,
  type SeenServer,
  type SeenStream,
  syncIn,
} from './inspect.ts';
export { isOvertaken } from './jetstream.ts';
export { createLeases, type Leases } from './leases.ts';
export { commonBlock, decideJoin, type JoinFacts, type Joining } from './mirror.ts';
export { nats } from './nats.ts';
export {
  createNodes,
  type NodeReport,
  NodeReportSchema,
  type Nodes,
  readNodes,
  type SeenNode,
  SeenNodeSchema,
} from './nodes.ts';
export { type OnceKeys, openOnceKeys } from './once.ts';
export { type Missing, missingTail, putBack, type Tail } from './recover.ts';
export { type ClusterSettings, clusterSettings, faultOfLog, isClusterName } from './settings.ts';
export { type KeyChange, type KeyCopy, openSharedKeys, type SharedKeys } from './shared-keys.ts';
export { openSharedObjects, type SharedObjects } from './shared-objects.ts';
export { openSnapshots, type Snapshot, type Snapshots } from './snapshots.ts';
export {
  electAnother,
  type LogMessage,
  messageAt,
  type StreamRange,
  streamInfo,
  streamRange,
  trimStream,
} from './stream.ts';

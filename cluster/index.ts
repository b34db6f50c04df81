export { connectTo } from './connection.ts';
export { type ClusterSettings, clusterSettings, faultOfLog, isClusterName } from './settings.ts';

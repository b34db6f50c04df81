/**
 * A process that uploads a snapshot: the settings of its node, the folder, the newest block. It is killed meanwhile.
 */
import { type ClusterSettings, connectTo, openSnapshots } from '../../../cluster/index.ts';

const settings = JSON.parse(process.argv[2]!) as ClusterSettings;
const connection = await connectTo(settings, 'test');
const snapshots = await openSnapshots(connection, settings);
await snapshots.put(process.argv[3]!, { seq: Number(process.argv[4]) });
await connection.close();

/** A node of a cluster, as `GET /api/v1/cluster` has it. */
export interface ClusterNode {
  readonly node: string;
  /** The number of the last record that it has decided. */
  readonly seq: number;
  /** How old the oldest record is that it has not decided yet, ms. */
  readonly lagMs: number;
  /** What it does for all of them. */
  readonly holds: readonly string[];
  /** Of what it decided up to its last record; null: not known yet. */
  readonly checksum: string | null;
  /** When its last message came, ms ago. */
  readonly ageMs: number;
}

/** The nodes that are known, and which of them responds. */
export interface Cluster {
  readonly node: string;
  readonly nodes: readonly ClusterNode[];
}

/** What is wrong with a node; null: nothing. */
export type NodeTrouble = 'silent' | 'differs' | 'behind';

/** A node says every few seconds that it is there. */
const SILENT_MS = 30_000;
const BEHIND_MS = 30_000;

/** Returns what is wrong with a node, the worst first: whoever decided otherwise than the others has stopped. */
export function troubleOf({ node, seq, lagMs, checksum, ageMs }: ClusterNode, { nodes }: Cluster): NodeTrouble | null {
  const others = nodes.filter((one) => one.node !== node && one.seq === seq && one.checksum !== null);
  const same = others.filter((one) => one.checksum === checksum).length;
  if (checksum !== null && others.length > 0 && same < others.length / 2) return 'differs';
  if (ageMs > SILENT_MS) return 'silent';
  return lagMs > BEHIND_MS ? 'behind' : null;
}

import { expect, test } from 'vitest';
import { type ClusterNode, troubleOf } from '../../../console/src/parts/cluster.ts';

const node = (name: string, more: Partial<ClusterNode> = {}): ClusterNode => ({
  ...{ node: name, seq: 10, lagMs: 0, holds: [], checksum: 'aa', ageMs: 500 },
  ...more,
});
const troubles = (...nodes: ClusterNode[]) => nodes.map((one) => troubleOf(one, { node: 'a', nodes }));

test('cluster - a node that decided otherwise than most others is named, also where it is silent by now', () => {
  expect(troubles(node('a'), node('b'), node('c', { checksum: 'bb', ageMs: 60_000 }))).toEqual([null, null, 'differs']);
});

test('cluster - checksums of different records are not compared', () => {
  expect(troubles(node('a'), node('b', { seq: 9, checksum: 'bb' }), node('c', { checksum: null }))).toEqual([
    null,
    null,
    null,
  ]);
});

test('cluster - a node that is silent, or behind, is named', () => {
  expect(troubles(node('a', { ageMs: 31_000 }), node('b', { lagMs: 31_000 }))).toEqual(['silent', 'behind']);
});

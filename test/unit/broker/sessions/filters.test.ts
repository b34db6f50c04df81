import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FilterTree, matchesFilter } from '../../../../broker/sessions/filters.ts';
import { runs } from '../../../kit/runs.ts';

test.each<[string, string, boolean]>([
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player2', false],
  ['sport/#', 'sport', true],
  ['#', 'a/b', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['+', '/finance', false],
  ['#', '$SYS/x', false],
  ['+/monitor/Clients', '$SYS/monitor/Clients', false],
  ['$SYS/#', '$SYS/monitor', true],
])('filters - %s and %s: %s (MQTT 3.1.1 §4.7)', (filter, topic, matches) => {
  expect(matchesFilter(filter, topic)).toBe(matches);
  const tree = new FilterTree();
  tree.add('c', { topic: filter, qos: 1 });
  expect(tree.match(topic)).toHaveLength(matches ? 1 : 0);
});

const level = fc.constantFrom('a', 'b', '', '$s');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));

test('filters - a tree finds the same as a scan of all subscriptions, after any additions and removals', () => {
  const step = fc.record({ remove: fc.boolean(), client: fc.constantFrom('x', 'y'), filter: filters });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(topics, { maxLength: 20 }), (steps, looked) => {
      const tree = new FilterTree();
      const all = new Map<string, [string, string]>();
      for (const { remove, client, filter } of steps) {
        if (remove) tree.remove(client, filter);
        else tree.add(client, { topic: filter, qos: 1 });
        if (remove) all.delete(`${client} ${filter}`);
        else all.set(`${client} ${filter}`, [client, filter]);
      }
      expect(tree.size).toBe(all.size);
      for (const topic of looked) {
        const found = tree.match(topic).map((one) => `${one.clientId} ${one.topic}`);
        const wanted = [...all].filter(([, [, filter]]) => matchesFilter(filter, topic)).map(([key]) => key);
        expect(found.toSorted()).toEqual(wanted.toSorted());
      }
    }),
    { seed: 13, numRuns: runs(500) },
  );
});

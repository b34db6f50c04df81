import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { EVENT_TYPES, HISTORY_ACTIONS } from '../../../domain/index.ts';
import { JSON_SCHEMAS, type LamppostEvent, publicationsOf, resetOf, sseOf } from '../../../events/index.ts';
import { schemaChecker } from '../../kit/json-schema.ts';

const text = readFileSync(fileURLToPath(new URL('../../../docs/events.md', import.meta.url)), 'utf8');
const [event, reset] = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => JSON.parse(json!));

test('docs/events.md - its example event matches the schema', () => {
  expect(schemaChecker()(JSON_SCHEMAS.event!, event)).toEqual([]);
  expect(publicationsOf(event as LamppostEvent).map(({ topic }) => topic)).toEqual(['events/alerts/bin-full/bin-7']);
});

test('docs/events.md - names every type of event', () => {
  const named = EVENT_TYPES.filter((type) => text.includes(`\`${type}\``));
  const actions = HISTORY_ACTIONS.filter((action) => text.includes(`\`${action}\``)).map(
    (action) => `city.lamppost.ticket.${action}`,
  );
  expect(new Set([...named, ...actions])).toEqual(new Set(EVENT_TYPES));
});

test('docs/events.md - its example stream matches a real one', () => {
  const [head] = sseOf({ n: 18, event: event as LamppostEvent }, '3f9a2c1e').split('"data"');
  expect(
    head!.startsWith(
      'id: 18-3f9a2c1e\nevent: city.lamppost.alert.firing\ndata: {"specversion":"1.0","id":"4711.0-alert",',
    ),
  ).toBe(true);
  expect(text).toContain(
    'id: 18-3f9a2c1e\nevent: city.lamppost.alert.firing\ndata: {"specversion":"1.0","id":"4711.0-alert",…}\n\n',
  );
  const kept = { oldest: 2_801, head: 3_000, store: '3f9a2c1e' };
  const said = resetOf({ asked: '3-3f9a2c1e', reason: 'too-old', kept });
  expect(JSON.parse(/^data: (.*)$/m.exec(said)![1]!)).toEqual(reset);
  for (const reason of ['too-old', 'ahead', 'other-store', 'not-an-id']) expect(text).toContain(`\`${reason}\``);
});

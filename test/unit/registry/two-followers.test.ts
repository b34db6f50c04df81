import type { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Device, DevicesControl } from '../../../domain/index.ts';
import { createContext, INGEST_SCHEMAS } from '../../../ingest/index.ts';
import { REGISTRY_SCHEMA, RegistryFollower } from '../../../registry/index.ts';
import { transact } from '../../../store/index.ts';
import { parseOnce } from '../../kit/ingest/intake.ts';
import { testRegistry } from '../../kit/registry.ts';
import { openMigrated } from '../../kit/store/new-state.ts';

const device = (id: string, more: Partial<Device> = {}): Device => ({ id, profile: 'bin', district: 'east', ...more });

function openState(): DatabaseSync {
  const db = openMigrated(':memory:', [...INGEST_SCHEMAS, REGISTRY_SCHEMA]);
  return db;
}

/** Two nodes that follow one registry: what each appends waits until it is let into the log. */
function twoNodes(registry: ReturnType<typeof testRegistry>) {
  const log: DevicesControl[] = [];
  const nodes = ['a', 'b'].map(() => {
    const waiting: { control: DevicesControl; done: () => void }[] = [];
    const follower = new RegistryFollower({
      registry: registry.read,
      journal: (control) => new Promise<void>((resolve) => waiting.push({ control, done: resolve })),
      broker: async () => [],
      timers: { after: () => () => {} },
      journalled: registry.read.version(),
    });
    return {
      follow: () => follower.follow(),
      /** Lets the oldest of what waits into the log, where there is any. */
      async append() {
        const next = waiting.shift();
        if (next !== undefined) log.push(next.control);
        next?.done();
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
  });
  return { log, nodes };
}

/** Reads the records; after each, what it changed, and the devices. The file is opened anew before the `again`th. */
function readAll(log: readonly DevicesControl[], again: number) {
  const db = openState();
  let context = createContext(db, parseOnce);
  const steps = log.map((control, i) => {
    if (i === again) context = createContext(db, parseOnce);
    const { changed, revoked } = context.learnDevices(i + 1, control);
    transact(db, () => context.persist())();
    return { version: control.version, changed, revoked };
  });
  return { steps, devices: context.devicesAt(Number.MAX_SAFE_INTEGER), versions: versionsIn(db) };
}

const versionsIn = (db: DatabaseSync) => Number(db.prepare('select count(*) as n from context_devices').get()!.n);

const steps = fc.array(
  fc.record({
    do: fc.constantFrom('register', 'revoke', 'suspend', 'follow', 'follow', 'follow', 'append', 'append'),
    id: fc.constantFrom('d1', 'd2', 'd3'),
    node: fc.nat({ max: 1 }),
  }),
  { minLength: 20, maxLength: 60 },
);

test('registry - whatever two nodes append of one registry, and in which order, the second of a version changes nothing', async () => {
  let [repeated, overlapping] = [0, 0];
  await fc.assert(
    fc.asyncProperty(steps, fc.nat({ max: 20 }), async (script, again) => {
      const db = openState();
      const registry = testRegistry(db, { now: () => 0 });
      const { log, nodes } = twoNodes(registry);
      for (const { do: what, id, node } of script) {
        const known = registry.read.get(id);
        if (what === 'register' && known === null) registry.register([device(id)]);
        if (what === 'revoke' && known !== null) registry.revoke(id);
        if (what === 'suspend' && known !== null)
          transact(db, () => registry.records.devices.suspend(id, !known.suspended, registry.place()));
        if (what === 'follow') void nodes[node]!.follow();
        if (what === 'append') await nodes[node]!.append();
      }
      // Both bring all that is left into the log, one after the other.
      for (const node of nodes) {
        let isDone = false;
        void node.follow().then(() => {
          isDone = true;
        });
        while (!isDone) await node.append();
      }
      const found = readAll(log, again);
      let newest = 0;
      for (const { version, changed, revoked } of found.steps) {
        if (version <= newest) {
          expect([changed, revoked]).toEqual([[], []]);
          repeated++;
        }
        newest = Math.max(newest, version);
      }
      const listed = registry.read.list({ limit: 10, after: null }).items.map(({ id, suspended }) => [id, suspended]);
      expect(found.devices.map(({ id, suspended = false }) => [id, suspended]).sort()).toEqual(listed);
      // Without the records that came second the log leads to the same versions of the same devices.
      const first = log.filter(({ version }, i) => log.slice(0, i).every((before) => before.version < version));
      const alone = readAll(first, -1);
      expect(found.versions).toBe(alone.versions);
      overlapping += first.filter(({ since }, i) => i > 0 && since! < first[i - 1]!.version).length;
      db.close();
    }),
    { numRuns: 60 },
  );
  expect(repeated).toBeGreaterThan(50);
  expect(overlapping).toBeGreaterThan(0);
});

test('registry - records from before nodes shared a log change what they say, whatever their version', () => {
  const before: DevicesControl[] = [
    { version: 900, registered: [device('d1')], revoked: [] },
    { version: 7, since: 0, registered: [device('d1', { district: 'west' })], revoked: [] },
    { version: 3, registered: [], revoked: ['d1'] },
  ];
  const { steps } = readAll(before, -1);
  expect(steps.map(({ changed, revoked }) => [changed.length, revoked.length])).toEqual([
    [1, 0],
    [1, 0],
    [0, 1],
  ]);
});

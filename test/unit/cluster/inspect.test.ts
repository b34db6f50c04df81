import { nanos } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { findingsOf, type SeenServer, type SeenStream, syncIn } from '../../../cluster/index.ts';

const SETTINGS = { name: 'lamppost', replicas: 3 };
const server = (url: string, some: Partial<SeenServer> = {}): SeenServer => ({
  ...{ url, fault: null, version: '2.10.20', hasJetStream: true, maxPayload: 1_024 ** 2, syncMs: null },
  ...some,
});
const three = (some: Partial<SeenServer> = {}) => ['n1', 'n2', 'n3'].map((url) => server(url, some));

function stream(some: Record<string, unknown> = {}, replicas: readonly object[] = []): SeenStream {
  const config = {
    ...{ name: 'lamppost', num_replicas: 3, storage: 'file', retention: 'limits', discard: 'new' },
    ...{ max_age: 0, max_msgs: -1, max_msgs_per_subject: -1, duplicate_window: nanos(120_000), ...some },
  };
  return { config, cluster: { leader: 'n1', replicas } } as unknown as SeenStream;
}

const wrong = (found: ReturnType<typeof findingsOf>) => found.filter(({ well }) => !well).map(({ said }) => said);
const durability = (servers: readonly SeenServer[], seen: SeenStream | null = stream()) =>
  findingsOf(SETTINGS, servers, seen).at(-1)!.said;

test('doctor of a cluster - three servers and the stream that Lamppost makes are well', () => {
  expect(wrong(findingsOf(SETTINGS, three(), stream()))).toEqual([]);
  expect(findingsOf(SETTINGS, three(), null).map(({ said }) => said)).toContain(
    'stream lamppost: there is none yet; the first node makes it',
  );
});

test('doctor of a cluster - names what is wrong with servers', () => {
  const servers = [
    server('n1', { fault: 'no NATS server of LAMPPOST_LOG can be reached' }),
    server('n2', { hasJetStream: false }),
    server('n3', { maxPayload: 65_536 }),
  ];
  expect(wrong(findingsOf(SETTINGS, servers, stream()))).toEqual([
    'n1: no NATS server of LAMPPOST_LOG can be reached',
    'n2: NATS 2.10.20 without JetStream; set jetstream {}',
    'n3: max_payload is 65536 bytes; set it to 1 MiB or more, 8 MiB at most',
  ]);
  expect(wrong(findingsOf(SETTINGS, [server('n1')], stream()))[0]).toMatch(/names 1 servers for 3 replicas/);
});

test('doctor of a cluster - names what is wrong with the stream', () => {
  const odd = stream(
    {
      ...{ num_replicas: 1, storage: 'memory', retention: 'workqueue', discard: 'old', max_age: 1 },
      duplicate_window: nanos(5_000),
    },
    [
      { name: 'n2', current: false, offline: true },
      { name: 'n3', current: false, offline: false },
    ],
  );
  expect(wrong(findingsOf(SETTINGS, three(), odd))).toEqual([
    'stream lamppost: it has 1 replicas, and LAMPPOST_LOG_REPLICAS is 3; nats stream edit lamppost --replicas 3',
    'stream lamppost: its replica on n2 is away',
    'stream lamppost: its replica on n3 is behind: where it stays so for a minute, restart that server',
    'stream lamppost: its duplicate window is 5 s; it must be 120 s or more',
    'stream lamppost: it is in memory only; it must be in files',
    'stream lamppost: its retention is workqueue; it must be limits',
    'stream lamppost: it drops what is old by age or number: only snapshots may trim it; take these limits away',
    'stream lamppost: it drops what is old when it is full; set discard to new',
  ]);
});

test('doctor of a cluster - says which promise holds', () => {
  expect(durability(three({ syncMs: 0 }))).toMatch(/Any 1 of them may be lost.*All may lose power/);
  expect(durability([...three({ syncMs: 0 }).slice(1), server('n3', { syncMs: 120_000 })])).toMatch(
    /syncs its disks every 120 s.*cluster recover.*sync_interval: always/,
  );
  expect(durability(three())).toMatch(/is not known \(monitoring port 8222\)/);
  expect(durability(three({ version: '2.9.10' }))).toMatch(/every 120 s/);
  expect(durability(three(), stream({ num_replicas: 1 }))).toMatch(/one replica.*with the disk of its server/);
});

test('doctor of a cluster - reads from the monitoring port whether a server syncs before it acknowledges', () => {
  const varz = (config: object) => ({ server_id: 'N1', jetstream: { config } });
  expect(syncIn(varz({ sync_interval: nanos(120_000) }), 'N1')).toBe(120_000);
  expect(syncIn(varz({ sync_interval: nanos(120_000), sync_always: true }), 'N1')).toBe(0);
  expect(syncIn(varz({}), 'N1')).toBeNull();
  expect(syncIn(varz({ sync_always: true }), 'another server')).toBeNull();
  expect(syncIn('<html>', 'N1')).toBeNull();
});

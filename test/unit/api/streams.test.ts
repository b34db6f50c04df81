import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createRefusals } from '../../../api/index.ts';
import { createStreams } from '../../../api/streams.ts';
import { ticketEventOf } from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';

const OPTIONS = { heartbeatMs: 600_000, maxStreams: 10, maxStreamsOfKey: 10, maxStreamsOfAddress: 10 };

/** An outbox, its streams, and a server that streams all of it to whoever connects. */
async function serve() {
  const { db, events, outbox } = openState();
  const listeners = new Set<() => void>();
  const looks = { pages: 0 };
  const streams = createStreams(
    {
      page({ after, ...query }) {
        looks.pages++;
        return events.page({ ...query, after: Number(after) });
      },
      head: events.head,
      oldest: events.oldest,
      firedSince: events.firedSince,
      store: events.store,
      isShared: false,
      onAppended(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    OPTIONS,
    createRefusals(),
  );
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    const reader = { key: 'k', session: null, mayRead: () => true, source: 'here' };
    streams.admit(response, { ...reader, filter: {}, last: '0' })();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    streams.stop();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  let count = 0;
  return {
    responses,
    looks,
    append(events: number) {
      db.exec('begin');
      for (const last = count + events; count < last; ) {
        count++;
        const id = `${count}.0`;
        outbox.append(ticketEventOf(ticketOf(id, { group: `air-${count}` })));
      }
      db.exec('commit');
      for (const listener of listeners) listener();
    },
    /** Connects; what it reads is counted only. */
    async reader(reads: boolean) {
      const socket = connect(port, '127.0.0.1');
      const seen = { events: 0 };
      if (reads) {
        let rest = '';
        socket.setEncoding('utf8').on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop()!;
          seen.events += lines.filter((line) => line.startsWith('event: ')).length;
        });
      } else socket.pause();
      const before = responses.length;
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      while (responses.length === before) await turn();
      return seen;
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('streams - events that a slow reader has not read are not held in memory', async () => {
  const served = await serve();
  await served.reader(false);
  const [stalled] = served.responses;
  let most = 0;
  for (let i = 0; i < 1_000; i++) {
    served.append(50);
    most = Math.max(most, stalled!.writableLength);
    await turn();
  }
  expect(most).toBeGreaterThan(10_000);
  expect(most).toBeLessThan(256 * 1024);
});

test('streams - readers that wait for the next event share one query of the outbox', async () => {
  const served = await serve();
  const readers = [await served.reader(true), await served.reader(true), await served.reader(true)];
  await served.reader(false);
  for (let i = 1; i <= 20; i++) {
    served.append(2);
    expect(served.looks.pages).toBe(i);
    while (readers.some(({ events }) => events < 2 * i)) await turn();
  }
});

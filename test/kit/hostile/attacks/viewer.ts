import { pause } from '../../wait.ts';
import { type Attack, lanes, over, type Target } from '../target.ts';
import { ask, RawClient } from '../wire.ts';

/** Reads paths again and again, each over a connection of its own. */
async function read(target: Target, signal: AbortSignal, count: number, paths: readonly string[], key: string) {
  const found = { answered: 0, refused: 0, busy: 0, bytes: 0, longestMs: 0 };
  await lanes(count, signal, async (lane, round) => {
    const path = paths[(lane + round) % paths.length]!;
    const { status, bytes, ms } = await ask(target, { path, key, signal });
    found.bytes += bytes;
    found.longestMs = Math.max(found.longestMs, Math.round(ms));
    if (status === 200) found.answered++;
    else if (status >= 400 && status < 500) found.refused++;
    else found.busy++;
    if (status !== 200) await pause(100);
  });
  return found;
}

/** Subscribes with many filters in one packet, in a kept session, again and again. */
async function subscribe(target: Target, signal: AbortSignal, filters: number) {
  const [login] = target.keys.viewer;
  const found = { sent: 0, granted: 0, cut: 0 };
  for (let n = 0; !signal.aborted; n++) {
    const client = await RawClient.login(target, login, { clientId: `s-${filters}-${n}`, clean: false });
    if (client === null) {
      found.cut++;
      await pause(200);
      continue;
    }
    const subscriptions = Array.from({ length: filters }, (_, i) => ({
      topic: `live/${i}`,
      qos: 1 as const,
    }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    const answer = await client.next('suback');
    found.sent++;
    if (answer?.cmd === 'suback') found.granted += answer.granted.filter((one) => Number(one) < 128).length;
    else found.cut++;
    client.end();
    await pause(50);
  }
  return found;
}

const now = () => Date.now();
const DAY = 86_400_000;

/** Attacks with a viewer's key. */
export const VIEWER: Readonly<Record<string, Attack>> = {
  'subscribe-4000': {
    title: 'a SUBSCRIBE of 4,000 filters in a kept session stops nobody',
    run: (target, signal) => subscribe(target, signal, 4_000),
  },
  'subscribe-20000': {
    title: 'a SUBSCRIBE of 20,000 filters in a kept session stops nobody',
    run: (target, signal) => subscribe(target, signal, 20_000),
  },
  'subscribe-many': {
    title: 'thousands of SUBSCRIBEs and UNSUBSCRIBEs of ten filters in one session stop nobody',
    async run(target, signal) {
      const [login] = target.keys.viewer;
      const client = await RawClient.login(target, login, { clientId: 'many', clean: false });
      let sent = 0;
      while (client !== null && !client.socket.destroyed && !signal.aborted) {
        for (let n = 0; n < 100; n++, sent++) {
          const subscriptions = Array.from({ length: 10 }, (_, i) => ({
            topic: `live/${sent % 2_000}/${i}`,
            qos: 1 as const,
          }));
          const messageId = 1 + (sent % 60_000);
          if (sent % 4 === 3)
            client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: subscriptions.map(({ topic }) => topic) });
          else client.send({ cmd: 'subscribe', messageId, subscriptions });
        }
        await pause(20);
      }
      return { sent };
    },
  },
  'wildcard-subscribers': {
    title: 'a viewer with 100 connections that all read everything and never take it stops nobody',
    async run(target, signal) {
      const [login] = target.keys.viewer;
      const clients = [];
      for (let i = 0; i < 100 && !signal.aborted; i++) {
        const client = await RawClient.login(target, login, { clientId: `w-${i}`, clean: i % 2 === 0 });
        if (client === null) continue;
        client.send({
          cmd: 'subscribe',
          messageId: 1,
          subscriptions: [
            { topic: '#', qos: 1 },
            { topic: 'live/#', qos: 1 },
          ],
        });
        client.socket.pause();
        clients.push(client);
      }
      await over(signal);
      const held = clients.filter(({ socket }) => !socket.destroyed).length;
      for (const client of clients) client.end();
      return { held };
    },
  },
  'refused-filters': {
    title: 'twenty thousand refused filters are bounded in the log',
    async run(target, signal) {
      const [login] = target.keys.viewer;
      let sent = 0;
      for (let n = 0; n < 20 && !signal.aborted; n++) {
        const client = await RawClient.login(target, login, { clientId: `refused-${n}` });
        const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({
          topic: `$SYS/${n}/${i}`.padEnd(200, 'x'),
          qos: 0 as const,
        }));
        client?.send({ cmd: 'subscribe', messageId: 1, subscriptions });
        if ((await client?.next('suback')) != null) sent += 1_000;
        client?.end();
      }
      return { filters: sent };
    },
    judge: (_figures, { logBytes }) => (logBytes <= 64 * 1024 ? [] : [`the log: ${logBytes} bytes of refused filters`]),
  },
  'readings-grid': {
    title: 'six queries of a million empty seconds stop nobody',
    leastMs: 6_000,
    run: (target, signal) =>
      read(
        ...([target, signal, 6] as const),
        ['json', 'csv'].map(
          (format) =>
            `/api/v1/readings?device=load-1&metric=pm25&every=1s&fill=null&maxPoints=1000000&from=${now() - 11.5 * DAY}&to=${now()}&format=${format}`,
        ),
        target.keys.viewer[0].secret,
      ),
  },
  'readings-all': {
    title: 'queries of all readings in every form and aggregate stop nobody',
    run: (target, signal) => {
      const wide = [
        'fn=p95&every=1s',
        'fn=median&every=2s&fill=null',
        'format=parquet',
        'format=csv',
        'every=1ms&maxPoints=1000000',
        'fn=stddev&every=1h',
      ];
      const paths = wide.map((one) => `/api/v1/readings?from=0&to=${now() + DAY}&maxPoints=1000000&${one}`);
      return read(target, signal, 12, paths, target.keys.viewer[0].secret);
    },
  },
  'readings-names': {
    title: 'queries with thousands of names stop nobody',
    run: (target, signal) => {
      const names = Array.from({ length: 1_200 }, (_, i) => `d-${i}`).join(',');
      const paths = [
        `/api/v1/readings?device=${names}`,
        `/api/v1/readings/latest?device=${names}`,
        `/api/v1/tickets?group=${names}`,
        `/api/v1/events?ticket=${names}&after=0`,
      ];
      return read(target, signal, 20, paths, target.keys.viewer[0].secret);
    },
  },
  'api-lists': {
    title: 'sixty readers of the longest lists of the API stop nobody',
    tickets: true,
    run: (target, signal) => {
      const lists = ['tickets', 'events?after=0&', 'alerts', 'quarantine', 'devices', 'tickets/waiting'];
      const paths = lists.map((list) => `/api/v1/${list}${list.includes('?') ? '' : '?'}limit=1000`);
      return read(target, signal, 60, paths, target.keys.viewer[0].secret);
    },
  },
  metrics: {
    title: 'thirty readers of metrics, ledger and readiness stop nobody',
    run: (target, signal) =>
      read(target, signal, 30, ['/metrics', '/api/v1/ledger', '/ready', '/openapi.json'], target.keys.viewer[0].secret),
  },
  'sse-all-slots': {
    title: 'five keys with 200 event streams each leave a place for an operator',
    leastMs: 6_000,
    async run(target, signal) {
      const five = [...target.keys.viewer, ...target.keys.operator, target.keys.admin[0]];
      const keys = five.map(({ secret }) => secret);
      const open = new AbortController();
      const streams: Promise<unknown>[] = [];
      let held = 0;
      for (const key of keys) {
        for (let i = 0; i < 200 && !signal.aborted; i++) {
          const headers = { accept: 'text/event-stream' };
          const asked = { path: '/api/v1/events?after=0', key, headers, signal: open.signal };
          streams.push(ask(target, asked).then(() => held--));
          held++;
          if (i % 20 === 19) await pause(20);
        }
      }
      await pause(1_000);
      const mine = new AbortController();
      const headers = { accept: 'text/event-stream' };
      const asked = {
        path: '/api/v1/events',
        key: target.keys.admin[1].secret,
        headers,
        from: '127.0.0.9',
        signal: mine.signal,
      };
      const refused = await Promise.race([
        ask(target, asked).then(({ status }) => status),
        pause(1_500).then(() => 200),
      ]);
      mine.abort();
      const still = held;
      open.abort();
      return { held: still, others: refused };
    },
    judge: ({ others }) => (others === 200 ? [] : [`the stream of another key: ${others}`]),
  },
};

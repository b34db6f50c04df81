import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AedesPublishPacket, Client } from 'aedes';
import { DAY_MS, LamppostError, type MqttReason } from '../domain/index.ts';
import { Logins, shown } from '../limits/index.ts';
import { Credentials } from '../registry/index.ts';
import { declaredTopics, Subscribers, type TopicRefusal } from './access.ts';
import { BrokerAccounts } from './accounts.ts';
import { type Admitted, createAdmission } from './admission.ts';
import { Arrivals, commandsOf, isDownlinkFilter } from './commands.ts';
import {
  type Connection,
  FILTER_PACKETS,
  firstRefusal,
  reasonOf,
  refuseForward,
  SUBSCRIBE,
  unreadOf,
} from './connection.ts';
import { Connections } from './connections.ts';
import type { Broker, BrokerDeps, BrokerOptions } from './contract.ts';
import { DelayedWills, isWill } from './delayed-wills.ts';
import { createDirectWays } from './direct.ts';
import { Five, type FiveHooks } from './five/index.ts';
import { FrontDoor } from './front-door.ts';
import { HeldReads } from './held-reads.ts';
import { IngestAedes, reachesLive, readsLive, sessionName, subscriptionsOf, userOf } from './ingest-aedes.ts';
import { createListeners } from './listeners.ts';
import { createLogin } from './login.ts';
import { createOutgoing, createPresence } from './outgoing.ts';
import { Outside } from './outside.ts';
import { Overload } from './overload.ts';
import { QuietLog } from './quiet-log.ts';
import { Refusals } from './refusals.ts';
import type { MemberHooks, SessionRecords, Sessions, Shared } from './sessions/index.ts';
import { shareOf } from './share.ts';
import { createUpkeep, openSessions, publishLeftWills, type Upkeep } from './upkeep.ts';

const EMPTY = Buffer.alloc(0);

const NO_SESSIONS = { sessions: 0, sessionsConnected: 0, queued: 0, queueDropped: 0, retained: 0 };

/** Time limit of a connection for its login, the header of a proxy and the TLS handshake included, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Returns an Aedes broker whose acknowledgements wait for the journal; `connection.ts` lists its decisions. */
export function createBroker(deps: BrokerDeps, options: BrokerOptions): Broker {
  const { log, sink, clock } = deps;
  const credentials = new Credentials();
  const quiet = new QuietLog(log, clock);
  const access = new Subscribers(profileOf, options.departments, !deps.records);
  const accounts = new BrokerAccounts(options.accounts);
  const refusals = new Refusals({
    ...{ credentials, accounts, clock, quiet },
    sourceOf: (conn) => connections.get(conn)?.visitor.source ?? null,
    publish: (publication) => outgoing.publish(publication),
  });
  const overload = new Overload(deps.load, () => accounts.all());
  const reads = new HeldReads({ clock, overload, onThrottled: (account) => refusals.throttled(account) });
  let declared = options.declared && declaredTopics(options.declared);
  const refusedMessage = ({ id }: { id: string }, topic: string, why: TopicRefusal) => refusals.message(id, topic, why);
  const admission = createAdmission(sink, refusedMessage, () => declared);
  const turnedAway = (source: string, why: MqttReason) => refusals.turnedAway(source, why);
  const door = new FrontDoor({ ...deps, refused: turnedAway }, { ...options, loginTimeoutMs: CONNECT_TIMEOUT_MS });
  const logins = new Logins({
    ...{ ...deps, newId: randomUUID, onFailing: deps.publishFailing },
    counter: (apply) => deps.counters.counter('mqtt', apply),
  });
  const ways = createDirectWays(admission);
  const wills = new DelayedWills(deps.timers);
  const arrivals = new Arrivals(deps.commands, deps.timers);
  const sessionSeconds = (options.sessions.limits.days * DAY_MS) / 1_000;
  const fiveLimits = { maxPacket: options.maxPacket, sessionSeconds };
  const connections = new Connections({
    ...{ limits: options, quiet, refusals, reads },
    spent: ({ account }, packets, bytes) => account?.charge(packets, bytes, clock.now()),
    five: (socket, connect, connection) => new Five(socket, connect, hooksOf(connection), fiveLimits),
    handle: (socket) => void aedes.handle(socket),
    closed(socket) {
      const client = connections.get(socket)?.client ?? null;
      if (client !== null) sessions?.clients?.closed(socket, expiryOf(client));
      noteLive(socket, false);
      presence.disconnected(socket, stopping);
    },
  });
  /** Keys that logged in since somebody asked. */
  let keysUsed = new Set<string>();
  /** Connections with a subscription to live readings. */
  const liveReaders = new Set<Duplex>();
  let sessions: Sessions | undefined;
  let upkeep: Upkeep | undefined;
  let stopping = false;

  const login = createLogin({
    ...{ credentials, accounts, connections, door, logins, quiet, refusals },
    byCertificate: options.tls?.clientNames === true,
    accepted(client, connection, identity) {
      if (identity.kind === 'key') keysUsed.add(identity.id);
      const before = aedes.connectionOf(client.id);
      if (before !== null) connections.get(before)?.edge.five?.because('taken-over');
      const fresh = client.clean || connection.edge.five?.startsFresh === true;
      const device = identity.kind === 'device';
      sessions!.clients?.login(client.id, client.conn, { device, fresh, expiry: expiryOf(client) });
      // Where the log does not take it, the login is refused, too.
      if (connection.edge.five?.startsFresh) sessions!.persistence.cleanSubscriptions(client).catch(() => {});
    },
  });

  const aedes = new IngestAedes({
    connectTimeout: CONNECT_TIMEOUT_MS,
    // MQTT 3.1 ends client ids at 23 characters; ids of devices may be longer.
    maxClientsIdLength: 1_024,
    preConnect(client, packet, done) {
      const connection = connections.get(client.conn);
      if (connection !== undefined) {
        connection.nameless = packet.clientId === '' && !packet.clean;
        connection.said = packet.username ?? null;
      }
      packet.clientId = sessionName(packet.username ?? '', packet.clientId);
      done(null, true);
    },
    authenticate: (client, username, password, done) => login(client, username ?? '', password, done),
    authorizePublish(client, packet, done) {
      const connection = client === null ? undefined : connections.get(client.conn);
      // Wills also arrive here, after the connection is closed; they are admitted like other messages.
      const publisher = connection?.publisher;
      if (publisher === undefined || publisher === null || stopping) return done(new Error('not admitted'));
      const { topic, payload, qos, messageId } = packet as typeof packet & { messageId?: number };
      const admit = (settled: Admitted) => admission.admit(publisher, topic, payload as Buffer, settled);
      const { five } = connection!.edge;
      const settled: Admitted = (error, why) => {
        connection!.direct?.flush();
        if (why !== null) five?.refused(messageId ?? 0, why);
        // The journal has it. Aedes keeps a message of QoS 2 until its PUBREL, and needs only its id.
        packet.payload = EMPTY;
        done(error);
        connection!.committed();
      };
      if (five !== null && five.willDelay > 0 && isWill(client!, packet)) {
        wills.later(client!.id, five.willDelay, () => {
          // Its client is back at another node (MQTT-3.1.3-9).
          if (sessions!.isElsewhere(client!.id)) settled(new LamppostError('conflict', 'its client is back'), null);
          else admit(settled);
        });
        return;
      }
      // A will has no id.
      if (qos !== 2 || messageId === undefined) return admit(settled);
      connection!.once.take(messageId, sessions!.persistence.isReceived(client!.id, messageId), admit, settled);
    },
    authorizeSubscribe(client, subscription, done) {
      const connection = connections.get(client.conn);
      const why = firstRefusal(SUBSCRIBE, connection, client, subscription.topic, sessions!, access);
      connection?.account?.charge(FILTER_PACKETS, 0, clock.now());
      if (why === null) {
        connection!.edge.five?.grant(subscription);
        connection!.filters.add(subscription.topic);
        if (sessions!.hasSubscription(client.id, subscription.topic)) connection!.kept.add(subscription.topic);
        return done(null, subscription);
      }
      connection?.edge.five?.refusedFilter(subscription.topic, why);
      refusals.note(connection?.account?.id, why, `SUBSCRIBE to ${subscription.topic}`, client.conn);
      quiet.warn(userOf(client.id), why, 'subscription refused', { topic: shown(subscription.topic) });
      // Aedes sends SUBACK 128 for null.
      done(null, null);
    },
    authorizeForward(client, packet) {
      const connection = connections.get(client.conn);
      const five = connection?.edge.five ?? null;
      const why = refuseForward(connection, client, packet.topic, options.maxUnread, access);
      if (why === null && packet.retain && five !== null && !five.wantsRetained(packet.topic)) return null;
      if (why === null) return forward(client, packet, connection);
      if (why !== 'slow-reader') return null;
      refusals.counts.cutSlow++;
      const unread = unreadOf(connection, client);
      five?.because(why);
      refusals.note(connection?.account?.id, why, `${unread} bytes unread`, client.conn);
      quiet.warn(userOf(client.id), why, 'slow subscriber cut', { client: shown(client.id), unread });
      client.conn.destroy();
      return null;
    },
  });

  /** Returns what the translation of MQTT 5 needs of a connection. */
  function hooksOf(state: Connection): FiveHooks {
    return {
      isDevice: (id) => credentials.get(id)?.identity.kind === 'device',
      newId: randomUUID,
      isSubscribed: (filter) => state.filters.has(filter),
      loginRefusal: () => state.loginRefusal,
      discard: (messageId) => sessions!.settled(state.client!.id, messageId, false),
      secondsLeft(topic, payload) {
        // Most topics are others, and every message to every client is asked.
        if (commandsOf(topic) === null && !isDownlinkFilter(topic)) return null;
        return deps.commands.secondsLeft(topic, payload.toString());
      },
      mayShare: () => state.publisher !== null && access.mayShare(state.publisher.identity),
      forget: (messageId) => aedes.forget(state.client!, messageId),
      whyEnds(error) {
        if (stopping) return 'stopping';
        return (error === undefined ? null : reasonOf(error)) ?? 'protocol-error';
      },
    };
  }

  const fiveOf = (client: Client) => connections.get(client.conn)?.edge.five ?? null;

  /** A message of a shared subscription has the identifier and options of that. */
  const members: MemberHooks = {
    sending(client, share, write) {
      const five = fiveOf(client);
      if (five === null) write();
      else five.shared(share, write);
    },
    mostOf: (client) => fiveOf(client)?.receiveMaximum ?? Number.POSITIVE_INFINITY,
  };

  /** Returns what the sessions of a node among others need of the broker. */
  function sharedOf(records: SessionRecords): Shared {
    return {
      records,
      timers: deps.timers,
      onStatus: (id, isOnline) => presence.status(id, isOnline),
      onTakenOver: (socket) => connections.endElsewhere(socket as Socket, 'taken-over'),
      onCutOff() {
        log.warn('this node was cut off from the others: its connections end');
        connections.endAllElsewhere();
      },
    };
  }

  function profileOf(device: string): string | null {
    const identity = credentials.get(device)?.identity;
    return identity?.kind === 'device' ? identity.profile : null;
  }

  /** Commands that have waited are in the queue of a session that was subscribed before. */
  function forward(client: Client, packet: AedesPublishPacket, connection: Connection | undefined) {
    const { topic, payload, retain } = packet;
    const device = commandsOf(topic);
    if (device !== null && retain && connection?.kept.has(topic)) return null;
    const identity = connection?.publisher?.identity;
    if (identity?.kind === 'key' && identity.key.role === 'network-server') {
      const downlink = deps.commands.downlink(topic, payload.toString());
      if (downlink?.key !== identity.id) return null;
      // What has waited is in the queue of a session that was subscribed before. It is no state: nobody retains it.
      if (retain && [...connection!.kept].some(isDownlinkFilter)) return null;
      const sent = aedes.forward(client, retain ? { ...packet, retain: false } : packet);
      if (sent !== null) arrivals.noteId(downlink.id);
      return sent;
    }
    const sent = aedes.forward(client, packet);
    if (sent !== null && device !== null && device === client.id) arrivals.note(payload.toString());
    return sent;
  }

  function noteLive(conn: Duplex, reads: boolean): void {
    // A connection that closed meanwhile is never added again.
    const changed =
      reads && connections.isOpen(conn) ? liveReaders.size < liveReaders.add(conn).size : liveReaders.delete(conn);
    if (changed) deps.live(liveReaders.size > 0);
  }

  /** How long the session of a client of MQTT 5 is kept, s; null where only the server's limit holds. */
  const expiryOf = (client: Client) => {
    const five = connections.get(client.conn)?.edge.five ?? null;
    return five === null || five.isReplaced ? null : five.expiry;
  };

  const isKey = (id: string) => credentials.get(id)?.identity.kind === 'key';

  const outside = new Outside({
    ...{ credentials, accounts, admission, overload, refusals, clock },
    isStopping: () => stopping,
    used: (key) => keysUsed.add(key),
  });
  const outgoing = createOutgoing(aedes, () => sessions!);
  const presence = createPresence({
    announce: (topic, payload) => outgoing.publish({ topic, payload, qos: 0, retain: true }),
    isKnown: (id) => credentials.get(id) !== undefined,
    hasStatus: (topic) => sessions !== undefined && sessions.retained.payload(topic) !== null,
  });
  const listeners = createListeners(
    {
      door,
      accept: (socket, visitor) => connections.accept(socket, visitor),
      refused: (source, why) => refusals.foreign(source, why),
    },
    options,
  );
  const noteOf = (client: Client | null) => client !== null && noteLive(client.conn, readsLive(client));
  /** Clients whose filters have changed: all of them are looked at once in a turn, not for each packet. */
  const changed = new Set<Client>();
  const noteChanged = () => {
    for (const client of changed) noteOf(client);
    changed.clear();
  };
  const noteFilters = (client: Client | null, filters: readonly string[]) => {
    if (client === null) return;
    if (filters.some((filter) => shareOf(filter) !== null)) sessions?.groups.note(client, subscriptionsOf(client));
    // Before its SUBACK.
    if (filters.some(reachesLive)) noteLive(client.conn, true);
    if (changed.size === 0) setImmediate(noteChanged);
    changed.add(client);
  };
  aedes.on('subscribe', (subscriptions, client) => {
    noteFilters(
      client,
      subscriptions.map(({ topic }) => topic),
    );
  });
  aedes.on('unsubscribe', (filters, client) => noteFilters(client, filters));
  aedes.on('client', (client) => {
    // Its session may have restored subscriptions.
    noteOf(client);
    const isDevice = connections.get(client.conn)?.publisher?.identity.kind === 'device';
    // Among several nodes the log says who is connected.
    if (isDevice && !deps.records) presence.connected(client.id, client.conn);
    wills.returned(client.id);
    // Its message ids begin anew, too (§3.1.2.4); after the connection that it replaced has ended.
    if (connections.get(client.conn)?.edge.five?.startsFresh) void sessions!.persistence.cleanIncoming(client);
    if (!client.clean) sessions!.connected(client, expiryOf(client));
  });
  aedes.on('clientDisconnect', (client) => sessions!.disconnected(client, expiryOf(client)));
  aedes.on('clientReady', (client) => {
    const connection = connections.get(client.conn);
    if (connection === undefined) return;
    const publisher = () => (stopping ? null : connection.publisher);
    const settled = () => connection.committed();
    const refusedMessage = (id: number, why: TopicRefusal) => connection.edge.five?.refused(id, why);
    connection.direct = ways.open(client, { publisher, settled, refused: refusedMessage });
    if (!client.clean) sessions!.ready(client);
    sessions!.groups.note(client, subscriptionsOf(client));
  });
  aedes.on('unsubscribe', (filters, client) => {
    const connection = client === null ? undefined : connections.get(client.conn);
    for (const filter of filters) connection?.filters.delete(filter);
  });
  aedes.on('clientError', (client, error) => {
    log.debug({ client: client.id, error: error.message }, 'client error');
    const why = reasonOf(error);
    if (why !== null) refusals.note(connections.get(client.conn)?.account?.id, why, error.message, client.conn);
  });
  aedes.on('connectionError', (client, error) => {
    log.debug({ error: error.message }, 'connection error');
    const why = reasonOf(error);
    if (why !== null) refusals.note(connections.get(client.conn)?.said, why, error.message, client.conn);
  });

  return {
    async open() {
      const shared = deps.records ? sharedOf(deps.records) : null;
      sessions = openSessions({ ...deps, credentials, access, arrivals, shared, members }, options.sessions);
      upkeep = createUpkeep({ sessions, everyMs: options.sessions.upkeepMs }, { ...deps, credentials });
      await aedes.listenWith(sessions);
      sessions.clients?.start();
    },
    recorded: () => sessions?.clients?.recorded(),
    async start() {
      upkeep!.start();
      const left = publishLeftWills(sessions!, credentials, admission);
      // Among several nodes the log must come first: it says whose clients are at another one.
      if (deps.records)
        left.catch((err: unknown) => log.warn({ err }, 'wills of the run before stay for the next start'));
      else await left;
      return listeners.start();
    },
    async stop() {
      if (stopping) return;
      stopping = true;
      reads.stop();
      wills.stop();
      door.stop();
      logins.stop();
      listeners.stop();
      while (sink.pendingBytes() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      ways.flush();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      connections.destroy();
      door.destroy();
      quiet.flush();
      upkeep?.stop();
      outgoing.stop();
      arrivals.stop();
      await sessions?.close();
    },
    credentials(change) {
      const ended = credentials.apply(change);
      for (const { identity } of change.set) accounts.update(identity);
      connections.cut(ended);
      for (const id of wills.end((session) => ended.has(userOf(session)))) void sessions?.persistence.delWill({ id });
      sessions?.endOf(ended);
      for (const id of change.remove) {
        presence.revoked(id);
        accounts.forget(id);
      }
      return [...ended];
    },
    publish: outgoing.publish,
    appended: outgoing.appended,
    ingest: (message) => outside.ingest(message),
    carry: outside.carry,
    counts: () => ({
      connections: door.size,
      ...door.counts,
      ...admission.counts,
      ...refusals.counts,
      ...(sessions?.counts() ?? NO_SESSIONS),
      held: reads.size,
    }),
    keysUsed() {
      const used = [...keysUsed];
      const connected = accounts.all().filter((one) => one.connections > 0 && isKey(one.id));
      keysUsed = new Set(connected.map(({ id }) => id));
      return [...new Set([...used, ...keysUsed])];
    },
    limit: (limits) => accounts.limit(limits),
    departments: (departments) => access.apply(departments),
    declared(names) {
      declared = declaredTopics(names);
    },
    renew: listeners.renew,
    record: (id) => accounts.get(id)?.record(clock.now()) ?? null,
    throttled(most) {
      const nowMs = clock.now();
      const waited = accounts.all().map((account) => ({ id: account.id, ms: account.throttledMs(nowMs) }));
      return waited
        .filter(({ ms }) => ms > 0)
        .sort((a, b) => b.ms - a.ms)
        .slice(0, most);
    },
  };
}

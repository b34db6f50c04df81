import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MessageChannel } from 'node:worker_threads';
import pino from 'pino';
import { createJobs } from '../../app/jobs.ts';
import { createThreadEffects } from '../../app/threads/effects.ts';
import { openStateFile } from '../../app/threads/state.ts';
import {
  CITIZENS_FILE,
  createCitizenStore,
  createMedia,
  createReception,
  MEDIA_FOLDER,
  type Photo,
  photoOf,
} from '../../citizens/index.ts';
import { ALONE, DAY_MS, HOUR_MS, MINUTE_MS, systemTimers, type Ticket, unsteppedClock } from '../../domain/index.ts';
import { createOutboxReader } from '../../events/index.ts';
import { createDuckdbHistory, createHistoryConsumer } from '../../history/index.ts';
import {
  createContext,
  createLedgerReader,
  createLedgerStore,
  createQuarantineStore,
  Intake,
} from '../../ingest/index.ts';
import { createJournalAppender, JournalReader, JournalServer } from '../../journal/index.ts';
import {
  createDefinitionReader,
  createIncidentReader,
  createNotifier,
  createPoster,
  newWebhookSecret,
  openDeliveries,
} from '../../notify/index.ts';
import { hashSecret, newSecret } from '../../registry/index.ts';
import { createRulesConsumer } from '../../rules/index.ts';
import { atOnce, transact } from '../../store/index.ts';
import { createRequestReader, createTicketReader } from '../../tickets/index.ts';
import { jpegOf } from './citizens/pictures.ts';
import { cityControl, parseOnce, testDir } from './ingest/intake.ts';
import { sealer } from './notify/people.ts';
import { testRegistry } from './registry.ts';

/** Days that everything is kept here; a record is kept for ever. */
const KEPT_DAYS = 20;
const DEVICES = ['d1', 'd2', 'd3', 'd4'];
const EVENTS_KEPT = 200;
/** A small day is as long as three, so that 120 of them are a year. */
const PART_MS = 18 * HOUR_MS;
const log = pino({ level: 'silent' });

/** The city on a day: every second day it is another one. */
const cityOn = (day: number) =>
  cityControl({
    files: {
      'departments.yaml': {
        care: { title: { en: `Care ${Math.floor(day / 2)}`, zh: '护' } },
        roads: { title: { en: 'R', zh: '路' } },
      },
    },
    rules: [
      {
        id: 'full',
        ...{
          title: 'full',
          for_each: 'device',
          where: { profile: 'bin' },
          when: { metric: 'a', last: true, above: 90 },
        },
        ...{ severity: 'high', ticket: { service: 'repair' } },
      } as { id: string },
    ],
  });

type Open = Awaited<ReturnType<Year['open']>>;

/**
 * The consumers, stores and jobs of a server over a real data folder, in one thread, with a clock that the test moves.
 * The broker's sessions are not part of it.
 */
export class Year {
  readonly dir = testDir();
  ms = Date.UTC(2026, 0, 1);
  readonly clock = unsteppedClock({ now: () => this.ms });
  readonly #url: string;
  #open!: Open;

  /** Events go to a webhook at this URL. */
  constructor(url: string) {
    this.#url = url;
  }

  async start(): Promise<void> {
    this.#open = await this.open();
  }

  async open() {
    const { dir, clock } = this;
    const journal = new JournalServer(
      {
        path: join(dir, 'journal.sqlite'),
        clock,
        timekeeper: null,
        signal: { counter: new Int32Array(new SharedArrayBuffer(4)) },
      },
      { maxBytes: 2 ** 30, retentionMs: HOUR_MS, tickMs: 2 ** 30 },
    ).open();
    const { port1, port2 } = new MessageChannel();
    journal.serve(port2);
    journal.start();
    const appender = createJournalAppender(port1, clock);
    appender.start();
    const db = openStateFile(dir);
    const blocks = new JournalReader(join(dir, 'journal.sqlite')).open();
    const context = createContext(db, parseOnce);
    const intake = new Intake(db, context).open();
    const { metrics } = context;
    const history = createDuckdbHistory({ path: join(dir, 'history.duckdb'), metrics, unitOf: () => 'u' });
    await history.start();
    const made = createThreadEffects({
      ...{ db, context, log },
      ...{ auditMs: KEPT_DAYS * DAY_MS, quarantineMs: KEPT_DAYS * DAY_MS, eventsKept: EVENTS_KEPT },
    });
    const effects = (...[transition, more]: Parameters<Parameters<typeof createRulesConsumer>[0]['effects']>) =>
      void made.effects.apply({ transition, ...more });
    const shared = { db, journal: blocks, intake, context, clock, log };
    const rules = createRulesConsumer({
      ...shared,
      effects,
      blocks: made.blocks,
      checksum: made.checksum,
      onEffects: () => {},
    });
    const quarantine = createQuarantineStore(db, { bytes: 50_000, holderBytes: 20_000 });
    const ledger = createLedgerStore(db);
    const consumer = createHistoryConsumer(
      { ...shared, history, ledger, quarantine, metrics },
      { readings: 1, ageMs: 0 },
    );
    atOnce(intake.restore());
    atOnce(rules.start());
    const deliveries = openDeliveries(join(dir, 'deliveries.sqlite'));
    const poster = createPoster({ clock }, { allowPrivate: true, timeoutMs: 5_000, mostKept: 4_096 });
    const outbox = createOutboxReader(db);
    const parsed = () => context.cityAt(Number.MAX_SAFE_INTEGER)!.city;
    const notifier = createNotifier(
      {
        ...{ db: deliveries, outbox },
        ...{
          definitions: createDefinitionReader(db),
          incidentOf: createIncidentReader(db),
          wordsOf: () => null,
          sealer,
          poster,
          mailer: null,
        },
        ...{ clock, timers: systemTimers, random: () => 0, log, city: parsed },
      },
      { publicUrl: 'http://localhost', gatherMs: 0 },
    );
    const registry = testRegistry(db, clock);
    const citizens = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
    const { idOf, namedBy } = createRequestReader(db);
    const reception = createReception(
      {
        ...{ clock, store: citizens, newToken: newSecret, hash: hashSecret },
        media: createMedia(join(dir, MEDIA_FOLDER)),
        services: () => parsed().services,
        tickets: { get: createTicketReader(db).get, idOf, namedBy },
        decidedToMs: async () => clock.steady.now(),
        async submit(command, { actor, key }) {
          await journal.control(
            'actions',
            { items: [{ id: 'c', actor, address: null, key, command }], anchor: null },
            null,
          );
          while (rules.step().length > 0);
          return made.takeDecided()!.results.at(-1)!.value as Ticket;
        },
      },
      { sameWithinM: 0, reporterDays: KEPT_DAYS },
    );
    const engine = {
      rollup: (untilMs: number) => history.rollup(untilMs),
      prune: (beforeMs: number) => history.prune(beforeMs),
      expire: async (beforeMs: number) => quarantine.expire(beforeMs),
    };
    const keep = { historyDays: KEPT_DAYS, quarantineDays: KEPT_DAYS, deliveryDays: KEPT_DAYS };
    const jobs = createJobs({
      ...{ clock, engine, reception, keep, backup: null, duties: ALONE },
      notify: { expire: async (beforeMs) => notifier.expire(beforeMs) },
      ledger: () => createLedgerReader(db, blocks).read()!,
    });
    notifier.start();
    return {
      ...{
        journal,
        ports: [port1, port2],
        appender,
        db,
        blocks,
        intake,
        history,
        rules,
        consumer,
        registry,
        citizens,
      },
      ...{ deliveries, poster, notifier, reception, jobs, outbox },
    };
  }

  async stop(): Promise<void> {
    const { journal, ports, appender, db, blocks, history, rules, notifier, deliveries } = this.#open;
    rules.checkpoint();
    await notifier.stop(5_000);
    await appender.drained();
    appender.stop();
    for (const port of ports) port.close();
    await history.stop();
    await journal.stop();
    blocks.close();
    db.close();
    deliveries.close();
    this.#open.citizens.close();
  }

  /**
   * Lives through a day: readings, refusals, an alert with its ticket, a request, changes of devices and city, jobs.
   */
  async day(day: number): Promise<void> {
    const { journal, registry } = this.#open;
    if (day % 2 === 0) await journal.control('city', cityOn(day), null);
    if (day === 0) registry.register(DEVICES.map((id) => this.#device(id, day)));
    if (day === 0) await this.#act('add', [{ do: 'webhook.add', ...webhookTo(this.#url) }]);
    const registered = DEVICES.map((id) => this.#device(id, day));
    await journal.control('devices', { version: day + 1, registered, revoked: [] }, String(day + 1));
    for (let part = 0; part < 4; part++) {
      this.ms += PART_MS;
      // Full in the second part, emptied in the third.
      for (const id of DEVICES) this.#send(id, `devices/${id}/readings`, this.#readings(part, id));
      this.#send('ns', `application/1/device/${day}0${part}/event/up`, { deviceInfo: { devEui: `${day}0${part}` } });
      await this.#open.appender.drained();
      await journal.control('tick', {}, null);
      await this.#settle();
    }
    await this.#people(day);
    for (const job of this.#open.jobs) await job.run();
    this.#release();
    await this.#delivered();
  }

  #device(id: string, day: number) {
    return { id, profile: 'bin', district: 'east', tags: { day: String(day) } };
  }

  #readings(part: number, id: string): object[] {
    const full = part === 1 && id === 'd1' ? 95 : 10;
    const good = Array.from({ length: 6 }, (_, i) => ({ ts: this.ms - i * MINUTE_MS, metrics: { a: full, b: i } }));
    return [...good, { ts: this.ms, metrics: { a: 4_000 + part, nobody: 1 } }];
  }

  #send(identity: string, topic: string, payload: object): void {
    const { appender } = this.#open;
    appender.append(appender.route(identity, topic), Buffer.from(JSON.stringify(payload)), (error) => {
      if (error) throw error;
    });
  }

  async #settle(): Promise<void> {
    const { rules, consumer, notifier } = this.#open;
    while (rules.step().length > 0);
    while (await consumer.step(true));
    if (consumer.trouble() !== null) throw new Error(consumer.trouble()!);
    notifier.appended();
  }

  /** As the loops of the engine's thread do. */
  #release(): void {
    const { rules, consumer, journal, db, intake } = this.#open;
    rules.checkpoint();
    const seq = Math.min(rules.checkpointed(), consumer.cursor());
    transact(db, () => intake.prune(seq));
    journal.release(seq);
  }

  async #people(day: number): Promise<void> {
    const { reception, notifier, registry } = this.#open;
    const at = new Date(this.ms).toISOString();
    const endsAt = new Date(this.ms + HOUR_MS).toISOString();
    const silence = { matchers: { device: ['d4'] }, startsAt: at, endsAt, calendar: null, comment: 'c' };
    const photo = photoOf(jpegOf(Buffer.alloc(0), Buffer.from(`photo ${day}`))) as Photo;
    const about = { service: 'repair', title: 't', titleZh: '题', description: 'd', district: 'east', location: null };
    const reporter = { name: 'A', email: 'a@b.example', phone: null, deviceId: null, accountId: null };
    const empty = { asset: null, unmeasured: false, address: null, addressId: null, attributes: {}, mediaUrl: null };
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    const { ticket } = await reception.report(
      { ...about, ...empty, photos: [photo], reporter },
      { actor, key: `${day}` },
    );
    const [webhook] = notifier.webhooks.list({ limit: 1, after: null }).items;
    const discarded = Array.from({ length: 50 }, (_, i) => `${day * 100 + i}-0`);
    const commands = [
      ...(['acknowledge', 'resolve', 'close'] as const).map((action) => ({
        do: 'ticket.act',
        ticket: ticket.id,
        action,
      })),
      ...Array.from({ length: 40 }, () => ({ do: 'silence.add', ...silence })),
      ...Array.from({ length: 3 }, () => ({
        ...{ do: 'webhook.change', webhook: webhook!.id, settings: { description: `day ${day}` }, drawn: {} },
      })),
      ...(day % 10 === 0 ? [{ do: 'webhook.rotate', webhook: webhook!.id, drawn: { secret: newSealed() } }] : []),
      { do: 'quarantine.discard', ids: discarded, note: 'n' },
    ];
    await this.#act(String(day), commands);
    registry.revokeKey(registry.addKey({ name: 'n', role: 'operator', department: null }).id);
  }

  async #act(name: string, commands: readonly object[]): Promise<void> {
    const actor = { kind: 'key', id: 'k', role: 'admin', department: null };
    const items = commands.map((command, i) => ({ id: `${i}`, actor, address: null, key: `${name} ${i}`, command }));
    await this.#open.journal.control('actions', { items, anchor: null }, null);
    await this.#settle();
  }

  async #delivered(): Promise<void> {
    const { notifier, outbox } = this.#open;
    notifier.appended();
    const isDone = () => {
      const { waiting, cursor } = notifier.webhooks.list({ limit: 1, after: null }).items[0]!;
      return waiting === 0 && cursor === outbox.head();
    };
    while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  /** Returns bytes of each table with its indexes, by `file table`, of the SQLite files. The files must be closed. */
  sizes(files: readonly string[]): Map<string, { readonly rows: number; readonly bytes: number }> {
    const found = new Map<string, { readonly rows: number; readonly bytes: number }>();
    for (const file of files) {
      const db = new DatabaseSync(join(this.dir, file), { readOnly: true });
      const tables = db.prepare(`
        select tbl_name as name, sum(pgsize) as bytes from sqlite_schema s join dbstat d on d.name = s.name
        where tbl_name not like 'sqlite_%' group by tbl_name`);
      for (const { name, bytes } of tables.all()) {
        const rows = Number(db.prepare(`select count(*) as n from ${name}`).get()?.n);
        found.set(`${file} ${name}`, { rows, bytes: Number(bytes) });
      }
      db.close();
    }
    return found;
  }

  /** Returns the bytes of a file. */
  fileSize(name: string): number {
    return statSync(join(this.dir, name)).size;
  }
}

const newSealed = () => sealer.seal(newWebhookSecret());

const webhookTo = (url: string) => ({
  settings: { url, format: 'cloudevents', filter: {}, concurrency: 4, party: null, description: '' },
  after: null,
  drawn: { secret: newSealed(), authorization: null },
});

export const DAYS_OF_MONTH = 10;

import { describe, expect, test } from 'vitest';
import { ticketEventOf } from '../../../events/index.ts';
import type { EmailSettings } from '../../../notify/index.ts';
import { EMAIL, HOUR, MINUTE, openNotifier, settled, T0, WEBHOOK } from '../../kit/notify/kit.ts';
import * as scene from '../../kit/tickets/scene.ts';

/** Quiet hours; T0 is 08:00 in Shanghai. */
const NIGHT = { from: '07:00', to: '09:00' };
const DAY = 24 * HOUR;
const RESOLVED = 'city.lamppost.ticket.resolved';

/** A service whose alerts wait a moment for others. */
const GATHERED = { ...scene.rule, ticket: { service: 'storm', deadlineMs: HOUR } };
const STORM = scene.serviceOf('storm', { gathering: { by: ['district'], waitMs: 30_000 } });
const GATHERING = { ...scene.city, services: new Map([...scene.city.services, ['storm', STORM]]) };

function openMail(settings: Partial<EmailSettings> = {}) {
  const kit = openNotifier({ page: 10, mostWaiting: 1_000, mostSettled: 1_000 });
  const { id } = kit.notifier.subscriptions.create({ channel: 'email', settings: { ...EMAIL, ...settings } });
  const sent = () => kit.mailer.mails.map(({ events }) => events.join(' '));
  return { ...kit, kit, id, sent, look: () => kit.notifier.subscriptions.get(id) };
}

describe('mail - at once', () => {
  test('each event is one mail, in order, with a stable id and the thread of its ticket', async () => {
    const { kit, id, sent } = openMail({ filter: { types: ['city.lamppost.ticket.opened', RESOLVED] } });
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(sent()).toEqual(['t-1-0.1', 't-1-0.2']);
    const [opened, resolved] = kit.mailer.mails;
    expect(opened).toMatchObject({ to: 'duty@city.example', messageId: `t-1-0.1.${id}@lamppost.example` });
    expect(opened!.mail.subject).toContain('Ticket opened');
    expect(opened!.thread).toBe(resolved!.thread);
    expect(opened!.thread).not.toBeNull();
  });

  test('one incident is one mail: an alert and its ticket together, in the thread of the ticket', async () => {
    const { kit, sent } = openMail();
    kit.happen('1.0', 'firing');
    await settled();
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(sent()).toEqual(['1.0-alert t-1-0.1', '2.0-alert t-1-0.2']);
    const [opened, resolved] = kit.mailer.mails;
    expect(opened!.mail.subject).toBe('[Linjiang] Ticket opened: Fine dust above 75 at Pier 7, Harbour');
    expect(opened!.mail.text).toContain('Alert: pm25-unhealthy air-7\nValue: 91.23\nSince: 2026-01-01 08:00');
    expect(opened!.mail.text).toContain('https://lamppost.example/tickets/t-1-0');
    expect(resolved!.mail.subject).toContain('Ticket resolved');
    expect(opened!.thread).toBe(resolved!.thread);
    expect(opened!.messageId).not.toBe(resolved!.messageId);
  });

  test('an alert and its ticket are together over the end of a page, and a crash between them', async () => {
    const kit = openNotifier({ page: 1, mostWaiting: 1_000, mostSettled: 1_000 });
    kit.notifier.subscriptions.create({ channel: 'email', settings: EMAIL });
    kit.happen('1.0', 'firing');
    kit.restart();
    await settled();
    expect(kit.mailer.mails.map(({ events }) => events.join(' '))).toEqual(['1.0-alert t-1-0.1']);
  });

  test('an alert whose ticket the filter leaves out has a mail of its own, as has one without a ticket', async () => {
    const { kit, sent } = openMail({ filter: { types: ['city.lamppost.alert.firing'] } });
    const other = openMail();
    kit.happen('1.0', 'firing');
    other.kit.happen('1.0', 'firing', { group: '~fault' });
    await settled();
    expect(sent()).toEqual(['1.0-alert']);
    expect(other.sent()).toEqual(['1.0-alert']);
  });

  test('a storm that is gathered into one ticket is one mail', async () => {
    const { kit, sent } = openMail();
    for (const n of [1, 2, 3]) {
      kit.state.apply(scene.transition(`${n}.0`, 'firing', { group: `g${n}`, atMs: T0 }), GATHERED, GATHERING);
      kit.notifier.appended();
    }
    await settled();
    expect(sent()).toEqual([]);
    kit.state.at(T0 + MINUTE, GATHERING);
    kit.state.due(T0 + MINUTE);
    kit.notifier.appended();
    await settled();
    expect(sent()).toEqual(['t-1-0.1']);
    expect(kit.ids()).toEqual(['1.0-alert', '2.0-alert', '3.0-alert', 't-1-0.1']);
  });

  test('alerts that join a ticket later are its next mail, and the ends of several are its last', async () => {
    const { kit, sent } = openMail();
    const alerts = openMail({ filter: { types: ['city.lamppost.alert.resolved'] } });
    let n = 0;
    const all = (groups: readonly string[], to: 'firing' | 'resolved', minute: number) => {
      for (const { state, notifier } of [kit, alerts.kit])
        for (const group of groups) {
          const happened = scene.transition(`${++n}.0`, to, { group, atMs: T0 + minute * MINUTE });
          state.apply(to === 'firing' ? happened : { ...happened, from: 'firing' }, GATHERED, GATHERING);
          notifier.appended();
        }
    };
    const due = async (minute: number) => {
      for (const { state, notifier } of [kit, alerts.kit]) {
        state.at(T0 + minute * MINUTE, GATHERING);
        state.due(T0 + minute * MINUTE);
        notifier.appended();
      }
      await settled();
    };
    all(['a', 'b'], 'firing', 0);
    await due(1);
    all(['c', 'd', 'e'], 'firing', 2);
    await due(3);
    expect(sent()).toEqual(['t-1-0.1', 't-1-0.2']);
    expect(kit.mailer.mails[1]!.mail.text).toContain('3 more alerts: c, d, e');
    all(['a', 'b', 'c', 'd', 'e'], 'resolved', 4);
    await settled();
    expect(sent().slice(2)).toEqual([expect.stringMatching(/^\d+\.0-alert t-1-0\.3$/)]);
    // Who wants no events of tickets gets those of each alert.
    expect(alerts.sent()).toHaveLength(5);
  });

  test('what citizens report of it and their words are in its mails: joined, replied, ended, not fixed', async () => {
    const { kit, sent } = openMail();
    const some = openMail({ filter: { types: ['city.lamppost.ticket.opened'] } });
    kit.words.set('c-1', 'it smells');
    kit.words.set('c-2', 'still there');
    const subject = { kind: 'device', device: { ...scene.device, location: { lat: 31.2, lon: 121.5 } } } as const;
    const hashOf = (id: string) => new Uint8Array(32).fill(Number(id.slice(-1)));
    const report = (id: string) => {
      const of = { origin: 'citizen', by: 'reporter', service: 'air-quality', title: 'R', titleZh: 'R' } as const;
      const place = { location: { lat: 31.2, lon: 121.5 }, same: { withinM: 50 }, district: 'harbour', address: null };
      const more = { place: id.slice('r-'.length), extras: { reporterHash: hashOf(id) } };
      return { ...of, ...place, description: null, statement: 'c-1', severity: 'medium', ...more } as const;
    };
    const all = async (minute: number, work: (state: typeof kit.state) => void) => {
      for (const { state, notifier } of [kit, some.kit]) {
        state.at(T0 + minute * MINUTE, scene.cityWith({ notFixedMs: HOUR }));
        work(state);
        notifier.appended();
      }
      await settled();
    };
    const reporting = (id: string) => (state: typeof kit.state) => {
      state.effects.publish(state.service.open(report(id)));
    };
    await all(1, (state) => state.apply(scene.transition('1.0', 'firing'), scene.rule, undefined, subject));
    await all(2, reporting('r-1'));
    await all(2, reporting('r-2'));
    const operator = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    const reply = { ticket: 't-1-0', action: 'comment', actor: operator, note: 'soon', public: true } as const;
    await all(3, (state) => void state.effects.publish(state.service.act(reply)));
    const over = scene.transition('4.0', 'resolved', { from: 'firing', atMs: T0 + 4 * MINUTE });
    await all(4, (state) => state.apply(over, scene.rule, undefined, subject));
    await all(5, (state) => {
      const said = { ticket: 'r-1', hash: hashOf('r-1'), statement: 'c-2' };
      state.effects.publish(state.service.reporters.notFixed(said));
    });
    expect(sent()).toEqual([
      '1.0-alert t-1-0.1',
      't-1-0.2 r-1.1',
      't-1-0.3 r-2.1',
      'r-1.2 r-2.2 t-1-0.4',
      '4.0-alert r-1.3 r-2.3 t-1-0.5',
      't-1-0.6',
      'r-2.4 t-1-0.7 r-1.4 r-1.5',
    ]);
    const { mails } = kit.mailer;
    expect(new Set(mails.map(({ thread }) => thread)).size).toBe(1);
    expect(mails[1]!.mail).toMatchObject({
      subject: expect.stringContaining('Ticket linked: Fine dust'),
      text: expect.stringMatching(/r-1 reports the same[\s\S]*What the citizen wrote \(r-1\):\n> it smells/),
    });
    expect(mails[4]!.mail.subject).toContain('Ticket resolved: Fine dust');
    expect(mails[5]!.mail.text).toContain('> still there');
    // Who wants some of these gets what is left, each once.
    expect(some.sent()).toEqual(['t-1-0.1', 'r-1.1', 'r-2.1']);
    expect(new Set(some.kit.mailer.mails.map(({ thread }) => thread)).size).toBe(1);
  });

  test('tickets that a cause explains later are folded into it by one mail', async () => {
    const { kit, sent } = openMail();
    const link = { source: { rule: ['gw'] }, target: { rule: [scene.rule.id] }, equal: [], via: 'gateway' } as const;
    const explained = { ...scene.city, inhibitions: [{ ...link, lateMs: HOUR }] };
    const fires = (n: number, group: string, rule: string, tags: Record<string, string> = {}) => {
      const happened = scene.transition(`${n}.0`, 'firing', { group, rule, atMs: T0 + n * MINUTE });
      const subject = { kind: 'device', device: { ...scene.device, id: group, tags } } as const;
      kit.state.apply(happened, { ...scene.rule, id: rule }, explained, subject);
      kit.notifier.appended();
    };
    for (const [n, group] of ['a', 'b', 'c'].entries()) fires(n, group, scene.rule.id, { gateway: 'gw-1' });
    fires(5, 'gw-1', 'gw');
    await settled();
    expect(sent().slice(3)).toEqual(['5.0-alert t-5-0.1', 't-0-0.2 t-1-0.2 t-2-0.2 t-5-0.2']);
    expect(kit.mailer.mails.at(-1)!.mail.text).toContain('it explains t-0-0, t-1-0, t-2-0');
    expect(kit.mailer.mails.at(-1)!.thread).toBe(kit.mailer.mails.at(-2)!.thread);
  });

  test('of hundreds of reports that end together, those that a mail cannot list have mails of their own', async () => {
    const { kit, sent } = openMail();
    kit.happen('1.0', 'firing');
    const [ticket] = kit.state.tickets.list({ limit: 1 }).items;
    const first = ticketEventOf({ ...ticket!, updatedAt: '2026-01-01T01:00:00.000Z' });
    const of = (n: number) => ({ ...ticket!, id: `r-${n}`, relation: 'report', parent: ticket!.id }) as const;
    const time = first.time;
    const reports = Array.from({ length: 230 }, (_, n) => ({ ...ticketEventOf(of(n)), id: `r-${n}`, time }));
    for (const event of [...reports, { ...first, id: 'whole' }])
      kit.state.outbox.append({ ...event, type: 'city.lamppost.ticket.closed' });
    kit.notifier.appended();
    for (let i = 0; i < 20; i++) await settled();
    const mailed = sent().flatMap((ids) => ids.split(' '));
    expect(mailed).toHaveLength(2 + 231);
    expect(new Set(mailed).size).toBe(2 + 231);
    expect(kit.mailer.mails).toHaveLength(1 + 30 + 1);
  });

  test('a deferred mail is sent later, in order, under the same id', async () => {
    const { kit, sent, look } = openMail();
    kit.mailer.script = () => (kit.mailer.mails.length === 1 ? 'deferred' : 'delivered');
    kit.happen('1.0', 'firing');
    await settled();
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(sent()).toEqual(['1.0-alert t-1-0.1']);
    expect(look()).toMatchObject({ waiting: 2, failingSince: '2026-01-01T00:00:00.000Z' });
    await kit.time.pass(5_000);
    expect(sent()).toEqual(['1.0-alert t-1-0.1', '1.0-alert t-1-0.1', '2.0-alert t-1-0.2']);
    expect(new Set(kit.mailer.mails.map(({ messageId }) => messageId)).size).toBe(2);
  });

  test('a mail that is refused permanently is given up with its reason, and the next is sent', async () => {
    const { kit, id, sent } = openMail();
    kit.mailer.script = ({ events }) => (events[0] === '1.0-alert' ? 'rejected' : 'delivered');
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    expect(sent()).toEqual(['1.0-alert t-1-0.1', '2.0-alert t-1-0.2']);
    const { items } = kit.notifier.subscriptions.deliveries(id, { limit: 9, after: null });
    expect(items).toMatchObject([{ state: 'delivered' }, { state: 'failed', outcome: 'rejected', attempts: 1 }]);
    expect(kit.notifier.subscriptions.delivery(id, items[1]!.id).tries[0]!.response).toBe('it was rejected');
  });

  test('an address that accepts nothing for five days is disabled', async () => {
    const { kit, look } = openMail();
    kit.mailer.script = () => 'rejected';
    kit.incidents(1);
    await kit.time.pass(5 * DAY);
    kit.incidents(1, 2);
    await kit.time.pass(MINUTE);
    expect(look()).toMatchObject({ enabled: false, disabled: { reason: 'failing' } });
  });
});

describe('mail - digests', () => {
  test('a digest has the events since the last one, once', async () => {
    const { kit, sent, look } = openMail({ digest: { every: '15m' } });
    kit.incidents(2);
    await kit.time.pass(10 * MINUTE);
    kit.incidents(1, 3);
    await settled();
    expect(look()).toMatchObject({ held: 6, waiting: 0 });
    await kit.time.pass(5 * MINUTE);
    expect(sent()).toEqual(['1.0-alert t-1-0.1 2.0-alert t-2-0.1 3.0-alert t-3-0.1']);
    expect(kit.mailer.mails[0]!.mail.subject).toBe('[Linjiang] Digest: 3 events');
    await kit.time.pass(DAY);
    expect(sent()).toHaveLength(1);
  });

  test('events in quiet hours are one digest at the end of these', async () => {
    const { kit, sent } = openMail({ quietHours: NIGHT });
    kit.incidents(2);
    await kit.time.pass(HOUR - 1);
    expect(sent()).toEqual([]);
    await kit.time.pass(1);
    expect(sent()).toEqual(['1.0-alert t-1-0.1 2.0-alert t-2-0.1']);
    kit.incidents(1, 100);
    await settled();
    expect(sent()).toHaveLength(2);
  });

  test('a critical event is mailed at once, together with held events of the same ticket, so that its events stay in order', async () => {
    const { kit, sent } = openMail({ quietHours: NIGHT });
    kit.happen('1.0', 'firing', { severity: 'medium' });
    kit.incidents(1, 2);
    await settled();
    kit.happen('3.0', 'firing', { from: 'firing', severity: 'critical' });
    await settled();
    expect(sent()).toEqual(['1.0-alert t-1-0.1 3.0-alert t-1-0.2']);
    await kit.time.pass(HOUR);
    expect(sent().slice(1)).toEqual(['2.0-alert t-2-0.1']);
  });

  test('a crash between any two steps neither loses nor changes a digest', async () => {
    const { kit, sent } = openMail({ digest: { every: '1h' } });
    kit.incidents(1);
    await settled();
    kit.restart();
    await kit.time.pass(30 * MINUTE);
    kit.incidents(1, 2);
    await settled();
    kit.mailer.script = () => new Promise(() => {});
    await kit.time.pass(30 * MINUTE);
    expect(sent()).toEqual(['1.0-alert t-1-0.1 2.0-alert t-2-0.1']);
    kit.mailer.script = () => 'delivered';
    kit.incidents(1, 3);
    kit.restart();
    await settled();
    expect(sent()).toEqual(Array(2).fill('1.0-alert t-1-0.1 2.0-alert t-2-0.1'));
    expect(kit.mailer.mails[0]!.messageId).toBe(kit.mailer.mails[1]!.messageId);
    await kit.time.pass(HOUR);
    expect(sent().at(-1)).toBe('3.0-alert t-3-0.1');
  });

  test('a long digest is sent as several mails, in order', async () => {
    const { kit, sent } = openMail({ digest: { every: '1h' } });
    kit.incidents(150);
    await settled();
    await settled();
    await kit.time.pass(HOUR);
    expect(sent().map((ids) => ids.split(' ').length)).toEqual([200, 100]);
    expect(sent().join(' ').split(' ')).toEqual(kit.ids());
  });

  test('held events follow the new hours after a change', async () => {
    const { kit, id, sent } = openMail({ digest: { daily: '20:00' } });
    kit.incidents(1);
    await settled();
    kit.notifier.subscriptions.change(id, { digest: { every: '5m' } });
    await kit.time.pass(5 * MINUTE);
    expect(sent()).toHaveLength(1);
    kit.incidents(1, 2);
    await settled();
    kit.notifier.subscriptions.change(id, { digest: null });
    await settled();
    expect(sent()).toHaveLength(2);
  });

  test('a disabled subscription keeps its held events; enabling with skip deletes them', async () => {
    const { kit, id, sent, look } = openMail({ digest: { every: '5m' } });
    kit.incidents(1);
    await settled();
    kit.notifier.subscriptions.disable(id);
    await kit.time.pass(HOUR);
    expect(sent()).toEqual([]);
    kit.notifier.subscriptions.enable(id, 'deliver');
    await settled();
    expect(sent()).toEqual(['1.0-alert t-1-0.1']);
    kit.incidents(1, 2);
    await settled();
    kit.notifier.subscriptions.enable(id, 'skip');
    await kit.time.pass(HOUR);
    expect(sent()).toHaveLength(1);
    expect(look().log.map(({ note }) => note)).toEqual([
      'enabled; missed events are skipped',
      'enabled',
      expect.stringContaining('disabled'),
      'created',
    ]);
  });

  test('the log expires, held events stay', async () => {
    const { kit, sent } = openMail({ digest: { every: '2h' } });
    kit.incidents(1);
    await kit.time.pass(HOUR);
    kit.notifier.expire(kit.time.now());
    await kit.time.pass(HOUR);
    expect(sent()).toEqual(['1.0-alert t-1-0.1']);
  });
});

describe('subscriptions', () => {
  test('over a webhook add events to those of the webhook, each once', async () => {
    const kit = openNotifier();
    const { id: webhook } = kit.notifier.webhooks.create({ ...WEBHOOK, filter: null }, null);
    const over = (filter: EmailSettings['filter']) =>
      kit.notifier.subscriptions.create({ channel: 'webhook', webhook, party: 'cleaners', filter });
    kit.incidents(1);
    await settled();
    expect(kit.poster.posts).toEqual([]);
    const alerts = over({ types: ['city.lamppost.alert.firing'] });
    over({ severities: ['high'], types: ['city.lamppost.alert.firing'] });
    kit.incidents(1, 2);
    await settled();
    expect(kit.poster.idsTo(WEBHOOK.url)).toEqual(['2.0-alert']);
    kit.notifier.subscriptions.change(alerts.id, { filter: {} });
    kit.incidents(1, 3);
    await settled();
    expect(kit.poster.idsTo(WEBHOOK.url)).toEqual(['2.0-alert', '3.0-alert', 't-3-0.1']);
    expect(() => kit.notifier.subscriptions.change(alerts.id, { digest: { every: '1h' } })).toThrow(
      'digest: applies to mail only',
    );
    expect(() => kit.notifier.subscriptions.deliveries(alerts.id, { limit: 1, after: null })).toThrow(
      `use webhook "${webhook}"`,
    );
    kit.notifier.webhooks.remove(webhook);
    expect(kit.notifier.subscriptions.list({ limit: 9, after: null }).items).toEqual([]);
    expect(() => over({})).toThrow(`there is no webhook "${webhook}"`);
  });

  test('are listed by party over both channels, in pages', () => {
    const { kit } = openMail();
    const { id: webhook } = kit.notifier.webhooks.create(WEBHOOK, null);
    kit.notifier.subscriptions.create({ channel: 'webhook', webhook, party: 'environment', filter: {} });
    kit.notifier.subscriptions.create({ channel: 'email', settings: { ...EMAIL, party: 'person:li-wei' } });
    const first = kit.notifier.subscriptions.list({ limit: 2, after: null });
    const second = kit.notifier.subscriptions.list({ limit: 2, after: first.next });
    expect([...first.items, ...second.items].map(({ channel }) => channel).sort()).toEqual([
      'email',
      'email',
      'webhook',
    ]);
    expect(second.next).toBeNull();
    const mine = kit.notifier.subscriptions.list({ limit: 9, after: null, party: 'environment' });
    expect(mine.items).toHaveLength(2);
  });

  test('a test mail returns its result; a redelivered mail has its old id', async () => {
    const { kit, id, sent } = openMail();
    expect(await kit.notifier.subscriptions.test(id)).toMatchObject({ state: 'delivered', origin: 'ping' });
    kit.happen('1.0', 'firing', { group: '~fault' });
    await settled();
    const { items } = kit.notifier.subscriptions.deliveries(id, { limit: 1, after: null });
    kit.notifier.subscriptions.redeliver(id, items[0]!.id);
    await settled();
    expect(sent().slice(1)).toEqual(['1.0-alert', '1.0-alert']);
    expect(kit.mailer.mails[1]!.messageId).toBe(kit.mailer.mails[2]!.messageId);
  });

  test('a deleted subscription leaves nothing behind', async () => {
    const { kit, id } = openMail({ digest: { every: '1h' } });
    kit.incidents(1);
    await settled();
    kit.notifier.subscriptions.remove(id);
    await kit.time.pass(DAY);
    kit.notifier.expire(kit.time.now());
    expect(kit.mailer.mails).toEqual([]);
    for (const table of ['held', 'events', 'receivers', 'receiver_log']) {
      expect(kit.db.prepare(`select count(*) as n from ${table}`).get(), table).toEqual({ n: 0 });
    }
    expect(kit.time.now()).toBeGreaterThan(T0);
  });
});

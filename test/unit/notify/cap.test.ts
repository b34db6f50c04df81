import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { XmlDocument, XsdValidator } from 'libxml2-wasm';
import { describe, expect, test } from 'vitest';
import { escapeXml } from '../../../domain/index.ts';
import { capTime } from '../../../notify/formats/cap.ts';
import { createFormats } from '../../../notify/formats/index.ts';

import { CITY, openNotifier, settled, WEBHOOK } from '../../kit/notify/kit.ts';
import { city, cityWith, rule, transition } from '../../kit/tickets/scene.ts';

const XSD = fileURLToPath(new URL('../../fixtures/cap/essentials.xsd', import.meta.url));
const schema = XsdValidator.fromDoc(XmlDocument.fromBuffer(readFileSync(XSD)));
const NS = { cap: 'urn:oasis:names:tc:emergency:cap:1.2' };

/** Validates a message and returns the texts of elements. */
function read(body: string, ...names: string[]): string[] {
  const document = XmlDocument.fromString(body);
  schema.validate(document);
  return names.map((name) =>
    document
      .find(`//cap:${name}`, NS)
      .map(({ content }) => content)
      .join('|'),
  );
}

/** Opens a notifier with a webhook of format CAP. */
function openCap(filter: typeof WEBHOOK.filter = {}) {
  const kit = openNotifier();
  const webhook = kit.notifier.webhooks.create({ ...WEBHOOK, format: 'cap', filter }, null);
  const sent = () => kit.poster.posts.map(({ body }) => read(body, 'identifier', 'msgType', 'severity', 'references'));
  return { ...kit, webhook, sent };
}
const reference = (id: string, time: string) => `lamppost@lamppost.example,${id},${time}`;
const [T1, T2] = ['2026-01-01T08:01:00+08:00', '2026-01-01T08:02:00+08:00'];

describe('CAP', () => {
  test('a severe alert is an Alert, in both languages, with the borders of its district; tickets are not sent', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing');
    await settled();
    expect(kit.poster.posts).toHaveLength(1);
    const [{ body, headers }] = kit.poster.posts as [(typeof kit.poster.posts)[0]];
    expect(headers['content-type']).toBe('application/cap+xml; charset=utf-8');
    expect(read(body, 'identifier', 'sender', 'sent', 'status', 'msgType', 'scope')).toEqual([
      '1.0-alert',
      'lamppost@lamppost.example',
      T1,
      'Actual',
      'Alert',
      'Restricted',
    ]);
    expect(read(body, 'language', 'headline', 'areaDesc', 'senderName', 'severity', 'certainty')).toEqual([
      'en|zh-CN',
      'Fine dust above 75 at Pier 7, Harbour|港区Pier 7细颗粒物超过75',
      'Harbour|港区',
      'Linjiang|临江市',
      'Severe|Severe',
      'Observed|Observed',
    ]);
    expect(read(body, 'category', 'event', 'expires')).toEqual([
      'Env|Env',
      'Air|空气',
      '2026-01-01T12:01:00+08:00|2026-01-01T12:01:00+08:00',
    ]);
    expect(read(body, 'polygon')[0]!.split('|')[0]).toBe('31.2,121.5 31.2,121.6 31.3,121.6 31.2,121.5');
  });

  test('a higher severity is an Update, the end a Cancel, and both refer to the earlier messages', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'firing', { from: 'firing', severity: 'critical' });
    kit.happen('3.0', 'resolved', { from: 'firing', severity: 'critical' });
    kit.happen('4.0', 'firing');
    await settled();
    const both = `${reference('1.0-alert', T1)} ${reference('2.0-alert', T2)}`;
    expect(kit.sent()).toEqual([
      ['1.0-alert', 'Alert', 'Severe|Severe', ''],
      ['2.0-alert', 'Update', 'Extreme|Extreme', reference('1.0-alert', T1)],
      ['3.0-alert', 'Cancel', 'Extreme|Extreme', both],
      ['4.0-alert', 'Alert', 'Severe|Severe', ''],
    ]);
  });

  test('one that ended with its rule or device is a Cancel that says so, and no AllClear', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing', because: 'rule-removed' });
    kit.happen('3.0', 'firing');
    kit.happen('4.0', 'resolved', { from: 'firing' });
    await settled();
    const ends = kit.poster.posts.filter(({ body }) => body.includes('Cancel'));
    expect(ends.map(({ body }) => read(body, 'note', 'responseType', 'urgency'))).toEqual([
      ['the rule is gone', 'Assess|Assess', 'Unknown|Unknown'],
      ['', 'AllClear|AllClear', 'Past|Past'],
    ]);
  });

  test('it expires when its ticket is due; a day later where that is over, or while the ticket waits for others', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing');
    kit.happen('300.0', 'firing', { from: 'firing', severity: 'critical' });
    const gathering = cityWith({ gathering: { by: ['district'], waitMs: 30_000 } });
    kit.state.apply(transition('301.0', 'firing', { group: 'g2' }), rule, gathering);
    kit.notifier.appended();
    await settled();
    const posts = kit.poster.posts.toSorted((a, b) => a.id.localeCompare(b.id));
    const sent = posts.map(({ body }) => read(body, 'sent', 'expires', 'event'));
    const twice = (text: string) => `${text}|${text}`;
    expect(sent).toEqual([
      [T1, twice('2026-01-01T12:01:00+08:00'), 'Air|空气'],
      ['2026-01-01T13:00:00+08:00', twice('2026-01-02T13:00:00+08:00'), 'Air|空气'],
      ['2026-01-01T13:01:00+08:00', twice('2026-01-02T13:01:00+08:00'), 'Air|空气'],
    ]);
    expect(posts.map(({ body }) => body.includes('<valueName>ticket</valueName>'))).toEqual([true, true, false]);
  });

  test('an alert of low severity is not sent, nor is its end; once it was sent with high severity, its end is sent at any severity', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing', { severity: 'medium' });
    kit.happen('2.0', 'resolved', { from: 'firing', severity: 'medium' });
    kit.happen('3.0', 'firing', { severity: 'medium' });
    kit.happen('4.0', 'firing', { from: 'firing', severity: 'high' });
    kit.happen('5.0', 'resolved', { from: 'firing', severity: 'medium' });
    await settled();
    expect(kit.sent().map(([id, type]) => [id, type])).toEqual([
      ['4.0-alert', 'Alert'],
      ['5.0-alert', 'Cancel'],
    ]);
  });

  test('severities that a filter lists are sent, low ones too; its other lists apply to the end too', async () => {
    const kit = openCap({ severities: ['medium'], districts: ['harbour'] });
    kit.happen('1.0', 'firing', { severity: 'medium' });
    kit.happen('2.0', 'resolved', { from: 'firing', severity: 'low' });
    kit.happen('3.0', 'firing', { severity: 'critical' });
    await settled();
    expect(kit.sent().map(([id, type, severity]) => [id, type, severity])).toEqual([
      ['1.0-alert', 'Alert', 'Moderate|Moderate'],
      ['2.0-alert', 'Cancel', 'Minor|Minor'],
    ]);
  });

  test('a redelivery has the same bytes, alone and in a range; an alert that was never sent is not cancelled', async () => {
    const kit = openCap();
    kit.happen('1.0', 'firing');
    kit.happen('2.0', 'resolved', { from: 'firing' });
    await settled();
    const sent = kit.poster.posts.map(({ body }) => body);
    expect(await kit.notifier.webhooks.redeliverRange(kit.webhook.id, { by: 'number', from: 1, to: 99 })).toBe(2);
    await settled();
    expect(kit.poster.posts.slice(2).map(({ body }) => body)).toEqual(sent);
    const late = kit.notifier.webhooks.create({ ...WEBHOOK, format: 'cap' }, null);
    expect(await kit.notifier.webhooks.redeliverRange(late.id, { by: 'number', from: 1, to: 99 })).toBe(1);
  });

  test('a test message has status Test', async () => {
    const kit = openCap();
    await kit.notifier.webhooks.ping(kit.webhook.id);
    expect(read(kit.poster.posts[0]!.body, 'status', 'msgType', 'info')).toEqual(['Test', 'Alert', '']);
  });

  test('an alert of the city names the city; titles with markup and invalid characters give valid XML', () => {
    const formats = createFormats({ city: () => CITY, incidentOf: () => null, publicUrl: 'http://[::1]:8080' });
    const kit = openNotifier();
    const title = `<b>&"'\u0000\ud800 ${'长'.repeat(300)}`;
    kit.state.apply(transition('1.0', 'firing', { group: 'city' }), { ...rule, title, titleZh: title }, city, {
      kind: 'city',
      title: { en: 'C', zh: '市' },
    });
    const { event } = kit.state.events.page({ after: 0, limit: 1 }).items[0]!;
    const { body } = formats.cap.render({ event, webhook: 'w', earlier: [] });
    const [sender, area, headline, polygon] = read(body, 'sender', 'areaDesc', 'headline', 'polygon');
    expect([sender, area, polygon]).toEqual(['lamppost@---1-', 'Linjiang|临江市', '']);
    expect(headline).toContain(`<b>&"'\ufffd\ufffd 长`);
    expect(read(body, 'category', 'event')).toEqual(['Other|Other', 'pm25-unhealthy|pm25-unhealthy']);
  });

  test.each([
    ['2026-01-01T00:00:00.999Z', 'Asia/Shanghai', '2026-01-01T08:00:00+08:00'],
    ['2026-07-01T00:00:00Z', 'Europe/Berlin', '2026-07-01T02:00:00+02:00'],
    ['2026-01-01T00:00:00Z', 'UTC', '2026-01-01T00:00:00-00:00'],
    ['2026-01-01T00:00:00Z', 'Europe/London', '2026-01-01T00:00:00-00:00'],
    ['2026-01-01T00:00:00Z', 'America/St_Johns', '2025-12-31T20:30:00-03:30'],
    ['2026-01-01T00:00:00Z', 'Asia/Kathmandu', '2026-01-01T05:45:00+05:45'],
  ])('the time %s in %s is %s', (iso, zone, expected) => {
    expect(capTime(iso, zone)).toBe(expected);
  });

  test('the schema of these tests refuses what the standard refuses', () => {
    const kit = openCap();
    const good = createFormats({ city: () => CITY, incidentOf: () => null, publicUrl: 'https://l.example' }).cap.ping({
      id: 'p',
      webhook: kit.webhook.id,
      time: '2026-01-01T00:00:00Z',
    }).body;
    expect(() => read(good)).not.toThrow();
    for (const [from, to] of [
      ['>p<', '>p q<'],
      ['+08:00', 'Z'],
      ['>Test<', '>Trial<'],
      ['<scope>Restricted</scope>', ''],
      ['urn:oasis', 'urn:other'],
    ] as const) {
      expect(good, from).toContain(from);
      expect(() => read(good.replaceAll(from, to)), to).toThrow();
    }
  });
});

test('XML - text is escaped for elements and attributes', () => {
  expect(escapeXml(`a<b>&"'\u0007\n临🙂`)).toBe('a&lt;b&gt;&amp;&quot;&#39;\ufffd\n临🙂');
});

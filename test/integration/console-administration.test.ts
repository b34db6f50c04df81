import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Person, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, faultsAt, ROUTES, TestBrowser } from '../kit/console.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();

describe.skipIf(path === null)('the pages of administration in Chromium', () => {
  const server = new ServerProcess();
  const receiver = new WebhookReceiver();
  const mailbox = new Mailbox();
  const browser = new TestBrowser(server);
  let base: string;
  let hook: string;

  beforeAll(async () => {
    hook = await receiver.start();
    const smtp = await mailbox.start();
    const city = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
    cpSync(fileURLToPath(new URL('../../city', import.meta.url)), city, { recursive: true });
    // Nothing listens there.
    const harbour = 'harbour: { url: "mqtt://127.0.0.1:9", key: key-none, subscribe: [{ topic: "a/#" }] }';
    writeFileSync(join(city, 'bridges.yaml'), harbour);
    Object.assign(server.settings, {
      LAMPPOST_CITY: city,
      WEBHOOK_ALLOW_PRIVATE: 'true',
      SMTP_URL: smtp,
      SMTP_FROM: 'lamppost@city.example',
    });
    await browser.start();
    base = browser.base;
  });
  afterEach(() => browser.close());
  afterAll(async () => {
    await browser.stop();
    receiver.stop();
    await mailbox.stop();
  });

  /** A browser of the administrator's own, with the key of the settings. */
  async function asAdmin(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.visit(`${address}#key=${ADMIN_KEY}`, options);
    await page.locator('#side').waitFor({ state: 'attached' });
    return page;
  }

  const press = (within: Page | Locator, name: string) => within.getByRole('button', { name, exact: true }).click();

  test('keys - one is made with scopes, its secret shown once; it is rotated, confirmed and revoked', async () => {
    const page = await asAdmin('/keys');
    await press(page, 'New key');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('What it is for').fill('A dashboard');
    await dialog.getByRole('combobox', { name: 'Only these rights' }).fill('tickets.read');
    await page.getByRole('option', { name: 'tickets.read' }).click();
    // The list shuts when the focus leaves it.
    await page.keyboard.press('Tab');
    await press(dialog, 'New key');
    const secret = await page.locator('#once pre').textContent();
    const ask = (address: string, key = secret!) =>
      fetch(base + address, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status);
    expect([await ask('/api/v1/tickets'), await ask('/api/v1/devices')]).toEqual([200, 403]);
    await page.keyboard.press('Escape');
    const row = page.locator('tr', { hasText: 'A dashboard' });
    await row.getByText('only tickets.read').waitFor();
    await press(row, 'New secret');
    await press(page.getByRole('dialog'), 'New secret');
    const newer = await page.locator('#once pre').textContent();
    expect([await ask('/api/v1/tickets'), await ask('/api/v1/tickets', newer!)]).toEqual([200, 200]);
    await page.keyboard.press('Escape');
    await press(row, 'End the old secret');
    await until(async () => (await ask('/api/v1/tickets')) === 401, 'the old secret to end', 50);
    await press(row, 'Revoke');
    await press(page.getByRole('dialog'), 'Revoke');
    await row.waitFor({ state: 'detached' });
    expect(await ask('/api/v1/tickets', newer!)).toBe(401);
  });

  test('people - one is added, signs in by the link, is seen signed in, signed out, suspended and removed', async () => {
    const page = await asAdmin('/people');
    await press(page, 'Add a person');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('Mei Lin');
    await dialog.getByLabel('E-mail').fill('mei@city.example');
    await dialog.getByRole('combobox', { name: 'Department' }).fill('Sanitation');
    await page.getByRole('option', { name: 'Sanitation Department' }).click();
    await press(dialog, 'Add a person');
    const link = await page.locator('#once pre').textContent();
    await page.keyboard.press('Escape');
    const hers = await browser.visit(link!.slice(base.length));
    await hers.locator('#choose button[type=button]').click();
    await hers.locator('#who', { hasText: 'Mei Lin' }).waitFor();
    const row = page.locator('tr', { hasText: 'mei@city.example' });
    await press(row, 'Signed in at');
    await page.getByRole('dialog').locator('td', { hasText: 'Chrome' }).waitFor();
    await press(page.getByRole('dialog'), 'Sign out');
    await page.getByText('They are signed in nowhere.').waitFor();
    await page.keyboard.press('Escape');
    await hers.reload();
    await hers.locator('#login').waitFor();
    await press(row, 'Change');
    await page.getByRole('dialog').getByLabel('Name').fill('Mei Wang');
    await press(page.getByRole('dialog'), 'Save');
    await page.locator('tr', { hasText: 'Mei Wang' }).waitFor();
    await press(row, 'Suspend');
    await press(page.getByRole('dialog'), 'Suspend');
    await row.getByText('suspended').waitFor();
    expect(await row.getByRole('button', { name: 'Sign-in link' }).count()).toBe(0);
    await press(row, 'Resume');
    await row.getByText('may sign in').waitFor();
    await press(row, 'Remove');
    await press(page.getByRole('dialog'), 'Remove');
    await row.waitFor({ state: 'detached' });
    const { items } = await server.get<{ items: Person[] }>('/api/v1/users?removed=true');
    expect(items.find(({ email }) => email === 'mei@city.example')?.removedAt).not.toBeNull();
  });

  test('audit - what was done is filtered by the address, verified in the browser and saved as CSV', async () => {
    const page = await asAdmin('/audit?action=key.add');
    await page.locator('td', { hasText: 'key.add' }).first().waitFor();
    expect(await page.locator('td', { hasText: 'person.add' }).count()).toBe(0);
    await press(page, 'Verify the trail');
    await page.locator('#verify .good').waitFor();
    const saving = page.waitForEvent('download');
    await press(page, 'As CSV');
    const stream = await (await saving).createReadStream();
    const text = Buffer.concat(await stream.toArray()).toString();
    expect(text.split('\r\n')[0]).toMatch(/^n,at,actor,role/);
    expect(text).toContain('key.add');
    // What a liar in between would change does not fit.
    await page.route('**/api/v1/audit?limit=1000*', async (route) => {
      const response = await route.fetch();
      const body = (await response.json()) as { items: { n: number; actor: string }[] };
      await route.fulfill({
        json: { ...body, items: body.items.map((one) => (one.n === 2 ? { ...one, actor: 'x' } : one)) },
      });
    });
    await press(page, 'Verify the trail');
    await page.locator('#verify .late', { hasText: 'Entry 2 does not fit' }).waitFor();
  });

  test('webhooks - one is made and tested; what fails is shown and sent again', async () => {
    const page = await asAdmin('/webhooks');
    await press(page, 'Add a webhook');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Address').fill(hook);
    await press(dialog, 'Add a webhook');
    receiver.secrets = [(await page.locator('#once pre').textContent())!];
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: hook }).click();
    await press(page, 'Test');
    await page.locator('#pinged .good').waitFor();
    receiver.respond = () => 400;
    await server.post<Ticket>('/api/v1/tickets', {
      service: 'waste',
      title: 'Sent',
      district: 'harbour',
      severity: 'low',
    });
    await until(() => receiver.arrivals.some(({ body }) => body.includes('"Sent"')), 'the event', 50);
    receiver.respond = () => 200;
    const row = page.locator('tr', { hasText: 'ticket.opened' });
    await row.first().waitFor();
    await press(row.first(), 'Look at it');
    await page.getByRole('dialog').getByText('HTTP 400').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await press(page, 'Disable');
    await press(page, 'Enable for new events');
    await page.getByText('works', { exact: true }).waitFor();
    await press(row.first(), 'Send again');
    await until(() => receiver.arrivals.filter(({ body }) => body.includes('"Sent"')).length > 1, 'it again', 50);
    expect(receiver.bad).toEqual([]);
  });

  test('notifications - a mail with quiet hours is set, tested, and changed', async () => {
    const page = await asAdmin('/notifications');
    await press(page, 'New notification');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('E-mail').fill('duty@city.example');
    await dialog.getByRole('combobox', { name: 'For whom' }).fill('Sanitation');
    await page.getByRole('option', { name: 'Sanitation Department' }).click();
    await dialog.getByLabel('Quiet from').fill('22:00');
    await dialog.getByLabel('Quiet until').fill('06:00');
    await press(dialog, 'Save');
    await page.getByText('not from 22:00 to 06:00').waitFor();
    await page.getByRole('link', { name: 'duty@city.example' }).click();
    await press(page, 'Test');
    await page.locator('#pinged .good').waitFor();
    expect(mailbox.mails.flatMap(({ to }) => to)).toContain('duty@city.example');
    await press(page, 'Change');
    await page.getByRole('dialog').getByLabel('Quiet until').fill('07:00');
    await press(page.getByRole('dialog'), 'Save');
    await page.getByText('not from 22:00 to 07:00').waitFor();
  });

  test('formats - a message is tried path by path', async () => {
    const page = await asAdmin('/formats');
    await page.locator('td', { hasText: 'zigbee2mqtt' }).first().waitFor();
    await page.getByRole('combobox', { name: 'Kind' }).fill('Waste');
    await page.getByRole('option', { name: 'Waste bin' }).click();
    await page.getByRole('textbox', { name: 'Message' }).fill('{"metrics": {"fill": 42, "battery": "full"}}');
    await press(page, 'Try');
    const result = page.locator('#format-result');
    await result.getByText('fill = 42').waitFor();
    await result.locator('.late', { hasText: 'not a number' }).waitFor();
  });

  test('oversight - tickets are counted beside the period before, and the page prints without its frame', async () => {
    const page = await asAdmin('/oversight');
    await page.locator('#totals .count', { hasText: 'opened' }).first().locator('b', { hasText: /[1-9]/ }).waitFor();
    await page.locator('td', { hasText: 'Full waste bin' }).waitFor();
    await page.getByRole('combobox', { name: 'By', exact: true }).fill('District');
    await page.getByRole('option', { name: 'District' }).click();
    await page.locator('th', { hasText: 'District' }).waitFor();
    expect(page.url()).toContain('district');
    await page.emulateMedia({ media: 'print' });
    expect(await page.locator('#side').isVisible()).toBe(false);
    expect(await page.getByRole('button', { name: 'Print' }).isVisible()).toBe(false);
    expect(await page.locator('#totals').isVisible()).toBe(true);
  });

  test('system - what the server measures of itself is shown, and the city folder is read again', async () => {
    const page = await asAdmin('/system');
    const bridges = page.getByRole('region', { name: 'Bridges to other brokers' });
    await bridges.getByText('ECONNREFUSED').waitFor();
    await bridges.getByText('mqtt://127.0.0.1:9').waitFor();
    await bridges.getByText('not connected').waitFor();
    await page.getByText('Registered devices').waitFor();
    await press(page, 'Read the city folder again');
    await page.getByText('The city folder has not changed.').waitFor();
  });

  const node = (name: string, more: object) => ({
    ...{ node: name, seq: 1_200, lagMs: 40, holds: [], checksum: 'aaaaaaaaaaaaaaaa', ageMs: 900 },
    ...more,
  });
  const CLUSTER = {
    node: 'east',
    nodes: [
      node('east', { holds: ['webhooks'] }),
      node('west', { ageMs: 240_000 }),
      node('north', { checksum: 'bbbbbbbbbbbbbbbb' }),
    ],
  };

  test.each([
    ['en-GB', 'Nodes', 'this one', 'silent for 4 min', 'decided otherwise'],
    ['zh-CN', '节点', '本节点', '没有消息', '判定不同'],
  ])('system - in %s the nodes of a cluster say how far each is, and which is in trouble', async (locale, ...texts) => {
    const [title, own, silent, differs] = texts;
    const page = await asAdmin('/keys', { locale });
    await page.route('**/api/v1/cluster', (route) => route.fulfill({ json: CLUSTER }));
    await page.goto(`${base}/system`);
    const row = (name: string) => page.getByRole('table', { name: title! }).locator('tr', { hasText: name });
    await row('east').getByText(own!).waitFor();
    await row('west').locator('.late', { hasText: silent! }).waitFor();
    await row('north').locator('.late', { hasText: differs! }).waitFor();
    // Every page says so.
    await page.locator('#banner', { hasText: 'west' }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  /** What a page has once it is complete, where that is not a list. */
  const SEEN: Readonly<Record<string, string>> = {
    '/': '.map[aria-busy=false]',
    '/tickets': 'tr[data-id]',
    '/tickets?view=board': '.card',
    '/tickets/$id': 'ol.timeline',
    '/devices': 'td.title',
    '/devices/$id': '.uplot',
    '/rules': 'td[data-fired]',
    '/rules/$id': '.cm-content',
    '/oversight': '#totals',
    '/notifications/$id': 'h1',
    '/me': 'h1',
  };
  const SCREENS = [
    ['in English, on a desktop', { locale: 'en-GB' }],
    ['in Chinese, on a phone', { locale: 'zh-CN', viewport: { width: 390, height: 800 } }],
  ] as const;

  /** The newest thing of each kind that has pages of its own; made where there is none. */
  async function things(): Promise<Readonly<Record<string, string>>> {
    const ticket = { service: 'waste', title: 'everybody can read this', district: 'harbour', severity: 'high' };
    const device = { id: `read-by-all-${Date.now()}`, profile: 'air-quality', district: 'harbour' };
    const { secret } = await server.post<{ secret: string }>('/api/v1/devices', device);
    const sent = await fetch(`${base}/ingest/${device.id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ metrics: { pm25: 12, battery: 'much' } }),
    });
    expect(sent.ok).toBe(true);
    const mail = { channel: 'email', to: 'reader@city.example', party: 'waste' };
    return {
      '/tickets/$id': (await server.post<Ticket>('/api/v1/tickets', ticket)).id,
      '/devices/$id': device.id,
      '/rules/$id': 'bin-full',
      '/webhooks/$id': (await server.post<{ id: string }>('/api/v1/webhooks', { url: hook })).id,
      '/notifications/$id': (await server.post<{ id: string }>('/api/v1/subscriptions', mail)).id,
    };
  }

  test.each(SCREENS)(
    'pages - of every route, no serious violation of WCAG %s, light and dark',
    async (_name, options) => {
      const ids = await things();
      const page = await asAdmin('/keys', options);
      expect(ROUTES.length).toBeGreaterThan(18);
      for (const route of [...ROUTES, '/tickets?view=board']) {
        const address = route.replace('$id', () => encodeURIComponent(ids[route]!));
        expect(await faultsAt(page, base + address, SEEN[route] ?? 'table.list, .empty'), address).toEqual([]);
        // Texts of the other language would be here.
        const title = await page.locator('h1').first().textContent();
        if (options.locale === 'zh-CN') expect(title, address).not.toMatch(/^[A-Z][a-z]+( [a-z]+)*$/);
      }
      await page.evaluate('sessionStorage.clear()');
      expect(await faultsAt(page, base, '#login')).toEqual([]);
    },
  );

  test.each([
    ['en-GB', /^there is no ticket "ghost"$/, 'The e-mail address or the password is wrong.'],
    ['zh-CN', /^没有找到，可能已被删除，请返回列表查看。/, '邮箱或密码错误。'],
  ])('refusals - in %s they are in that language, with what would be right', async (locale, missing, wrong) => {
    const page = await asAdmin('/tickets/ghost', { locale });
    const refusal = page.getByRole('main').getByRole('alert');
    await refusal.waitFor();
    expect(await refusal.locator('p').textContent()).toMatch(missing);
    await page.evaluate('sessionStorage.clear()');
    await page.goto(base);
    await page.locator('#email').fill('nobody@city.example');
    await page.locator('#login input[type=password]').fill('not the password');
    await page.locator('#login button[type=submit]').click();
    await page.locator('#refused', { hasText: wrong }).waitFor();
  });

  test.each([
    ['en-GB', 'History:'],
    ['zh-CN', '历史数据暂时不可用'],
  ])('banner - in %s every page says that the history is away, and no longer once it is back', async (locale, says) => {
    await server.kill();
    // Nothing listens there. Devices are served all the same.
    server.settings.INFLUX_URL = 'http://127.0.0.1:9';
    server.readyPath = '/ready?for=devices';
    await server.start();
    const page = await asAdmin('/keys', { locale });
    await page.locator('#banner', { hasText: says }).waitFor();
    await page.goto(`${base}/me`);
    await page.locator('#banner', { hasText: says }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
    await server.kill();
    delete server.settings.INFLUX_URL;
    server.readyPath = '/ready';
    await server.start();
    await page.locator('#banner').waitFor({ state: 'detached' });
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Person, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, TestBrowser } from '../kit/console.ts';
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
    ['en-GB', 'Nodes', 'this one', 'not heard of for 4 min', 'decided otherwise'],
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

  const SCREENS = [
    ['in English, on a desktop, light', { locale: 'en-GB', colorScheme: 'light' }],
    ['in Chinese, on a phone, dark', { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 390, height: 800 } }],
  ] as const;

  test.each(SCREENS)('pages - no serious violation of WCAG %s', async (_name, options) => {
    const page = await asAdmin('/keys', options);
    const [webhook] = (await server.get<{ items: { id: string }[] }>('/api/v1/webhooks')).items;
    const lists = ['/oversight', '/notifications', '/formats', '/keys', '/people', '/audit', '/system', '/webhooks'];
    for (const address of [...lists, `/webhooks/${webhook!.id}`]) {
      await page.goto(base + address);
      await page.locator('h1').first().waitFor();
      await page.locator('table.list, .empty').first().waitFor();
      expect(await axeFaults(page), address).toEqual([]);
      const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
      expect(await page.evaluate(overflow), `${address} is as wide as the screen`).toBe(0);
    }
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

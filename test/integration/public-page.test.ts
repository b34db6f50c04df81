import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Person, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, TestBrowser } from '../kit/console.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();
const PHOTO = fileURLToPath(new URL('../fixtures/photos/baseline.jpg', import.meta.url));
/** In the harbour of the sample city. */
const QUAY = { lat: 32.0153, lon: 118.7604 };

describe.skipIf(path === null)('the public page in Chromium', () => {
  const server = new RulesServer({ 'bin-full': full('bin-full', 90, 'ticket: { service: waste }\n') });
  const browser = new TestBrowser(server);
  let base: string;

  beforeAll(async () => {
    await browser.start();
    base = browser.base;
    await server.bins(['bin-1'], 'harbour', QUAY);
    const air = { id: 'air-1', profile: 'air-quality', district: 'harbour', location: QUAY };
    const { secret } = await server.post<{ secret: string }>('/api/v1/devices', air);
    const sent = await fetch(`${base}/ingest/air-1`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ metrics: { pm25: 41.5, battery: 90 } }),
    });
    expect(sent.ok).toBe(true);
    await server.settledLedger();
  });
  afterEach(() => browser.close());
  afterAll(() => browser.stop());

  const visit = (address: string, options: BrowserContextOptions = {}) => browser.visit(address, options);
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const ticketOf = (id: string) => server.get<Ticket>(`/api/v1/tickets/${id}`);

  /** Fills the form of a report at the quay, as a citizen does. */
  async function fillReport(page: Page, description: string): Promise<void> {
    await page.getByLabel('What is it about?').selectOption('waste');
    await page.getByLabel('Latitude').fill(String(QUAY.lat));
    await page.getByLabel('Longitude').fill(String(QUAY.lon));
    await page.getByLabel('What do you see?').fill(description);
  }

  test('public - what the city publishes is on the map, in tables, charts and downloads, and nothing else', async () => {
    const page = await visit('/public');
    await page.locator('.map[aria-busy=false]').waitFor();
    await page.locator('td', { hasText: '41.5' }).waitFor();
    await press(page, 'air-1');
    await page.locator('#history .uplot').waitFor();
    await page.getByText('newest 41.5').waitFor();
    await press(page, 'Week');
    await page.locator('#history .uplot').waitFor();
    const saving = page.waitForEvent('download');
    await page.getByRole('link', { name: 'This history (CSV)' }).click();
    const text = Buffer.concat(await (await (await saving).createReadStream()).toArray()).toString();
    expect(text).toMatch(/^device,metric,unit,ts,value\r\nair-1,pm25,/);
    const csv = await (await fetch(`${base}/public/readings.csv`)).text();
    expect(csv).toMatch(/air-1,harbour,32\.015,118\.76,pm25,[^,]+,[^,]+,41\.5/);
    // The battery and the bin are measured, and not published.
    expect(csv).not.toMatch(/battery|bin-1/);
    for (const query of ['device=air-1&metric=battery', 'device=ghost&metric=pm25', 'device=bin-1&metric=fill'])
      expect((await fetch(`${base}/public/history?${query}`)).status, query).toBe(404);
  });

  test('story - a reading crosses; an operator acknowledges by keyboard and hands over; a citizen sees it done and rates', async () => {
    const email = 'duty@city.example';
    const roles = [{ role: 'operator', department: null }];
    const { id: person } = await server.post<Person>('/api/v1/users', { name: 'On Duty', email, roles });
    const { path: link } = await server.post<{ path: string }>(`/api/v1/users/${person}/link`);
    const operator = await visit(link);
    await operator.locator('#choose button[type=button]').click();
    await operator.locator('#side').waitFor({ state: 'attached' });
    await operator.keyboard.press('g');
    await operator.keyboard.press('t');
    await operator.locator('h1', { hasText: 'Tickets' }).waitFor();
    await server.fill('bin-1', 95);
    // The list is not loaded again by hand.
    const row = operator.locator('tr[data-id]', { hasText: 'bin-1 is at 95 %' });
    await row.waitFor();
    const id = (await row.getAttribute('data-id'))!;
    await operator.keyboard.press('j');
    await operator.keyboard.press('a');
    await until(async () => (await ticketOf(id)).status === 'acknowledged', 'the ticket to be acknowledged', 50);

    const citizen = await visit('/public/report');
    await fillReport(citizen, 'The bin at the quay runs over');
    // What its sensor measures: with another answer somebody would have to look.
    await citizen.getByLabel('What is wrong?').selectOption('full');
    await citizen.locator('#near li', { hasText: 'bin-1 is at 95 %' }).waitFor();
    await press(citizen, 'Send the report');
    await citizen.waitForURL('**/public/requests/*');
    await citizen.getByText('The bin at the quay runs over').waitFor();
    await citizen.getByText(id).waitFor();

    await operator.keyboard.press('Enter');
    await operator.locator('ol.timeline').waitFor();
    await operator.getByRole('combobox', { name: 'To (department or party)' }).fill('Operations');
    await operator.getByRole('option', { name: 'City Operations Centre' }).click();
    await press(operator, 'Hand over');
    await until(async () => (await ticketOf(id)).department === 'operations', 'the hand-over', 50);
    // The bin is emptied: its alert ends, and with it the work.
    await server.fill('bin-1', 5);
    await until(async () => (await ticketOf(id)).status === 'resolved', 'the ticket to be resolved', 50);
    // The citizen's page follows by itself.
    await citizen.locator('#status', { hasText: 'done' }).waitFor();
    await press(operator, 'Close ticket');
    await until(async () => (await ticketOf(id)).status === 'closed', 'the ticket to be closed', 50);
    await citizen.locator('#status', { hasText: 'closed' }).waitFor();
    await citizen.locator('label.star').nth(4).click();
    await press(citizen, 'Rate');
    await citizen.getByText('You rated it 5 of 5.').waitFor();
  });

  test('report - a photo, a comment and "not fixed" reach the ticket; what is wrong is said, and nothing typed is lost', async () => {
    const page = await visit('/public/report');
    await page.getByLabel('What is it about?').selectOption('waste');
    await page.getByLabel('Latitude').fill('1');
    await page.getByLabel('Longitude').fill('1');
    await page.getByLabel('What do you see?').fill('A bin on its side');
    await press(page, 'Send the report');
    await page.getByRole('alert').getByText('outside Linjiang').waitFor();
    expect(await page.getByLabel('What do you see?').inputValue()).toBe('A bin on its side');
    await fillReport(page, 'A bin on its side');
    await page.getByLabel(/^Photo/).setInputFiles(PHOTO);
    await press(page, 'Send the report');
    await page.waitForURL('**/public/requests/*');
    await page.locator('img.photo').waitFor();
    await page.getByLabel('Your comment').fill('It blocks the pavement');
    await press(page, 'Send');
    await page.locator('ol.timeline', { hasText: 'It blocks the pavement' }).waitFor();
    const { items } = await server.get<{ items: Ticket[] }>('/api/v1/tickets?origin=citizen');
    const ticket = items.find(({ description }) => description === 'A bin on its side')!;
    await server.post(`/api/v1/tickets/${ticket.id}/resolve`, {});
    await page.locator('#status', { hasText: 'done' }).waitFor();
    await page.getByLabel('What is still wrong?').fill('It lies there still');
    await press(page, 'It is not fixed');
    await page.locator('#status', { hasText: 'received' }).waitFor();
    await page.goto(`${base}/public/requests/wrong`);
    await page.getByText('There is no request at this address.').waitFor();
  });

  const SCREENS = [
    ['in English, on a desktop, light', { locale: 'en-GB', colorScheme: 'light' }],
    ['in Chinese, on a phone, dark', { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 390, height: 800 } }],
  ] as const;

  test.each(SCREENS)('pages - no serious violation of WCAG %s', async (_name, options) => {
    const form = new URLSearchParams({ service_code: 'noise', lat: '32.02', long: '118.75', description: 'Loud' });
    const made = await fetch(`${base}/open311/v2/requests.json`, { method: 'POST', body: form });
    const [{ reporter_token: token }] = (await made.json()) as [{ reporter_token: string }];
    const page = await visit('/public', options);
    for (const address of ['/public', '/public/report', `/public/requests/${token}`]) {
      await page.goto(base + address);
      await page.locator('h1').first().waitFor();
      await page.waitForLoadState('networkidle');
      expect(await axeFaults(page), address).toEqual([]);
      const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
      expect(await page.evaluate(overflow), `${address} is as wide as the screen`).toBe(0);
      if (options.locale === 'zh-CN') expect(await page.locator('h1').first().textContent()).toMatch(/[\u4e00-\u9fff]/);
    }
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

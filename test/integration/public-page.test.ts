import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Person, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, faultsAt, TestBrowser } from '../kit/console.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { full, RulesServer } from '../kit/rules/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();
const PHOTO = fileURLToPath(new URL('../fixtures/photos/baseline.jpg', import.meta.url));
/** In the harbour of the sample city. */
const QUAY = { lat: 32.0153, lon: 118.7604 };

describe.skipIf(path === null)('the public page in Chromium', () => {
  // No line of a chart's grid is at 88.
  const server = new RulesServer({ 'bin-full': full('bin-full', 88, 'ticket: { service: waste }\n') });
  const mailbox = new Mailbox();
  const browser = new TestBrowser(server);
  let base: string;

  beforeAll(async () => {
    Object.assign(server.settings, { SMTP_URL: await mailbox.start(), SMTP_FROM: 'lamppost@city.example' });
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
  afterAll(async () => {
    await browser.stop();
    await mailbox.stop();
  });

  const visit = (address: string, options: BrowserContextOptions = {}) => browser.visit(address, options);
  /** How many pixels of the chart of a page are of its line, of the threshold, and of the time in which it fired. */
  const inked = (page: Page): Promise<Record<'line' | 'threshold' | 'firing', number>> =>
    page.evaluate(`(() => {
      const canvasOf = (width, height) => {
        const canvas = Object.assign(document.createElement('canvas'), { width, height });
        return canvas.getContext('2d', { willReadFrequently: true });
      };
      const chart = document.querySelector('.uplot canvas');
      const copy = canvasOf(chart.width, chart.height);
      copy.drawImage(chart, 0, 0);
      const { data } = copy.getImageData(0, 0, chart.width, chart.height);
      const rgb = (colour) => {
        const one = canvasOf(1, 1);
        one.fillStyle = colour;
        one.fillRect(0, 0, 1, 1);
        return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3);
      };
      const critical = getComputedStyle(chart).getPropertyValue('--critical').trim();
      const wanted = { line: rgb('#0c8a80'), threshold: rgb(critical), firing: rgb('rgb(190, 50, 30)') };
      const counts = { line: 0, threshold: 0, firing: 0 };
      for (let at = 0; at < data.length; at += 4)
        for (const [name, colour] of Object.entries(wanted)) {
          // What is shaded is hardly covered, what is drawn is at least half of a pixel.
          const isCovered = name === 'firing' ? data[at + 3] > 12 && data[at + 3] < 60 : data[at + 3] > 90;
          if (isCovered && colour.every((value, i) => Math.abs(value - data[at + i]) <= 16)) counts[name]++;
        }
      return counts;
    })()`);

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
    // A ticket of each district would be counted; of one without any, nothing is.
    const oversight = page.getByRole('region', { name: 'How the city responds' });
    await oversight.getByRole('combobox', { name: 'District', exact: true }).selectOption({ label: 'Harbour' });
    await oversight.getByRole('combobox', { name: 'Time', exact: true }).selectOption('260');
    await oversight.getByRole('combobox', { name: 'By', exact: true }).selectOption('week');
    const json = oversight.getByRole('link', { name: 'How the city responds (JSON)' });
    expect(await json.getAttribute('href')).toBe('/public/oversight.json?weeks=260&district=harbour');
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
    // Earlier readings, which the chart of its ticket shows before it.
    for (const minutes of [40, 20]) await server.fill('bin-1', 60, Date.now() - minutes * 60_000);
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
    // Why it is there: in a sentence, and as a chart with the readings, the threshold, and how long it fires.
    await operator.getByText(/: the newest reading was 95 %, which is above 88 %/).waitFor();
    await operator.getByRole('img', { name: 'Readings around the alert, with the threshold' }).waitFor();
    await expect.poll(async () => Object.entries(await inked(operator)).filter(([, count]) => count < 20)).toEqual([]);
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
    await page.getByRole('alert').getByText('The place is outside the city. Choose one inside it.').waitFor();
    // What was refused is said in the language that the page has now.
    await page.locator('#language').click();
    await page.getByRole('alert').getByText('所选位置不在本市范围内，请选择市内的位置。').waitFor();
    expect(await page.getByRole('alert').textContent()).not.toMatch(/[a-z]{2}/);
    await page.locator('#language').click();
    expect(await page.getByLabel('What do you see?').inputValue()).toBe('A bin on its side');
    await fillReport(page, 'A bin on its side');
    await page.getByLabel(/^Photo/).setInputFiles(PHOTO);
    await press(page, 'Send the report');
    await page.waitForURL('**/public/requests/*');
    await page.locator('img.photo').waitFor();
    const { items: reported } = await server.get<{ items: Ticket[] }>('/api/v1/tickets?origin=citizen');
    const { id } = reported.find(({ description }) => description === 'A bin on its side')!;
    const operator = await browser.signedIn('Photo Viewer', { role: 'operator', department: null });
    await operator.goto(`${base}/tickets/${id}`);
    await operator.locator('img.photo').waitFor();
    await operator.getByText('A bin on its side').waitFor();
    await operator.context().close();
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

  test.each([
    ['en-GB', 'The claim code is wrong, was used, or has expired. Ask for a new one.'],
    ['zh-CN', '领取码有误、已使用或已过期。请索取新的领取码。'],
  ])('claim - in %s a wrong code is refused in that language, and what was typed stays', async (locale, refused) => {
    const page = await visit('/claim#device=bin-1&code=never-made', { locale });
    await page.locator('button[type=submit]').click();
    await page.getByRole('alert').getByText(refused).waitFor();
    expect(await page.locator('input').nth(1).inputValue()).toBe('never-made');
    expect(page.url()).not.toContain('never-made');
  });

  /** A mail without the line breaks of its encoding (RFC 2045 §6.7). */
  const plain = (raw: string) => raw.replace(/=\r?\n/g, '');

  test('follow - a citizen confirms by the link of a mail; the department replies, and page and mail have it', async () => {
    const page = await visit('/public/report');
    await page.getByLabel('What is it about?').selectOption('noise');
    await page.getByLabel('Latitude').fill('32.03');
    await page.getByLabel('Longitude').fill('118.74');
    await page.getByLabel('What do you see?').fill('A band plays all night');
    await press(page, 'Send the report');
    await page.waitForURL('**/public/requests/*');
    await page.getByLabel('Address or number').fill('lin@example.org');
    await press(page, 'Follow');
    await page.getByText('A message is on its way. Open the link in it.').waitFor();
    const linkIn = () => mailbox.mails.map(({ raw }) => /\/public\/follow\/[\w-]+/.exec(plain(raw))?.[0]).find(Boolean);
    const confirming = await visit(await until(linkIn, 'the mail', 50));
    expect(await axeFaults(confirming)).toEqual([]);
    await press(confirming, 'Yes, send them');
    await confirming.getByText('You get messages about your request.').waitFor();
    const { items } = await server.get<{ items: Ticket[] }>('/api/v1/tickets?origin=citizen');
    const { id } = items.find(({ description }) => description === 'A band plays all night')!;
    await server.post(`/api/v1/tickets/${id}/comment`, { note: 'We talk to the band tonight', public: true });
    await page
      .locator('ol.timeline li', { hasText: 'The department' })
      .filter({ hasText: 'We talk to the band tonight' })
      .waitFor();
    const isSent = () => mailbox.mails.some(({ raw }) => plain(raw).includes('We talk to the band tonight'));
    await until(isSent, 'the mail with the reply', 50);
    expect(mailbox.mails.every(({ to }) => to.join() === 'lin@example.org')).toBe(true);
  });

  const SCREENS = [
    ['in English, on a desktop', { locale: 'en-GB' }],
    ['in Chinese, on a phone', { locale: 'zh-CN', viewport: { width: 390, height: 800 } }],
  ] as const;

  test.each(SCREENS)('pages - no serious violation of WCAG %s, light and dark', async (_name, options) => {
    const form = new URLSearchParams({ service_code: 'noise', lat: '32.02', long: '118.75', description: 'Loud' });
    const made = await fetch(`${base}/open311/v2/requests.json`, { method: 'POST', body: form });
    const [{ reporter_token: token }] = (await made.json()) as [{ reporter_token: string }];
    const page = await visit('/public', options);
    for (const [address, seen] of [
      ['/public', '[aria-labelledby=oversight] table'],
      ['/public/report', '.map[aria-busy=false]'],
      [`/public/requests/${token}`, 'ol.timeline'],
      ['/claim', 'h1'],
    ] as const) {
      expect(await faultsAt(page, base + address, seen), address).toEqual([]);
      if (options.locale === 'zh-CN') expect(await page.locator('h1').first().textContent()).toMatch(/[\u4e00-\u9fff]/);
    }
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

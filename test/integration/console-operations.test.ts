import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Device, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, TestBrowser } from '../kit/console.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();

/** A picture of one point. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Rules whose alerts explain each other, and nothing of what is in the sample city. */
const RULES = {
  'lamp-out': 'when: { metric: power, last: true, below: 5, clear: 10 }\nticket: { service: street-light }',
  'lamp-voltage': 'when: { metric: voltage, last: true, below: 200, clear: 210 }\nticket: { service: street-light }',
};

function cityOfTests(): string {
  const city = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
  cpSync(fileURLToPath(new URL('../../city', import.meta.url)), city, { recursive: true });
  rmSync(join(city, 'rules'), { recursive: true });
  const services = join(city, 'services.yaml');
  const command = '\n  command: { name: dim, parameters: { level: 30 } }';
  writeFileSync(services, readFileSync(services, 'utf8').replace('\nstreet-light:', `\nstreet-light:${command}`));
  const inhibition = '- { source: { rule: lamp-out }, target: { rule: [lamp-voltage] }, equal: [district] }\n';
  appendFileSync(join(city, 'inhibitions.yaml'), `\n${inhibition}`);
  return city;
}

describe.skipIf(path === null)('what the API can do, done in the console in Chromium', () => {
  const server = new ServerProcess();
  const city = cityOfTests();
  const browser = new TestBrowser(server);
  let base: string;

  beforeAll(async () => {
    Object.assign(server.settings, { LAMPPOST_CITY: city, WEBHOOK_ALLOW_PRIVATE: 'true' });
    await browser.start();
    base = browser.base;
    for (const [id, rest] of Object.entries(RULES)) {
      const head = `id: ${id}\ntitle: ${id} at {{device.name}}\nfor_each: device\nwhere: { profile: streetlight }\n`;
      await server.post('/api/v1/rules', { text: `${head}${rest}\nfor: 0s\nkeep_firing_for: 0s\nseverity: high\n` });
    }
  });
  afterEach(() => browser.close());
  afterAll(async () => {
    await browser.stop();
    rmSync(city, { recursive: true });
  });

  /** A browser of the administrator's own, with the key of the settings. */
  async function asAdmin(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.visit(`${address}#key=${ADMIN_KEY}`, options);
    await page.locator('#side').waitFor({ state: 'attached' });
    return page;
  }

  const press = (within: Page | Locator, name: string | RegExp) =>
    within.getByRole('button', { name, exact: true }).click();

  /** Registers a device and returns the function that sends readings of it. */
  async function device(id: string, more: object = {}): Promise<(...readings: object[]) => Promise<void>> {
    const body = { id, profile: 'streetlight', district: 'harbour', ...more };
    const { secret } = await server.post<{ secret: string }>('/api/v1/devices', body);
    return async (...readings) => {
      const response = await fetch(`${base}/ingest/${id}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(readings.map((metrics) => ('metrics' in metrics ? metrics : { metrics }))),
      });
      expect(response.ok, await response.text()).toBe(true);
    };
  }

  /** Resolves to the newest ticket of a device. */
  async function ticketOf(group: string): Promise<Ticket> {
    const list = async () => (await server.get<{ items: Ticket[] }>(`/api/v1/tickets?group=${group}`)).items;
    await until(async () => (await list()).length > 0, `a ticket of ${group}`, 50);
    return (await list())[0]!;
  }

  test('tickets - why alerts have none, what silences one, its asset and the command of its service are on its page', async () => {
    const send = await device('lamp-1', { asset: 'LJ-0121' });
    await send({ power: 1, voltage: 230 });
    const { id } = await ticketOf('lamp-1');
    await send({ power: 1, voltage: 100 });
    const waiting = async () => (await server.get<{ items: unknown[] }>('/api/v1/tickets/waiting')).items.length;
    await until(async () => (await waiting()) === 1, 'an alert that waits', 50);
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    await server.post('/api/v1/silences', { matchers: { rule: ['lamp-out'] }, endsAt, comment: 'the cable is dug up' });
    const page = await asAdmin(`/tickets/${id}`);
    await page.locator('#silenced-by', { hasText: 'the cable is dug up' }).waitFor();
    await page.getByText('Alerts that this one holds back (1)').click();
    await page.locator('li', { hasText: 'explained by another alert: lamp-out: lamp-1' }).waitFor();
    await page.getByText('Lamp LJ-0121 · pole · LJ-0121').waitFor();
    await press(page, 'Why now: lamp-out, lamp-1');
    await page
      .getByText(/is 1.*below 5|below 5/)
      .last()
      .waitFor();
    await press(page.locator('#silenced-by'), 'End now');
    await page.locator('#silenced-by').waitFor({ state: 'detached' });
    await press(page, 'Send “dim” to lamp-1');
    await press(page.getByRole('dialog'), 'Send “dim” to lamp-1');
    await page.locator('#command-sent').waitFor();
    const sent = await server.get<{ items: { command: string }[] }>('/api/v1/devices/lamp-1/commands');
    expect(sent.items.map(({ command }) => command)).toEqual(['dim']);
    await page.goto(`${base}/tickets`);
    await page.getByText('Alerts whose ticket waits (1)').waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  test('tickets - who reported one is shown to whom it concerns, and deleted; a comment can be for everybody', async () => {
    const report = {
      service_code: 'waste',
      lat: '32.03',
      long: '118.77',
      description: 'It is full',
      first_name: 'Mei',
    };
    const response = await fetch(`${base}/open311/v2/requests.json`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
      body: new URLSearchParams(report),
    });
    expect(response.ok, await response.clone().text()).toBe(true);
    const { items } = await server.get<{ items: Ticket[] }>('/api/v1/tickets?origin=citizen');
    const { id } = items[0]!;
    const page = await browser.signedIn('Wei Waste', { role: 'operator', department: 'waste' });
    await page.goto(`${base}/tickets/${id}`);
    await press(page, 'Show who reported it');
    await page.locator('#reporter', { hasText: 'Mei' }).waitFor();
    const { items: seen } = await server.get<{ items: { target: string }[] }>('/api/v1/audit?limit=1000');
    expect(seen.filter(({ target }) => target === `/api/v1/tickets/${id}/reporter`)).toHaveLength(1);
    await page.getByLabel('Note').fill('a crew comes today');
    await page.getByLabel('Everybody may read the comment').check();
    await press(page, 'Comment');
    await until(async () => (await page.getByLabel('Note').inputValue()) === '', 'the comment', 50);
    expect((await server.get<Ticket>(`/api/v1/tickets/${id}`)).history.at(-1)).toMatchObject({ action: 'replied' });
    await press(page, 'Delete their data');
    await press(page.getByRole('dialog'), 'Delete their data');
    await page.locator('#reporter').waitFor({ state: 'detached' });
    await press(page, 'Show who reported it');
    await page.getByText(/no name was given, or it was deleted/).waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  test('undo - a silence that was ended is in force again, a severity is set back, by a key', async () => {
    const { id } = await server.post<Ticket>('/api/v1/tickets', {
      ...{ service: 'waste', title: 'Set back', district: 'harbour', severity: 'low' },
    });
    const page = await asAdmin(`/tickets/${id}`);
    await page.getByRole('combobox', { name: 'Severity' }).fill('critical');
    await page.getByRole('option', { name: 'critical' }).click();
    await press(page, 'Set severity');
    await page.getByRole('status').getByText(`Set severity: ${id}`).waitFor();
    await page.keyboard.press('z');
    await page.getByText('Undone.').first().waitFor();
    expect((await server.get<Ticket>(`/api/v1/tickets/${id}`)).severity).toBe('low');
    await page.goto(`${base}/silences?district=harbour`);
    await page.getByLabel('Why').fill('a fair');
    await press(page.getByRole('dialog'), 'New silence');
    const row = page.locator('tr', { hasText: 'a fair' });
    await press(row, 'End now');
    await row.waitFor({ state: 'detached' });
    await page.locator('.toast', { hasText: 'has ended' }).getByRole('button', { name: 'Undo' }).click();
    await row.waitFor();
  });

  test('devices - one is calibrated, changed, gets a new secret that ends the old one, and is deleted', async () => {
    const send = await device('lamp-2');
    await send({ power: 100 });
    await server.settledLedger('lamp-2');
    const page = await asAdmin('/devices/lamp-2');
    await press(page, 'New calibration');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('combobox', { name: 'Metric' }).fill('power');
    await page.getByRole('option', { name: /power/i }).click();
    await dialog.getByLabel('Factor').fill('1.5');
    await dialog.getByLabel('Readings from', { exact: true }).fill('2026-01-01T00:00');
    await dialog.getByLabel('Certificate').fill('C-9');
    await press(dialog, 'New calibration');
    await page.locator('[data-calibration]', { hasText: 'C-9' }).waitFor();
    await press(page, 'Correct what is stored');
    await dialog.getByRole('combobox', { name: 'Metric' }).fill('power');
    await page.getByRole('option', { name: /power/i }).click();
    await dialog.getByLabel('Readings from').fill('2026-01-01T00:00');
    await press(dialog, 'Correct what is stored');
    await page.locator('#recomputed', { hasText: '1 readings corrected' }).waitFor();
    await page.keyboard.press('Escape');
    await press(page, 'Change');
    await dialog.getByRole('combobox', { name: 'Asset' }).fill('LJ-0122');
    await page.getByRole('option', { name: 'Lamp LJ-0122' }).click();
    await dialog.getByLabel('Tags').fill('street=Quay');
    await page.keyboard.press('Enter');
    await press(dialog, 'Change');
    await page.locator('dd', { hasText: 'Quay' }).waitFor();
    const changed = await server.get<Device>('/api/v1/devices/lamp-2');
    expect(changed).toMatchObject({ asset: 'LJ-0122', tags: { street: 'Quay' } });
    await press(page, 'New secret');
    await page.locator('#secret').waitFor();
    await page.keyboard.press('Escape');
    await press(page, 'End the old secret');
    await page.locator('dt', { hasText: 'Old secret' }).waitFor({ state: 'detached' });
    await press(page.locator('[data-calibration]'), 'Remove');
    await press(page.getByRole('dialog'), 'Remove');
    await page.locator('[data-calibration]').waitFor({ state: 'detached' });
    expect(await axeFaults(page)).toEqual([]);
    await press(page, 'Delete');
    await press(page.getByRole('dialog'), 'Delete');
    await page.waitForURL('**/devices');
    const { items } = await server.get<{ items: Device[] }>('/api/v1/devices');
    expect(items.map(({ id }) => id)).not.toContain('lamp-2');
  });

  test('rules - a limit is suggested and put into the rule; a rule that was deleted is made again by undoing it', async () => {
    const send = await device('lamp-3');
    const now = Date.now();
    const past = Array.from({ length: 500 }, (_, n) => ({
      ...{ ts: now - (500 - n) * 300_000, metrics: { voltage: 225 + ((n * 7) % 11) } },
    }));
    await send(...past);
    await server.settledLedger('lamp-3');
    const page = await asAdmin('/rules/lamp-voltage');
    await page.getByRole('combobox', { name: 'Kind' }).fill('Street light');
    await page.getByRole('option', { name: 'Street light', exact: true }).click();
    await page.getByRole('combobox', { name: 'Metric' }).fill('voltage');
    await page.getByRole('option', { name: /voltage/i }).click();
    await press(page, 'Suggest');
    const first = page.locator('#suggestions tr', { has: page.locator('code') }).first();
    const when = await first.locator('code').textContent();
    await press(first, 'Put into the editor');
    await page.locator('.cm-content', { hasText: `when: ${when!.slice(0, 30)}` }).waitFor();
    await press(page, 'Delete the rule');
    await press(page.getByRole('dialog'), 'Delete the rule');
    await page.waitForURL('**/rules');
    await page.getByRole('link', { name: 'lamp-voltage' }).waitFor({ state: 'detached' });
    await press(page, 'Undo');
    await page.getByRole('link', { name: 'lamp-voltage' }).waitFor();
  });

  test('keys and webhooks - what they are for is changed; events of a time are sent again', async () => {
    await server.post('/api/v1/keys', { name: 'Old name', role: 'viewer' });
    const page = await asAdmin('/keys');
    await press(page.locator('tr', { hasText: 'Old name' }), 'Change');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('What it is for').fill('New name');
    await dialog.getByLabel('Valid until').fill('2030-01-02T03:04');
    await press(dialog, 'Save');
    await page.locator('tr', { hasText: 'New name' }).getByText('2030').waitFor();
    const { items } = await server.get<{ items: { name: string; expiresAt: string }[] }>('/api/v1/keys');
    expect(items.find(({ name }) => name === 'New name')?.expiresAt).toMatch(/^2030-01-0/);
    // Nothing listens there.
    const hook = { url: 'http://127.0.0.1:9/hook', authorization: 'Bearer x' };
    const { id } = await server.post<{ id: string }>('/api/v1/webhooks', hook);
    await page.goto(`${base}/webhooks/${id}`);
    await press(page, 'Change');
    await dialog.getByLabel('What it is').fill('The old hook');
    await dialog.getByLabel('Send none any more').check();
    await press(dialog, 'Save');
    await page.getByText('The old hook').waitFor();
    expect(await server.get(`/api/v1/webhooks/${id}`)).toMatchObject({ authorization: false });
    await press(page, 'Send events again');
    await dialog.getByLabel('From').fill('2026-01-01T00:00');
    await press(dialog, 'Send again');
    await page.getByText(/[1-9]\d* deliveries are under way/).waitFor();
  });

  test('quarantine - what would make it right is said, done in the city folder, tried, and replayed', async () => {
    const send = await device('lamp-4');
    await send({ volt: 230 });
    await server.settledLedger('lamp-4');
    const page = await asAdmin('/quarantine?device=lamp-4');
    await press(page, 'Look at it');
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Map the field to a metric').waitFor();
    await dialog.locator('pre', { hasText: 'streetlight:' }).getByText('volt: { metric: METRIC').waitFor();
    await press(dialog, 'What would become of it now');
    await dialog.locator('#tried', { hasText: '0 values would be stored, 1 refused.' }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
    const file = join(city, 'profiles.yaml');
    const fields = 'streetlight:\n  fields: { volt: { metric: voltage } }';
    writeFileSync(file, readFileSync(file, 'utf8').replace('streetlight:', fields));
    await press(dialog, 'Read the city folder again');
    await page.getByText('The new city is in force.').waitFor();
    await press(dialog, 'What would become of it now');
    await dialog.locator('#tried .good', { hasText: '1 values would be stored, 0 refused.' }).waitFor();
    await press(dialog, 'Replay all of lamp-4 with this reason');
    await dialog.locator('#replay', { hasText: '1 of 1 replayed, 0 refused again' }).waitFor();
    const latest = await server.get<{ items: { metric: string; value: number }[] }>(
      '/api/v1/readings/latest?device=lamp-4',
    );
    expect(latest.items).toMatchObject([{ metric: 'voltage', value: 230 }]);
  });

  test('import - readings of a file are stored, and what is refused of them is said with its line', async () => {
    await device('lamp-5');
    const page = await asAdmin('/devices');
    await press(page, 'Import readings');
    const rows =
      'device,ts,metric,value\nlamp-5,2026-06-01T00:00:00Z,power,80\nlamp-5,2026-06-01T01:00:00Z,power,9999\n';
    await page.locator('input[type=file]').setInputFiles({
      ...{ name: 'past.csv', mimeType: 'text/csv', buffer: Buffer.from(rows) },
    });
    await press(page.getByRole('dialog'), 'Import readings');
    await page.locator('#readings-import', { hasText: '2 rows: 1 stored, 1 refused' }).waitFor();
    await page.locator('li', { hasText: '(line 3)' }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  test('now - the map has devices by their state and assets; tiles come from where the city says, and nowhere else', async () => {
    const location = { lat: 32.02, lon: 118.76 };
    for (const id of ['lamp-6', 'lamp-7']) await device(id, { location });
    await server.post('/api/v1/devices/lamp-7/suspend');
    const page = await asAdmin('/');
    const layer = (name: string) => page.locator('.layers label', { hasText: name });
    await layer('never seen').getByText('1', { exact: true }).waitFor();
    await layer('suspended').getByText('1', { exact: true }).waitFor();
    await layer('never seen').locator('input').uncheck();
    await layer('assets').locator('input').check();
    await layer('assets')
      .getByText(/^[1-9]/)
      .waitFor();
    await page.locator('.map[aria-busy=false]').waitFor();
    expect(await axeFaults(page)).toEqual([]);
    const file = join(city, 'city.yaml');
    const map = `map: { tiles: "${base}/tiles/{z}/{x}/{y}.png", attribution: "The makers of the map" }\n`;
    writeFileSync(file, `${readFileSync(file, 'utf8')}\n${map}`);
    await server.post('/api/v1/city/reload');
    let asked = 0;
    await page.route('**/tiles/**', (route) => {
      asked++;
      return route.fulfill({ contentType: 'image/png', body: Buffer.from(PIXEL, 'base64') });
    });
    await page.reload();
    await page.getByText('The makers of the map').waitFor();
    await until(() => asked > 0, 'a tile', 50);
    await page.locator('.map[aria-busy=false]').waitFor();
  });

  const SCREENS = [
    ['in Chinese, on a phone, dark', { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 390, height: 800 } }],
  ] as const;

  test.each(SCREENS)('pages - no serious violation of WCAG %s', async (_name, options) => {
    await device('lamp-8');
    const { id } = await ticketOf('lamp-1');
    const page = await asAdmin('/keys', options);
    for (const address of ['/', `/tickets/${id}`, '/devices/lamp-8', '/rules/lamp-out', '/tickets']) {
      await page.goto(base + address);
      await page.locator('h1').first().waitFor();
      expect(await axeFaults(page), address).toEqual([]);
      const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
      expect(await page.evaluate(overflow), `${address} is as wide as the screen`).toBe(0);
    }
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

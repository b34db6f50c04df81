import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Person } from '../../domain/index.ts';
import { chromiumPath, openBrowser } from '../kit/chromium.ts';
import { type Account, CLIENT, startProvider } from '../kit/oidc.ts';
import { freePort } from '../kit/ports.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { PATIENCE_MS } from '../kit/wait.ts';

const PASSWORD = 'a lantern in the harbour';
const path = chromiumPath();

/** The pages are another website than the provider: `localhost` and `127.0.0.1`. */
const accounts = new Map<string, Account>([
  ['mei', { name: 'Chen Mei', email: 'mei@city.example', locale: 'zh-CN', groups: ['waste-team', 'canteen'] }],
  ['li', { name: 'Li Na', email: 'li@city.example', groups: ['canteen'] }],
]);

describe.skipIf(path === null)('the page in Chromium', () => {
  const server = new ServerProcess();
  let provider: Awaited<ReturnType<typeof startProvider>>;
  let browser: Browser;
  let base: string;

  beforeAll(async () => {
    server.httpPort = await freePort();
    base = `http://localhost:${server.httpPort}`;
    provider = await startProvider(`${base}/auth/oidc/callback`, accounts);
    Object.assign(server.settings, {
      LAMPPOST_PUBLIC_URL: base,
      OIDC_ISSUER: provider.issuer,
      OIDC_CLIENT_ID: CLIENT.id,
      OIDC_CLIENT_SECRET: CLIENT.secret,
      OIDC_ROLES: 'city-admins=admin, waste-team=operator@waste',
    });
    await server.start();
    browser = await openBrowser(path!);
  });
  afterAll(async () => {
    await browser?.close();
    await provider?.stop();
    await server.kill();
  });

  /** A browser of its own, without cookies. */
  async function visit(address = '/'): Promise<Page> {
    const context = await browser.newContext({ locale: 'en' });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    await page.goto(base + address);
    return page;
  }

  const isIn = (page: Page, name: string) => page.locator('#who', { hasText: name }).waitFor();
  const says = async (page: Page, text: string) => page.locator('#refused', { hasText: text }).waitFor();

  async function atProvider(page: Page, login: string): Promise<void> {
    await page.click('#provider a');
    await page.fill('input[name=login]', login);
    await page.fill('input[name=password]', 'anything');
    await page.click('button[type=submit]');
    // It asks whether Lamppost may know who somebody is.
    await page.click('button[type=submit]');
  }

  const metrics = async () =>
    (await fetch(`${base}/metrics`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })).text();

  async function linkOf(email: string): Promise<string> {
    const roles = [{ role: 'operator', department: null }];
    const { id } = await server.post<Person>('/api/v1/users', { name: 'Wang Wei', email, roles });
    return (await server.post<{ path: string }>(`/api/v1/users/${id}/link`)).path;
  }

  test('page - a link signs in and asks for a password; with that one signs in again, and out', async () => {
    const page = await visit(await linkOf('wei@city.example'));
    await isIn(page, 'Wang Wei');
    expect(new URL(page.url())).toMatchObject({ pathname: '/', hash: '' });
    await page.fill('#chosen', PASSWORD);
    await page.click('#choose button[type=submit]');
    await page.locator('#choose').waitFor({ state: 'hidden' });
    await page.locator('#state', { hasText: 'live' }).waitFor();
    await page.click('#leave');
    await page.locator('#login').waitFor();
    await page.reload();
    await page.fill('#email', 'Wei@city.example');
    await page.fill('#password', 'not the password');
    await page.click('#login button[type=submit]');
    await says(page, 'The e-mail address or the password is wrong.');
    await page.fill('#password', PASSWORD);
    await page.click('#login button[type=submit]');
    await isIn(page, 'Wang Wei');
    // The cookie is out of reach of scripts, and works for what changes something.
    expect(await page.evaluate('document.cookie')).toBe('');
    const post = `fetch('/api/v1/tickets', { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ service: 'waste', title: 'Full', district: 'harbour' }) }).then(({ status }) => status)`;
    expect(await page.evaluate(post)).toBe(201);
  });

  test('page - another website cannot act with the cookie, nor read with it', async () => {
    const page = await visit(await linkOf('target@city.example'));
    await isIn(page, 'Wang Wei');
    const { port } = new URL(provider.issuer);
    // Another site, and another server of the same site, which browsers send the cookie to.
    for (const host of ['127.0.0.1', 'localhost']) {
      await page.goto(`http://${host}:${port}/.well-known/openid-configuration`);
      const leave = `fetch('${base}/auth/logout', { method: 'POST', mode: 'no-cors', credentials: 'include' })`;
      await page.evaluate(`${leave}.catch(() => null)`);
      const read = `fetch('${base}/auth/me', { credentials: 'include' }).then(() => 'read', () => 'not read')`;
      expect(await page.evaluate(read)).toBe('not read');
      await page.goto(base);
      await isIn(page, 'Wang Wei');
    }
    const refused = /^lamppost_http_refused_total\{reason="cross-site"\} (\d+)$/m.exec(await metrics());
    expect(Number(refused![1])).toBe(1);
  });

  test('page - a key still opens it', async () => {
    const page = await visit();
    await page.click('#enter summary');
    await page.fill('#key', ADMIN_KEY);
    await page.click('#keyed button[type=submit]');
    await isIn(page, 'admin');
  });

  test("page - whoever the city's provider knows is let in with the role of the table", async () => {
    const page = await visit();
    await atProvider(page, 'mei');
    await isIn(page, 'Chen Mei');
    const me = (await page.evaluate("fetch('/auth/me').then((response) => response.json())")) as { person: Person };
    expect(me).toMatchObject({ role: 'operator', department: 'waste' });
    expect(me.person).toMatchObject({ email: 'mei@city.example', language: 'zh', issuer: provider.issuer });
    expect(me.person.roles).toEqual([{ role: 'operator', department: 'waste' }]);
    // The next sign-in brings what the provider says then, to the same person.
    accounts.set('mei', { ...accounts.get('mei')!, groups: ['city-admins'] });
    const other = await visit();
    await atProvider(other, 'mei');
    await isIn(other, 'Chen Mei');
    const again = (await other.evaluate("fetch('/auth/me').then((response) => response.json())")) as typeof me;
    expect(again).toMatchObject({ role: 'admin', person: { id: me.person.id, version: 2 } });
    await server.get(`/api/v1/users/${me.person.id}`);
  });

  test('page - whoever has no role in the table is refused, and not added', async () => {
    const page = await visit();
    await atProvider(page, 'li');
    await says(page, 'gives you no role here');
    const { items } = await server.get<{ items: Person[] }>('/api/v1/users');
    expect(items.map(({ email }) => email)).not.toContain('li@city.example');
  });

  test('page - what comes back from the provider counts in the browser that began only, and once', async () => {
    const began = await visit();
    const [start] = await Promise.all([
      began.waitForRequest((request) => request.url().startsWith(`${provider.issuer}/auth`)),
      began.click('#provider a'),
    ]);
    const state = new URL(start.url()).searchParams.get('state')!;
    const other = await visit(`/auth/oidc/callback?code=stolen&state=${state}`);
    await says(other, 'did not confirm you');
    expect(await other.locator('#who').count()).toBe(0);
  });
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { Grant, Person } from '../../domain/index.ts';
import { chromiumPath, openBrowser } from './chromium.ts';
import type { ServerProcess } from './server.ts';
import { PATIENCE_MS } from './wait.ts';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

const ROUTER = readFileSync(fileURLToPath(new URL('../../console/src/router.tsx', import.meta.url)), 'utf8');
/** Every route of the console, such as `/tickets/$id`. */
export const ROUTES: readonly string[] = Array.from(
  ROUTER.matchAll(/(?:\bto\(|path: )\s*'(\/[^']*)'/g),
  ([, path]) => path!,
);

/** A page of the console in a browser of its own, and what it should not have done. */
export interface Seen {
  readonly page: Page;
  /** Errors of the page, requests to other hosts, and what its policy forbade. */
  readonly faults: string[];
}

/** Opens a browser of its own at an address of the console, and notes its faults. */
async function openPage(browser: Browser, base: string, options: BrowserContextOptions = {}): Promise<Seen> {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    // Chromium writes each request there that was refused or found no server; pages say themselves what that means.
    const isRefusal = /^Failed to load resource: (net::|the server responded with a status of 4)/.test(message.text());
    // A server that has just started is not ready yet, and the page asks whether it is.
    const isStarting = message.text().includes('status of 503') && message.location().url.endsWith('/ready');
    const isDriver = message.text().includes('GL Driver Message');
    // Of a page that is left while the map's worker is on its way; that it is drawn, a test waits for.
    const isLeft = message.text().includes('Worker failed to load');
    if (['error', 'warning'].includes(message.type()) && !isRefusal && !isStarting && !isDriver && !isLeft)
      faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(data|blob):/.test(url)) faults.push(`asked another host: ${url}`);
  });
  return { page, faults };
}

/** Opens a person's own browser, signed in by a one-time link, with one role. */
export async function openSignedIn(
  browser: Browser,
  server: ServerProcess,
  name: string,
  grant: Grant,
  options: BrowserContextOptions = {},
): Promise<Seen> {
  const email = `${name.toLowerCase().replace(' ', '.')}@city.example`;
  const { id } = await server.post<Person>('/api/v1/users', { name, email, roles: [grant] });
  const seen = await openPage(browser, `http://127.0.0.1:${server.httpPort}`, options);
  const { path } = await server.post<{ path: string }>(`/api/v1/users/${id}/link`);
  await seen.page.goto(`http://127.0.0.1:${server.httpPort}${path}`);
  // The page offers to set a password, in its own language.
  await seen.page.locator('#choose button[type=button]').click();
  await seen.page.locator('#side').waitFor({ state: 'attached' });
  return seen;
}

/** A server and a browser for the tests of one file; what its pages should not have done is kept. */
export class TestBrowser {
  readonly #server: ServerProcess;
  readonly #opened: Seen[] = [];
  #browser: Browser | null = null;

  constructor(server: ServerProcess) {
    this.#server = server;
  }

  get base(): string {
    return `http://127.0.0.1:${this.#server.httpPort}`;
  }

  /** Starts the server, and then Chromium. */
  async start(): Promise<void> {
    await this.#server.start();
    this.#browser = await openBrowser(chromiumPath()!);
  }

  /** Opens an address in a browser of its own. */
  async visit(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const seen = await openPage(this.#browser!, this.base, options);
    this.#opened.push(seen);
    await seen.page.goto(this.base + address);
    return seen.page;
  }

  /** Opens a person's own browser, signed in. */
  async signedIn(name: string, grant: Grant, options: BrowserContextOptions = {}): Promise<Page> {
    const seen = await openSignedIn(this.#browser!, this.#server, name, grant, options);
    this.#opened.push(seen);
    return seen.page;
  }

  /** Closes all pages, after each test: what is open follows the server's events. */
  async close(): Promise<void> {
    await Promise.all(this.#browser?.contexts().map((context) => context.close()) ?? []);
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.#server.kill();
  }

  /** What all pages so far did wrong. Throws where none was opened. */
  faults(): string[] {
    if (this.#opened.length === 0) throw new Error('no page was opened');
    return this.#opened.flatMap(({ faults }) => faults);
  }
}

/** Resolves once a page is drawn, and no colour is on its way to another. */
const SETTLED = `new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))).then(() =>
  Promise.allSettled(document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime !== Infinity)
    .map((one) => one.finished)))
  .then(() => null)`;

/**
 * Opens an address and waits for `seen`. Returns what axe finds wrong with the page in light and in dark, and that it is
 * wider than the screen.
 */
export async function faultsAt(page: Page, address: string, seen = 'h1'): Promise<string[]> {
  await page.goto(address);
  await page.locator(seen).first().waitFor();
  const faults: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(SETTLED);
    faults.push(...(await axeFaults(page)).map((fault) => `${address}, ${colorScheme}: ${fault}`));
  }
  const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
  const wider = await page.evaluate(overflow);
  return wider === 0 ? faults : [...faults, `${address}: ${wider} px wider than the screen`];
}

interface Violation {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** Returns what axe finds wrong with a page, of serious or critical impact: WCAG 2.1 A and AA. */
export async function axeFaults(page: Page): Promise<string[]> {
  // The page's policy forbids script elements; the debugger's own evaluation is no element.
  await page.evaluate(AXE);
  const run = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })`;
  const { violations } = (await page.evaluate(run)) as { violations: readonly Violation[] };
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]!.html} ${nodes[0]!.failureSummary ?? ''}`);
}

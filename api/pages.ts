import { readFileSync } from 'node:fs';
import type { App } from './routes/routes.ts';

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/texts.js': ['texts.js', 'text/javascript; charset=utf-8'],
  '/ticket.js': ['ticket.js', 'text/javascript; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/public': ['public.html', 'text/html; charset=utf-8'],
  '/public.js': ['public.js', 'text/javascript; charset=utf-8'],
  '/docs': ['docs.html', 'text/html; charset=utf-8'],
  '/docs.js': ['docs.js', 'text/javascript; charset=utf-8'],
  '/docs-shape.js': ['docs-shape.js', 'text/javascript; charset=utf-8'],
  '/docs.css': ['docs.css', 'text/css; charset=utf-8'],
};

/** The console, the API's documentation and the open data's page: static, served from memory; what the console shows needs a key. */
export function pageRoutes(app: App): void {
  for (const [url, [file, type]] of Object.entries(PAGES)) {
    const body = readFileSync(new URL(`../console/${file}`, import.meta.url));
    app.get(url, { config: { role: 'open' }, schema: { hide: true } }, async (_request, reply) =>
      reply.type(type).header('content-security-policy', CSP).header('cache-control', 'no-cache').send(body),
    );
  }
}

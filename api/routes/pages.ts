import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { City } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { PAGE_CSP, pageCsp } from '../edge/index.ts';
import { found } from '../schema.ts';
import type { App } from './routes.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const CONSOLE = new URL('../../console/', import.meta.url);
const DIST = new URL('dist/', CONSOLE);
const open = { config: { permission: 'open' }, schema: { hide: true } } as const;

/** Pages that are served as they are. */
const PLAIN: Readonly<Record<string, string>> = {
  '/style.css': 'style.css',
  '/docs': 'docs.html',
  '/docs.js': 'docs.js',
  '/docs-shape.js': 'docs-shape.js',
  '/docs-request.js': 'docs-request.js',
  '/docs-try.js': 'docs-try.js',
  '/docs.css': 'docs.css',
};

/** Addresses of the console: the one page finds out what to show. */
const CONSOLE_ROUTES = [
  '/',
  '/auth/link',
  '/tickets',
  '/tickets/:id',
  '/devices',
  '/devices/:id',
  '/rules',
  '/rules/:id',
  '/quarantine',
  '/silences',
  '/oversight',
  '/notifications',
  '/notifications/:id',
  '/webhooks',
  '/webhooks/:id',
  '/formats',
  '/keys',
  '/people',
  '/audit',
  '/system',
  '/me',
];

/** Addresses of the public page. */
const PUBLIC_ROUTES = ['/public', '/public/report', '/claim'];

/** The console, the API's documentation and the public page: static files, served from memory, without a key. */
export function pageRoutes(app: App, { city }: Pick<ApiDeps, 'city'>): void {
  for (const [url, file] of Object.entries(PLAIN)) {
    const body = readFileSync(new URL(file, CONSOLE));
    app.get(url, open, async (_request, reply) =>
      page(reply, file).header('content-security-policy', PAGE_CSP).send(body),
    );
  }
  for (const url of CONSOLE_ROUTES)
    app.get(url, open, async (_request, reply) => sendBuilt(reply, 'index.html', city()));
  for (const url of PUBLIC_ROUTES)
    app.get(url, open, async (_request, reply) => sendBuilt(reply, 'public.html', city()));
  assetRoute(app);
}

const page = (reply: FastifyReply, file: string) =>
  reply.type(TYPES[extname(file)] ?? 'application/octet-stream').header('cache-control', 'no-cache');

/** The two pages that `npm run console` built, without their nonce. */
const BUILT = { 'index.html': builtPage('index.html'), 'public.html': builtPage('public.html') } as const;

function builtPage(file: string): readonly [before: string, after: string] | null {
  const url = new URL(file, DIST);
  if (!existsSync(url)) return null;
  const [before = '', after = ''] = readFileSync(url, 'utf8').split('%NONCE%');
  return [before, after];
}

/** Sends a page. Its styles are made in the browser: each response names the one that may. */
export function sendBuilt(reply: FastifyReply, file: keyof typeof BUILT, { map }: Pick<City, 'map'>): FastifyReply {
  const nonce = randomBytes(16).toString('base64');
  const built = BUILT[file];
  page(reply, file).header('content-security-policy', pageCsp(nonce, map.tiles));
  return built === null ? reply.code(503).send(NOT_BUILT) : reply.send(built.join(nonce));
}

const NOT_BUILT = '<!doctype html><title>Lamppost</title><p>The console is not built: run "npm run console".</p>';

/** A file whose name changes with its content: it is kept for a year. `gzip`: the same, packed. */
interface Asset {
  readonly body: Buffer;
  readonly gzip: Buffer | null;
}

let assets: ReadonlyMap<string, Asset> | null = null;

/** Returns the files of the console by name, which are read once. */
function builtAssets(): ReadonlyMap<string, Asset> {
  assets ??= readAssets(new URL('assets/', DIST));
  return assets;
}

function readAssets(folder: URL): ReadonlyMap<string, Asset> {
  const names = new Set(existsSync(folder) ? readdirSync(folder) : []);
  const read = (name: string) => readFileSync(new URL(name, folder));
  const files = [...names].filter((name) => !name.endsWith('.gz'));
  const packed = (name: string) => (names.has(`${name}.gz`) ? read(`${name}.gz`) : null);
  return new Map(files.map((name) => [name, { body: read(name), gzip: packed(name) }]));
}

function assetRoute(app: App): void {
  const files = builtAssets();
  app.get(
    '/assets/:name',
    { ...open, schema: { hide: true } },
    async ({ headers, params }: FastifyRequest, reply: FastifyReply) => {
      const { name } = params as { name: string };
      const { body, gzip } = found(files.get(name) ?? null, `file /assets/${name}`);
      const isPacked = gzip !== null && /\bgzip\b/.test(headers['accept-encoding'] ?? '');
      if (gzip !== null) reply.header('vary', 'accept-encoding');
      if (isPacked) reply.header('content-encoding', 'gzip');
      page(reply, name).header('cache-control', 'public, max-age=31536000, immutable');
      return reply.send(isPacked ? gzip : body);
    },
  );
}

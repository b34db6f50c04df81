import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const CONSOLE = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(CONSOLE, 'dist');
/** Says from which sources the pages were built. */
const STAMP = join(DIST, 'sources');
/** Files that are worth compressing. */
const TEXTS = '**/*.{js,mjs,css,html,svg}';

/** Returns a hash of everything that the pages are built from. */
function sourcesHash(): string {
  const hash = createHash('sha256');
  const files = globSync(['src/**/*', 'build/*', '*.html', '../domain/{device-file,geo}.ts', '../package-lock.json'], {
    cwd: CONSOLE,
    withFileTypes: true,
  });
  const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
  for (const path of paths.sort()) hash.update(path.slice(CONSOLE.length)).update(readFileSync(path));
  return hash.digest('hex');
}

function builtFrom(): string | null {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return null;
  }
}

/** Builds the pages into `console/dist`, unless they are there as the sources are. Resolves to whether it built. */
export async function buildConsole(): Promise<boolean> {
  const hash = sourcesHash();
  if (builtFrom() === hash) return false;
  const [{ build }, { default: react }] = await Promise.all([import('vite'), import('@vitejs/plugin-react')]);
  // Vite builds for whatever this says, and Vitest sets it to "test": that would be React for development.
  const environment = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  await build({
    root: CONSOLE,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [react()],
    build: {
      outDir: DIST,
      emptyOutDir: true,
      rolldownOptions: { input: ['index.html', 'public.html'].map((page) => join(CONSOLE, page)) },
      target: 'es2023',
      // A worker or a picture in a data: URL would need a wider policy.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 1_500,
    },
  }).finally(() => {
    if (environment === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = environment;
  });
  for (const path of globSync(TEXTS, { cwd: DIST })) {
    const file = join(DIST, path);
    writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
  }
  writeFileSync(STAMP, hash);
  return true;
}

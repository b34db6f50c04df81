/**
 * Bundles the server into `dist/`: one file for each thread, and what they share. To load hundreds of modules in each
 * of five threads was half of what a start computes (docs/adr/0058-the-server-is-bundled.md). `npm ci` runs this
 * (`prepare`). `bin/lamppost.js` runs the sources where they have changed since.
 */
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Plugin } from 'rolldown';
import { entry, stampOf } from './entry.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');
/** They find files of theirs beside themselves; Node warns of what the last two call, but not in packages. */
const EXTERNAL = [/^@duckdb\//, /^@jitl\//, /^quickjs-emscripten-core/, /^pino/, /^mqtt$/, /^nodemailer/];
/** How a thread or a process of its own is named where it is started. */
const ENTRY = /new URL\('([./\w-]+\.ts)', import\.meta\.url\)/;

const nameOf = (path: string) => relative(ROOT, path).replace(/\.ts$/, '').replaceAll('/', '-');

function entries(): string[] {
  const files = globSync('{app,history,ingest}/**/*.ts', { cwd: ROOT }).map((file) => join(ROOT, file));
  const named = (file: string) => readFileSync(file, 'utf8').matchAll(new RegExp(ENTRY, 'g'));
  return files.flatMap((file) => [...named(file)].map(([, path]) => join(file, '..', path!)));
}

/** Entries are beside the file that starts them; all other files stay where they are. */
const files: Plugin = {
  name: 'files',
  transform(code, id) {
    if (!id.startsWith(ROOT) || id.includes('node_modules') || !code.includes('import.meta.url')) return null;
    const own = `new URL('../${relative(ROOT, id)}', import.meta.url).href`;
    const parts = code.split(ENTRY).map((part, i) => {
      if (i % 2 === 0) return part.replaceAll('import.meta.url', own);
      return `new URL('./${nameOf(join(id, '..', part))}.js', import.meta.url)`;
    });
    return { code: parts.join(''), map: null };
  },
};

/** Bundles the server, unless `dist/` has it of the sources as they are. Resolves to whether it did. */
export async function bundle(): Promise<boolean> {
  if (entry().href.includes('/dist/')) return false;
  const { rolldown } = await import('rolldown');
  const input = Object.fromEntries([join(ROOT, 'cli/index.ts'), ...entries()].map((path) => [nameOf(path), path]));
  const made = await rolldown({ cwd: ROOT, input, platform: 'node', external: EXTERNAL, plugins: [files] });
  rmSync(DIST, { recursive: true, force: true });
  const { output } = await made.write({ dir: DIST, chunkFileNames: '[name]-[hash].js', comments: false });
  await made.close();
  const modules = new Set(output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])));
  const own = [...modules].filter((id) => id.startsWith(ROOT) && !id.includes('node_modules'));
  const stamps = [...own, join(ROOT, 'bin/bundle.ts'), join(ROOT, 'package-lock.json')].map((path) => [
    relative(ROOT, path),
    stampOf(pathToFileURL(path)),
  ]);
  writeFileSync(join(DIST, 'sources.json'), JSON.stringify(Object.fromEntries(stamps)));
  return true;
}

if (import.meta.main) {
  try {
    await bundle();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.warn('The server was not bundled and starts more slowly: that needs the development dependencies.');
  }
}

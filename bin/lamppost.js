#!/usr/bin/env node
// Plain JavaScript for any version of Node, so that an old one prints one clear line instead of a syntax error.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `Lamppost needs Node 24 or newer; this is ${process.versions.node}. "npm run start" uses the Node that npm ci brought.`,
  );
  process.exit(1);
}
// glibc would keep what each thread freed in an arena of its own: 60 MiB under a light load, and as much in the process
// of the history. It reads this once, so the process begins again with it, under the same id.
if (process.platform === 'linux' && process.env.MALLOC_ARENA_MAX === undefined) {
  process.env.MALLOC_ARENA_MAX = '2';
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], process.env);
}
const { setFlagsFromString } = await import('node:v8');
// A thread's collector marks its heap in that thread then, not in helper threads on the broker's core
// (docs/performance.md).
setFlagsFromString('--no-concurrent-marking');
// What modules leave behind while they load would make each young generation grow for good; app/threads/memory.ts
// undoes this.
setFlagsFromString('--semi-space-growth-factor=1');
// Each thread collects once when it is ready.
setFlagsFromString('--expose-gc');
// Compiled modules, so that later starts neither strip types nor compile again. Without a place to write, nothing is
// kept.
const { enableCompileCache } = await import('node:module');
const { fileURLToPath } = await import('node:url');
const { directory } = enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/lamppost', import.meta.url)));
if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory;
const { entry } = await import('./entry.ts');
const { run } = await import(entry().href);
process.exitCode = await run(process.argv.slice(2), process.env);

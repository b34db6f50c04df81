#!/usr/bin/env node
// Plain JavaScript that any Node understands, so that an old one gets one clear line instead of a syntax error.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `Lamppost needs Node 24 or newer; this is ${process.versions.node}. "npm run start" uses the Node that npm ci brought.`,
  );
  process.exit(1);
}
const { run } = await import('../cli/index.ts');
process.exitCode = await run(process.argv.slice(2));

/**
 * `npm run release -- <version>`: on a clean main, writes the version and the heading of the changelog, the fixture of
 * the version from a real run of it, and the SBOM (CycloneDX) beside it; commits and tags, and pushes nothing. Refuses
 * with one sentence, and leaves the tree as it was where a step fails.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faultOf, tagOf, withHeading, withName, withVersion } from './release.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MOST_OUTPUT = 64 * 1024 * 1024;
const FILES = ['CHANGELOG.md', 'package.json', 'package-lock.json'] as const;

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const write = (file: string, text: string) => writeFileSync(join(ROOT, file), text);

/** Runs a program in the root and returns what it prints; throws where it fails, after it said why. */
function run(program: string, ...args: string[]): string {
  const stdio: ('ignore' | 'pipe' | 'inherit')[] = ['ignore', 'pipe', 'inherit'];
  return execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio, maxBuffer: MOST_OUTPUT }).trimEnd();
}

const git = (...args: string[]) => run('git', ...args);
const lines = (text: string) => text.split('\n').filter((line) => line !== '');

function refusalOf(version: string): string | null {
  return faultOf({
    version,
    current: (JSON.parse(read('package.json')) as { version: string }).version,
    branch: git('branch', '--show-current'),
    changed: lines(git('status', '--porcelain')).map((line) => line.slice(3)),
    tags: lines(git('tag', '--list')),
    changelog: read('CHANGELOG.md'),
  });
}

/** Commits and tags a version; returns the name of its SBOM. */
function release(version: string, day: string): string {
  const fixture = `test/fixtures/state/${version}`;
  const sbom = `lamppost-${version}.cdx.json`;
  const head = git('rev-parse', 'HEAD');
  try {
    write('CHANGELOG.md', withHeading(read('CHANGELOG.md'), version, day));
    for (const file of ['package.json', 'package-lock.json']) write(file, withVersion(read(file), version));
    run(process.execPath, 'test/kit/state-fixture.ts', fixture);
    write(sbom, withName(run('npm', 'sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'), 'lamppost'));
    git('add', ...FILES, fixture);
    git('commit', '--quiet', '--message', `Release ${version}`);
    git('tag', '--annotate', tagOf(version), '--message', `Lamppost ${version}`);
    return sbom;
  } catch (error) {
    git('reset', '--quiet', head);
    git('checkout', '--quiet', '--', ...FILES);
    for (const made of [fixture, sbom]) rmSync(join(ROOT, made), { recursive: true, force: true });
    throw error;
  }
}

/** Returns why nothing was released; null where it was. */
function main([version = '', ...more]: readonly string[]): string | null {
  if (version === '' || more.length > 0) return 'usage: npm run release -- <version>';
  const refusal = refusalOf(version);
  if (refusal !== null) return refusal;
  try {
    const sbom = release(version, new Date().toISOString().slice(0, 10));
    console.log(`Released ${version}: tag ${tagOf(version)}, SBOM ${sbom}. To publish it: git push --follow-tags`);
    return null;
  } catch (error) {
    return `nothing was released, and the files are as they were: ${(error as Error).message.split('\n')[0]}`;
  }
}

const fault = main(process.argv.slice(2));
if (fault !== null) {
  console.error(fault);
  process.exitCode = 1;
}

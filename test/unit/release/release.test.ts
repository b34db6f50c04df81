import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Before, compared, faultOf, withHeading, withName, withVersion } from '../../../release/release.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CHANGELOG =
  '# Changelog\n\n## Unreleased\n\n### HTTP\n\n- [FIX] A line.\n\n## 0.9.0, 2026-01-01\n\n- [FIX] Old.\n';

const GOOD: Before = {
  version: '1.0.0-rc.1',
  current: '0.9.0',
  branch: 'main',
  changed: [],
  tags: ['v0.9.0'],
  changelog: CHANGELOG,
};

test('release - a newer version on a clean main with lines in the changelog is right', () => {
  expect(faultOf(GOOD)).toBeNull();
  expect(faultOf({ ...GOOD, version: '0.9.0', tags: [] })).toBeNull();
});

test.each<[Partial<Before>, string]>([
  [{ version: 'v1.0.0' }, '"v1.0.0" is no version; write 1.2.0 or 1.2.0-rc.1'],
  [{ version: '1.0' }, '"1.0" is no version'],
  [{ version: '01.0.0' }, '"01.0.0" is no version'],
  [{ version: '1.0.0; rm' }, '"1.0.0; rm" is no version'],
  [{ version: '0.8.9' }, '0.8.9 is older than 0.9.0, which package.json has'],
  [{ version: '0.9.0-rc.1' }, '0.9.0-rc.1 is older than 0.9.0'],
  [{ version: '0.9.0' }, '0.9.0 was released: there is a tag v0.9.0'],
  [{ branch: 'topic' }, 'releases are made on main; this is topic'],
  [{ branch: '' }, 'this is no branch'],
  [{ changed: ['a.ts', 'b.ts'] }, 'there are changes that are not committed: a.ts, b.ts'],
  [{ changelog: '# Changelog\n\n## 0.9.0, 2026-01-01\n' }, 'CHANGELOG.md has no heading "## Unreleased"'],
  [{ changelog: CHANGELOG.replace(/### HTTP[\s\S]*?A line\.\n/, '') }, 'CHANGELOG.md has nothing that is unreleased'],
])('release - %j is refused in one sentence', (changes, sentence) => {
  const fault = faultOf({ ...GOOD, ...changes });
  expect(fault).toContain(sentence);
  expect(fault).not.toContain('\n');
});

test('release - versions are compared by their precedence', () => {
  const ordered = ['0.9.10', '0.10.0', '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0-rc', '1.0.0-rc.1', '1.0.0', '1.0.1'];
  expect([...ordered].reverse().toSorted(compared)).toEqual(ordered);
  expect(compared('1.0.0-rc.1', '1.0.0-rc.1')).toBe(0);
});

test('release - what is unreleased becomes the version of a day, under a new heading', () => {
  const released = CHANGELOG.replace('## Unreleased', '## Unreleased\n\n## 1.0.0, 2026-11-29');
  expect(withHeading(CHANGELOG, '1.0.0', '2026-11-29')).toBe(released);
  expect(withHeading(CHANGELOG.replace('Unreleased', '1.0.0, unreleased'), '1.0.0', '2026-11-29')).toBe(released);
  expect(faultOf({ ...GOOD, changelog: released })).toBe('CHANGELOG.md has nothing that is unreleased');
});

test('release - our own package.json and package-lock.json change in their version only', () => {
  for (const [file, places] of [
    ['package.json', 1],
    ['package-lock.json', 2],
  ] as const) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    const { version } = JSON.parse(text) as { version: string };
    expect(withVersion(text, version), file).toBe(text);
    const [before, after] = [text.split('\n'), withVersion(text, '9.8.7').split('\n')];
    const changed = after.filter((line, i) => line !== before[i]).map((line) => line.trim());
    expect(changed, file).toEqual(Array.from({ length: places }, () => '"version": "9.8.7",'));
  }
});

test('release - the SBOM is of the package, not of the folder that it is in', () => {
  const component = { 'bom-ref': 'lamppost@1.0.0', name: 'folder', version: '1.0.0' };
  const sbom = { bomFormat: 'CycloneDX', metadata: { component }, components: [] };
  const named = { ...sbom, metadata: { component: { ...component, name: 'lamppost' } } };
  expect(JSON.parse(withName(JSON.stringify(sbom), 'lamppost'))).toEqual(named);
});

/** A repository with the script, and nothing of what it runs. */
function repository() {
  const folder = mkdtempSync(join(tmpdir(), 'lamppost-release-'));
  const who = { name: 'Somebody', email: 'somebody@city.example' };
  const env = {
    ...process.env,
    ...{ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
    ...{ GIT_AUTHOR_NAME: who.name, GIT_AUTHOR_EMAIL: who.email },
    ...{ GIT_COMMITTER_NAME: who.name, GIT_COMMITTER_EMAIL: who.email },
  };
  const run = (program: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, env, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  cpSync(join(ROOT, 'release'), join(folder, 'release'), { recursive: true });
  writeFileSync(join(folder, 'CHANGELOG.md'), CHANGELOG);
  const about = { name: 'lamppost', version: '0.9.0', type: 'module' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(about));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ version: '0.9.0', packages: { '': about } }));
  run('git', 'init', '--quiet', '--initial-branch', 'main');
  run('git', 'add', '.');
  run('git', 'commit', '--quiet', '--message', 'All');
  return { folder, git: (...args: string[]) => run('git', ...args).stdout.trim(), run };
}

test('release - what is not committed is named, and nothing is done', () => {
  const { folder, git, run } = repository();
  writeFileSync(join(folder, 'new.ts'), '');
  expect(run(process.execPath, 'release/main.ts', '1.0.0')).toEqual({
    status: 1,
    stdout: '',
    stderr: 'there are changes that are not committed: new.ts\n',
  });
  expect([git('status', '--porcelain'), git('tag'), git('rev-list', '--count', 'HEAD')]).toEqual([
    '?? new.ts',
    '',
    '1',
  ]);
});

test('release - a version is asked for', () => {
  const { run } = repository();
  expect(run(process.execPath, 'release/main.ts')).toMatchObject({
    status: 1,
    stderr: 'usage: npm run release -- <version>\n',
  });
});

test('release - a step that fails leaves the files as they were, and no tag', () => {
  const { git, run } = repository();
  const { status, stderr } = run(process.execPath, 'release/main.ts', '1.0.0');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^nothing was released, and the files are as they were: .*state-fixture\.ts/m);
  expect([git('status', '--porcelain'), git('tag'), git('rev-list', '--count', 'HEAD')]).toEqual(['', '', '1']);
});

import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCityFolder, readRuleTests } from '../../../city-model/index.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-'));
});
afterEach(() => rm(folder, { recursive: true }));

const pathsOf = async () => (await readCityFolder(folder)).files.map(({ path }) => path);

test('city folder - files are read in the order of their names, subfolders included', async () => {
  await mkdir(join(folder, 'rules'));
  for (const path of ['rules/b.yaml', 'rules/a.yaml', 'districts.geojson', 'city.yaml', 'notes.txt'])
    await writeFile(join(folder, path), path);
  const { files } = await readCityFolder(folder);
  expect(files.map(({ path }) => path)).toEqual(['city.yaml', 'districts.geojson', 'rules/a.yaml', 'rules/b.yaml']);
  expect(files.map(({ text }) => text)).toEqual(files.map(({ path }) => path));
});

test('city folder - the version changes with a text and with a name only', async () => {
  const versions: string[] = [];
  const note = async () => versions.push((await readCityFolder(folder)).version);
  await writeFile(join(folder, 'a.yaml'), 'one');
  await note();
  await writeFile(join(folder, 'a.yaml'), 'two');
  await note();
  await rm(join(folder, 'a.yaml'));
  await writeFile(join(folder, 'b.yaml'), 'two');
  await note();
  expect(new Set(versions).size).toBe(3);
  expect(versions[0]).toMatch(/^[0-9a-f]{64}$/);
  await note();
  expect(versions[3]).toBe(versions[2]);
});

test('city folder - tests of rules are not part of the city: changing one keeps its version', async () => {
  await mkdir(join(folder, 'rules'));
  await writeFile(join(folder, 'rules/a.yaml'), 'id: a');
  const { version } = await readCityFolder(folder);
  await writeFile(join(folder, 'rules/a.test.yaml'), 'rule: a');
  await writeFile(join(folder, 'other.test.yaml'), 'rule: a');
  expect(await readCityFolder(folder)).toMatchObject({ version, files: [{ path: 'rules/a.yaml' }] });
  expect(await readRuleTests(folder)).toEqual([{ path: 'rules/a.test.yaml', text: 'rule: a' }]);
});

test('city folder - hidden files and the second tree of a mounted folder are ignored', async () => {
  await mkdir(join(folder, '..2026_11_23'));
  await writeFile(join(folder, '..2026_11_23/city.yaml'), 'name: 1');
  await symlink(join(folder, '..2026_11_23/city.yaml'), join(folder, 'city.yaml'));
  await writeFile(join(folder, '.#services.yaml'), 'lock');
  expect(await pathsOf()).toEqual(['city.yaml']);
});

test('city folder - the error for a missing folder names the setting', async () => {
  await expect(readCityFolder(join(folder, 'nowhere'))).rejects.toMatchObject({
    name: 'LamppostError',
    code: 'city',
    message: expect.stringMatching(/nowhere cannot be read: ENOENT.*; set LAMPPOST_CITY$/),
  });
});

test('city folder - a folder with the name of a file is an operational fault', async () => {
  await mkdir(join(folder, 'city.yaml'));
  await expect(readCityFolder(folder)).rejects.toMatchObject({ code: 'city', retryable: false });
});

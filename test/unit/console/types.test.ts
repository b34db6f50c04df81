import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type OpenApi, typesOf } from '../../../console/build/types.ts';
import { openApi } from '../../kit/api/kit.ts';

const FILE = fileURLToPath(new URL('../../../console/src/api/schema.ts', import.meta.url));

test('console - its types are those of the OpenAPI document ("vitest -u" writes them anew)', async () => {
  const api = await openApi();
  const document = (await (await api.fetch('/openapi.json', { key: null })).json()) as OpenApi;
  await api.stop();
  await expect(typesOf(document)).toMatchFileSnapshot(FILE);
});

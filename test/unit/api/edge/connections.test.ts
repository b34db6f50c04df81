import { afterEach, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../../kit/api/kit.ts';
import { rawClient } from '../../../kit/api/raw.ts';

let api: TestApi;
afterEach(() => api.stop());

const HEALTH = ['GET /health HTTP/1.1', 'host: lamppost.example', ''];
const pipelined = (count: number) => Array.from({ length: count }, () => HEALTH).flat();

test('api - ten requests that one connection sends at once are responded to, with more of them it ends', async () => {
  api = await openApi();
  const before = api.refusals.counts().pipelined;
  const ten = rawClient(api.port, [...pipelined(9), 'GET /health HTTP/1.1', 'host: a', 'connection: close', '']);
  expect((await ten.closed).match(/HTTP\/1\.1 200/g)).toHaveLength(10);
  expect(api.refusals.counts().pipelined).toBe(before);

  const many = rawClient(api.port, pipelined(500));
  expect((await many.closed).match(/HTTP\/1\.1 200/g) ?? []).toHaveLength(0);
  expect(api.refusals.counts().pipelined).toBe(before + 1);

  const oneByOne = rawClient(api.port);
  for (let n = 1; n <= 30; n++) {
    oneByOne.socket.write(`GET /health?n=${n} HTTP/1.1\r\nhost: a\r\n\r\n`);
    await oneByOne.until(new RegExp(`^(?:HTTP/1.1 200 [^{]*{[^}]*}){${n}}$`));
  }
  oneByOne.socket.destroy();
});

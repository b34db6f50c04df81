import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificate } from '../kit/broker/certificate.ts';
import { expectPlain, lamppost, launch, newDir, ROOT } from '../kit/cli/commands.ts';
import { freePort } from '../kit/ports.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const server = new ServerProcess();
beforeAll(() => server.start());
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const url = () => ['--url', `http://127.0.0.1:${server.httpPort}`];

/** Settings that are all wrong. */
const BROKEN = {
  LAMPPOST_ADMIN_KEY: 'too short',
  MQTT_PORT: '70000',
  HTTP_PORT: 'http',
  LOG_LEVEL: 'loud',
  LAMPPOST_JOURNAL_MAX_BYTES: '1',
  LAMPPOST_BACKUP_DIR: '/nowhere',
  LAMPPOST_BACKUP_KEEP: '0',
  MQTTS_PORT: '8883',
  TLS_CERT: '/nowhere/cert.pem',
  INFLUX_URL: 'not an address',
};
const COMPLAINTS = [...Object.keys(BROKEN).filter((name) => name !== 'MQTTS_PORT'), 'TLS_KEY'];

describe('doctor', () => {
  const healthy = () => ({ LAMPPOST_CITY: join(ROOT, 'city'), HTTP_PORT: String(server.httpPort) });

  test('doctor - without problems it prints so and exits 0', async () => {
    for (const ran of [
      await lamppost(['doctor'], healthy()),
      await lamppost(['doctor', ...url()], { LAMPPOST_CITY: join(ROOT, 'city') }),
    ]) {
      expect(ran.code, ran.out + ran.err).toBe(0);
      expect(ran.out).toMatch(/settings: well/);
      expect(ran.out).toMatch(/city: .*no mistakes/);
      expect(ran.out).toMatch(/server: ready/);
    }
  });

  test('doctor - lists every problem at once: of the settings, of the city, and that no server responds', async () => {
    const city = join(newDir(), 'city');
    cpSync(join(ROOT, 'city'), city, { recursive: true });
    writeFileSync(join(city, 'rules/broken.yaml'), 'id: broken\nfor_each: planet\n');
    writeFileSync(join(city, 'departments.yaml'), 'nonsense: [');
    const port = await freePort();
    const ran = await lamppost(['doctor', '--mqt-port', '1', '--url', `http://127.0.0.1:${port}`], {
      ...BROKEN,
      LAMPPOST_CITY: city,
    });
    const all = ran.out + ran.err;
    expect(ran.code).not.toBe(0);
    for (const name of [...COMPLAINTS, 'MQT_PORT']) expect(all, name).toContain(name);
    expect(all).toContain('departments.yaml');
    expect(all).toContain(`127.0.0.1:${port}`);
    expectPlain(ran);
  });

  test('doctor - without a server it exits 1, even where settings and city have no mistakes', async () => {
    const port = await freePort();
    const ran = await lamppost(['doctor'], { ...healthy(), HTTP_PORT: String(port) });
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/settings: well/);
    expect(ran.out).toMatch(/no server responds/);
  });
});

describe('start', () => {
  test('start - lists every problem of the settings at once and does not start', async () => {
    const ran = await lamppost(['start', '--mqt-port', '1'], { ...BROKEN, LAMPPOST_CITY: join(ROOT, 'city') });
    expect(ran.code).toBe(2);
    expectPlain(ran, ...[...COMPLAINTS, 'MQT_PORT'].map((name) => new RegExp(name)));
    expect(ran.err).not.toContain('MQTT_HOST');
  });

  test('start - reports a mistake in the city with file and line and does not start', async () => {
    const city = join(newDir(), 'city');
    cpSync(join(ROOT, 'city'), city, { recursive: true });
    writeFileSync(join(city, 'rules/broken.yaml'), 'id: broken\ntitle: x\nfor_each: planet\n');
    const ran = await lamppost(['start'], { LAMPPOST_CITY: city });
    expect(ran.code).toBe(1);
    expectPlain(ran, /rules\/broken\.yaml:3.*device/);
  });

  test('start - a certificate that does not match its key is a problem of the settings', async () => {
    const { TLS_CERT, ...more } = certified();
    const ran = await lamppost(['start'], {
      ...more,
      TLS_CERT,
      TLS_KEY: certified().TLS_KEY,
      LAMPPOST_CITY: join(ROOT, 'city'),
    });
    expect(ran.code).toBe(2);
    expectPlain(ran, /TLS_CERT/);
  });

  test('start - without an admin key it generates one, shows it once, and stores it nowhere', async () => {
    const data = newDir();
    const ports = {
      HTTP_PORT: String(await freePort()),
      MQTT_PORT: '0',
      HTTP_HOST: '127.0.0.1',
      MQTT_HOST: '127.0.0.1',
    };
    const run = async () => {
      const child = launch(['start'], {
        ...ports,
        LAMPPOST_CITY: join(ROOT, 'city'),
        LAMPPOST_DATA: data,
        LOG_LEVEL: 'trace',
      });
      let output = '';
      for (const stream of [child.stdout!, child.stderr!])
        stream.on('data', (chunk) => {
          output += chunk;
        });
      while (!output.includes('lamppost: http')) await once(child.stdout!, 'data');
      const key = /admin key[^:]*: (\S{43})$/m.exec(output)![1]!;
      const response = await fetch(`http://127.0.0.1:${ports.HTTP_PORT}/api/v1/keys`, {
        headers: { authorization: `Bearer ${key}` },
      });
      expect(response.status).toBe(200);
      child.kill('SIGTERM');
      expect((await once(child, 'close'))[0]).toBe(0);
      expect(output.split(key), 'shown once').toHaveLength(2);
      return key;
    };
    const first = await run();
    expect(await run(), 'the next start makes another').not.toBe(first);
    for (const name of readdirSync(data)) expect(readFileSync(join(data, name)).includes(first), name).toBe(false);
  });

  test('start - does not show an admin key from the settings', async () => {
    expect(server.output).not.toContain(ADMIN_KEY);
  });
});

/** Returns the settings of a TLS listener with a new certificate. */
function certified() {
  const dir = newDir();
  const { cert, key } = certificate('localhost');
  const settings = { MQTTS_PORT: '0', TLS_CERT: join(dir, 'cert.pem'), TLS_KEY: join(dir, 'key.pem') };
  writeFileSync(settings.TLS_CERT, cert);
  writeFileSync(settings.TLS_KEY, key);
  return settings;
}

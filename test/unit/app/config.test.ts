import { expect, test } from 'vitest';
import { misspelt, readConfig } from '../../../app/config.ts';

test('settings - mail and webhooks are off the private network and without a mail server by default', () => {
  expect(readConfig({}, {})).toMatchObject({
    webhooks: { allowPrivate: false },
    smtp: null,
    publicUrl: 'http://localhost:8080',
    keep: { deliveryDays: 14 },
  });
});

test('settings - what is set is taken, a slash at the end of the public URL is not', () => {
  const set = {
    WEBHOOK_ALLOW_PRIVATE: 'true',
    SMTP_URL: 'smtps://user:p%40ss@mail.city.example?pool=true',
    SMTP_FROM: 'Lamppost 路灯 <lamppost@city.example>',
    LAMPPOST_PUBLIC_URL: 'https://lamppost.city.example/',
  };
  expect(readConfig(set, {})).toMatchObject({
    webhooks: { allowPrivate: true },
    smtp: { url: set.SMTP_URL, from: set.SMTP_FROM },
    publicUrl: 'https://lamppost.city.example',
  });
});

test.each([
  [{ SMTP_URL: 'smtp://mail.example' }, 'SMTP_FROM: must name the sender of mail where SMTP_URL is set'],
  [{ SMTP_URL: 'http://mail.example' }, 'SMTP_URL: must be the URL of a mail server'],
  [{ SMTP_FROM: 'nobody' }, 'SMTP_FROM: must be an address'],
  [{ SMTP_FROM: 'a@b.example\nBcc: x@y.example' }, 'SMTP_FROM: must be an address'],
  [{ LAMPPOST_PUBLIC_URL: 'lamppost.example' }, 'LAMPPOST_PUBLIC_URL: must be an http or https URL'],
  [{ LAMPPOST_TRUSTED_PROXIES: 'proxy.example' }, 'LAMPPOST_TRUSTED_PROXIES: "proxy.example" is neither an IP address'],
  [{ LAMPPOST_ADMIN_KEY: 'short' }, 'LAMPPOST_ADMIN_KEY: must have 32 characters or more, or be off'],
  [{ TLS_CLIENT_NAMES: 'true' }, 'TLS_CLIENT_NAMES: needs TLS_CLIENT_CA'],
  [{ MQTT_PORT: 'none' }, 'MQTT_PORT: must be a port from 0 to 65535, or off'],
  [{ HTTP_PORT: '99999' }, 'HTTP_PORT: must be at most 65535'],
  [{ HTTP_PORT: 'http' }, 'HTTP_PORT: is not a number'],
  [{ LOG_LEVEL: 'wran' }, 'LOG_LEVEL: "wran" is not possible here: did you mean "warn"?'],
  [{ HTTP_REQUEST_SECONDS: '0' }, 'HTTP_REQUEST_SECONDS: '],
  [{ WEBHOOK_ALLOW_PRIVATE: 'perhaps' }, 'WEBHOOK_ALLOW_PRIVATE: '],
])('settings - %j is refused: %s', (set, problem) => {
  expect(() => readConfig(set, {})).toThrow(problem);
});

test('settings - a variable that is empty, as in an env file, counts as absent; an empty flag does not', () => {
  const { http, backup } = readConfig({ HTTP_PORT: '', LAMPPOST_BACKUP_DIR: '' }, {});
  expect([http.port, backup.dir]).toEqual([8080, null]);
  expect(() => readConfig({}, { LAMPPOST_CITY: '' })).toThrow('LAMPPOST_CITY: must have at least 1 characters');
});

test('settings - plain MQTT and the key of the settings can be switched off', () => {
  const { mqtt, http, adminKey, adminKeyOff } = readConfig({ MQTT_PORT: 'off', LAMPPOST_ADMIN_KEY: 'off' });
  expect([mqtt.port, adminKey, adminKeyOff]).toEqual([null, null, true]);
  // A WebSocket without TLS would be plain MQTT by another name.
  expect([http.edge.mqttNeedsTls, readConfig({}).http.edge.mqttNeedsTls]).toEqual([true, false]);
  expect(readConfig({})).toMatchObject({ mqtt: { port: 1883 }, adminKey: null, adminKeyOff: false });
});

test('settings - what HTTP lets strangers and keys use follows the settings', () => {
  const set = { HTTP_MAX_CONNECTIONS: '100', HTTP_CONNECTIONS_PER_HOLDER: '7', HTTP_REQUESTS_PER_SECOND: '2.5' };
  const { edge } = readConfig({ ...set, HTTP_REQUEST_SECONDS: '9', LAMPPOST_TRUSTED_PROXIES: '10.0.0.0/8' }).http;
  expect(edge).toMatchObject({
    connections: { total: 100, perHolder: 7, reserve: 20 },
    requests: { perSecond: 2.5, burst: 25 },
    timeouts: { requestMs: 9_000 },
    https: false,
  });
  expect([edge.proxies!.trusts('10.1.2.3'), edge.proxies!.trusts('11.1.2.3')]).toEqual([true, false]);
  const other = { HTTP_REQUESTS_PER_SECOND: '0', LAMPPOST_PUBLIC_URL: 'https://lamppost.city.example' };
  expect(readConfig(other).http.edge).toMatchObject({ requests: null, https: true });
});

test('settings - a variable that nobody reads and that looks like a setting is named, with what was meant', () => {
  const others = {
    PATH: '/bin',
    HTTP_PROXY: 'x',
    HTTPS_PROXY: 'x',
    LOGNAME: 'x',
    LAMPPOST_URL: 'x',
    LAMPPOST_BRIDGE_A: 'x',
  };
  expect(misspelt({ ...others, MQTT_PORT: '1883', LAMPPOST_HISTORY_DAYS: '9' })).toEqual([]);
  expect(misspelt({ MQTT_PROT: '1884', LAMPPOST_HISTORY_DAY: '3', LAMPPOST_COLOUR: 'red' })).toEqual([
    'MQTT_PROT is no setting: did you mean "MQTT_PORT"?',
    'LAMPPOST_HISTORY_DAY is no setting: did you mean "LAMPPOST_HISTORY_DAYS"?',
    'LAMPPOST_COLOUR is no setting',
  ]);
});

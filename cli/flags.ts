import { count, flag, needed, number, oneOf, text } from './spec.ts';

/** Flags of every command that talks to a running server. */
export const SERVER = {
  url: text('URL', 'the server (LAMPPOST_URL, the saved login, http://127.0.0.1:8080)'),
  key: text('KEY', 'the key (LAMPPOST_KEY, LAMPPOST_ADMIN_KEY, the saved login)'),
  json: flag('print JSON'),
};

/** The folder of a command that reads files. */
const DATA = { data: text('DIR', 'the data folder (LAMPPOST_DATA, ./data)') };
const BACKUP = { backup: text('DIR', 'the backup to begin with (the newest good one of LAMPPOST_BACKUP_DIR)') };
const JSON_FLAG = { json: flag('print JSON') };
export const PROGRESS = { progress: flag('print progress also where the output is no terminal') };
const CITY = { city: text('DIR', 'the city folder (LAMPPOST_CITY, ./city)') };
/** A stretch of the past. */
const SPAN = {
  from: text('T', '2026-03-01, 2026-03-01T06:00:00Z, or how long ago (30d)'),
  to: text('T', 'the same; absent: now'),
};

export const AUDIT_VERIFY = { ...DATA, ...JSON_FLAG };
export const BACKTEST = {
  rule: text('ID', 'a rule in force, instead of a file'),
  ...SPAN,
  ...DATA,
  ...CITY,
  url: text('URL', 'run it on a running server instead (LAMPPOST_URL is not looked at)'),
  key: text('KEY', 'the key for it (LAMPPOST_KEY, LAMPPOST_ADMIN_KEY, the saved login)'),
  ...JSON_FLAG,
  ...PROGRESS,
};
export const BACKUP_NOW = { ...SERVER, to: text('DIR', 'a new folder in LAMPPOST_BACKUP_DIR') };
export const CLUSTER_RECOVER = {
  ...DATA,
  yes: flag('do it; without this it only says what it would do'),
  ...{ ...JSON_FLAG, ...PROGRESS },
};
export const CLUSTER_STATUS = { ...JSON_FLAG };
export const DEMO = {
  cluster: count(
    'N nodes (1, 3 or 5) over as many nats-servers, each a process of its own; absent: one process',
    1,
    99,
  ),
  speed: number("devices report N times as often, and the city's day passes N times as fast: 60", 0.001, 1_000_000),
  devices: count('how many devices: 120', 1, 100_000),
  seed: text('TEXT', 'the same seed gives the same city: 1'),
  seconds: number('stop after so many seconds', 0, 86_400 * 365),
};
export const DOCTOR = {
  ...{ url: text('URL', 'the server to look at (LAMPPOST_URL, HTTP_PORT of this machine)') },
  deep: flag('read every file of the data folder or backup'),
  ...JSON_FLAG,
};
export const FORMAT_TRY = {
  topic: text('TOPIC', 'the topic that the message came to'),
  format: text('FORMAT', 'a format, instead of a topic'),
  device: text('ID', 'the device that sent it'),
  profile: text('ID', 'the profile of the device'),
  ...CITY,
  ...JSON_FLAG,
};
export const IMPORT_READINGS = {
  ...SERVER,
  format: oneOf(['csv', 'lines', 'parquet'], 'the format, where the name of the file does not say it'),
  device: text('ID', 'the device of all rows that name none'),
  precision: oneOf(['s', 'ms', 'us', 'ns'], 'the unit of timestamps of line protocol'),
  rules: flag('let the rules see the readings, too'),
  train: flag('let anomalies and forecasts learn from them; nothing fires'),
  ...PROGRESS,
};
export const LOGIN = {
  url: text('URL', 'the server (LAMPPOST_URL, the saved login, http://127.0.0.1:8080)'),
  key: text('KEY', 'the key to keep (LAMPPOST_KEY; absent: it is asked for, or the first line of standard input)'),
  json: flag('print JSON'),
};
export const REBUILD = { ...DATA, ...BACKUP, ...JSON_FLAG, ...PROGRESS };
export const REPAIR = {
  ...{ ...DATA, ...BACKUP },
  'pass-over': flag('pass over damaged blocks of the log that no backup has'),
  yes: flag('do it; without this it only says what it would do'),
  ...{ ...JSON_FLAG, ...PROGRESS },
};
export const RESTORE = {
  data: needed(text('DIR', 'the new data folder')),
  to: text('T', 'a moment with its zone, such as 2026-06-15T12:00:00Z'),
  log: text('DIR', 'a data folder or later backup with the log after the backup'),
  ...{ ...JSON_FLAG, ...PROGRESS },
};
export const RULES_FOLDER = { ...JSON_FLAG };
export const RULES_SUGGEST = {
  ...SERVER,
  metric: needed(text('M', 'the metric')),
  profile: needed(text('P', 'the profile of its devices')),
  ...SPAN,
  incidents: text('FILE', 'what people marked, as JSON: [{"device": "d1", "from": "…", "to": "…"}]; no device: all'),
  'no-tickets': flag('leave out the tickets that somebody acknowledged'),
};
export const SIMULATE = {
  url: text('URL', 'where devices publish: mqtt://127.0.0.1:1883'),
  api: text('URL', 'where devices are registered (LAMPPOST_URL, http://127.0.0.1:8080)'),
  key: text('KEY', 'a key that may register devices (LAMPPOST_KEY, LAMPPOST_ADMIN_KEY, the saved login)'),
  ...CITY,
  devices: count('number of devices: 120', 1, 1_000_000),
  seed: text('TEXT', 'the same seed gives the same city: 1'),
  speed: number('devices report N times as often, and the day passes N times as fast: 1', 0.001, 1_000_000),
  faults: number('share of readings at which a fault of the device starts: 0.005', 0, 1),
  format: text(
    'NAME',
    'in which format devices publish, where the city declares it; mixed: by the kind of device: native',
  ),
  duration: text('TIME', '30s, 10m, 2h; absent: until Ctrl-C'),
  progress: flag('print a line every 2 seconds'),
  replay: text('FILE', 'send the readings of this file (timestamp,value CSV) as one device, instead of a city'),
  device: text('ID', 'of a replay: the id of the device'),
  metric: text('NAME', 'of a replay: the metric'),
  profile: text('ID', 'of a replay: the profile: traffic'),
  district: text('ID', "of a replay: the district: the city's first"),
  unit: text('UNIT', "of a replay: the unit, if it is not the city's: mph (to km/h), degF (to Cel)"),
  zone: text('ZONE', 'of a replay: the time zone of timestamps without one: UTC'),
  'keep-time': flag('of a replay: keep the recorded timestamps; otherwise the last one is now'),
};

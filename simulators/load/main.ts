import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { count, numberIn, UsageError } from '../flags.ts';
import type { LoadIdentity } from './packets.ts';
import { type LoadOptions, type LoadReport, runLoad } from './run.ts';

const HELP = `Load generator: sends QoS 1 readings of about 100 bytes on raw sockets.

node simulators/load/main.ts --port 1883 --seconds 10 [flags]

  --host HOST           127.0.0.1
  --port PORT           1883
  --connections N       50
  --window N            messages in flight per connection: 200
  --seconds N           length of the measured time: 10 (unless --messages is given)
  --warmup N            seconds before it that are not measured: 1
  --messages N          send exactly N instead, and measure until the last acknowledgement
  --rate N              messages per second of all connections; without it as fast as acknowledgements arrive
  --credentials FILE    JSON [{"id", "secret"}], one for each connection; without it anonymous
  --start-ts MS         first timestamp of each device (two hours ago); a repeated run passes the last report's nextTsMs
  --qos 1               the only supported level
  --json                print the report as JSON
`;

const FLAGS = {
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '1883' },
  connections: { type: 'string', default: '50' },
  window: { type: 'string', default: '200' },
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  messages: { type: 'string' },
  rate: { type: 'string' },
  credentials: { type: 'string' },
  'start-ts': { type: 'string' },
  qos: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function read(argv: readonly string[]): { options: LoadOptions; json: boolean; help: boolean } {
  const { values } = parseArgs({ args: [...argv], options: FLAGS, strict: true });
  if (values.qos !== '1') throw new UsageError('--qos: only 1 is supported');
  const seconds = values.seconds ?? (values.messages === undefined ? '10' : undefined);
  const options: LoadOptions = {
    host: values.host,
    port: count('port', values.port),
    connections: count('connections', values.connections),
    window: count('window', values.window),
    ...(seconds !== undefined && { seconds: numberIn('seconds', seconds, 0.1, 86_400) }),
    ...(values.messages !== undefined && { messages: count('messages', values.messages) }),
    ...(values.warmup !== undefined && { warmupSeconds: numberIn('warmup', values.warmup, 0, 600) }),
    ...(values.rate !== undefined && { rate: count('rate', values.rate) }),
    ...(values['start-ts'] !== undefined && { startTsMs: count('start-ts', values['start-ts']) }),
    ...(values.credentials !== undefined && { identities: readCredentials(values.credentials) }),
  };
  return { options, json: values.json, help: values.help };
}

function readCredentials(file: string): LoadIdentity[] {
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const valid =
    Array.isArray(parsed) && parsed.every((one) => typeof one?.id === 'string' && typeof one.secret === 'string');
  if (!valid) throw new UsageError(`--credentials ${file}: expected [{"id": "…", "secret": "…"}, …]`);
  return parsed as LoadIdentity[];
}

function asText(report: LoadReport): string {
  const { steady, ackMs } = report;
  return [
    `${Math.round(steady.perSecond)} messages/s acknowledged over ${steady.seconds.toFixed(1)} s`,
    `ack ms: p50 ${ackMs.p50.toFixed(2)}, p90 ${ackMs.p90.toFixed(2)}, p99 ${ackMs.p99.toFixed(2)}, max ${ackMs.max.toFixed(2)}`,
    `generator CPU ${steady.cpuMicrosPerMessage.toFixed(2)} µs per message; sent ${report.sent}, unacknowledged ${report.unacknowledged}`,
    ...Object.entries(report.closed).map(([why, times]) => `${times} connections ended early: ${why}`),
  ].join('\n');
}

try {
  const { options, json, help } = read(process.argv.slice(2));
  if (help) {
    process.stdout.write(HELP);
  } else {
    const report = await runLoad(options);
    process.stdout.write(`${json ? JSON.stringify(report) : asText(report)}\n`);
    if (report.unacknowledged > 0 || Object.keys(report.closed).length > 0) process.exitCode = 1;
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

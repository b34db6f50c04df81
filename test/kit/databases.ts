import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs } from './children.ts';
import { freePort } from './ports.ts';
import { until } from './wait.ts';

/** Whether a program is installed. A missing one is reported, and is a failure in CI. */
export function has(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.CI === 'true') throw new Error(`${program} is not installed, and CI must have it`);
    console.warn(`SKIPPED: ${program} is not installed; apt-get install it to run these tests`);
    return false;
  }
}

/** A real database in its own process with its own folder; it can be killed and started again. */
export class DatabaseProcess {
  readonly url: string;
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #health: string;
  #child: ChildProcess | null = null;

  private constructor(command: string, args: readonly string[], url: string, health: string) {
    this.#command = command;
    this.#args = args;
    this.url = url;
    this.#health = health;
  }

  /** InfluxDB 1. */
  static async influx(): Promise<DatabaseProcess> {
    const [http, rpc] = [await freePort(), await freePort()];
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-influx-'));
    const config = join(dir, 'influxdb.conf');
    writeFileSync(
      config,
      `reporting-disabled = true
bind-address = "127.0.0.1:${rpc}"
[meta]
  dir = "${dir}/meta"
[data]
  dir = "${dir}/data"
  wal-dir = "${dir}/wal"
[http]
  bind-address = "127.0.0.1:${http}"
  log-enabled = false
`,
    );
    return new DatabaseProcess('influxd', ['-config', config], `http://127.0.0.1:${http}`, '/ping');
  }

  /** VictoriaMetrics, which supports writes of InfluxDB 2; the same point is one, as docs/influxdb.md says. */
  static async victoria(): Promise<DatabaseProcess> {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-victoria-'));
    const args = [
      `-storageDataPath=${dir}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      '-dedup.minScrapeInterval=1ms',
      '-loggerLevel=ERROR',
    ];
    return new DatabaseProcess('victoria-metrics', args, `http://127.0.0.1:${port}`, '/health');
  }

  async start(): Promise<void> {
    this.#child = spawn(this.#command, this.#args, { stdio: 'ignore' });
    endsWithUs(this.#child);
    const isHealthy = () =>
      fetch(this.url + this.#health).then(
        ({ ok }) => ok,
        () => false,
      );
    await until(isHealthy, `a start of ${this.#command}`, 50);
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

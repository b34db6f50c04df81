import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether Mosquitto's own clients are installed. A missing one is reported, and is a failure in CI. */
export function hasMosquittoClients(): boolean {
  try {
    execFileSync('which', ['mosquitto_sub']);
    return true;
  } catch {
    if (process.env.CI === 'true') throw new Error('mosquitto-clients is not installed, and CI needs it');
    console.warn("SKIPPED: mosquitto_sub is not installed: Mosquitto's clients against this broker");
    return false;
  }
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** `mosquitto_sub` with a kept session and QoS 1, as its own process; it reconnects by itself. */
export class MosquittoSub {
  /** Payloads that it printed, in order. */
  readonly lines: string[] = [];
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #rest = '';

  constructor(options: {
    port: number;
    clientId: string;
    username: string;
    password: string;
    topics: readonly string[];
    version?: '311' | '5';
  }) {
    const { port, clientId, username, password, topics, version = '311' } = options;
    const login = ['-h', '127.0.0.1', '-p', String(port), '-i', clientId, '-u', username, '-P', password];
    this.#args = [...login, '-V', version, '-c', '-q', '1', '-F', '%p', ...topics.flatMap((topic) => ['-t', topic])];
  }

  start(): void {
    this.#child = spawn('mosquitto_sub', this.#args, { stdio: ['ignore', 'pipe', 'ignore'] });
    running.add(this.#child);
    this.#child.stdout!.on('data', (bytes: Buffer) => {
      const lines = (this.#rest + bytes.toString('latin1')).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.lines.push(Buffer.from(line, 'latin1').toString());
    });
  }

  /** kill -9; resolves when all that it printed has been read. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const gone = once(child, 'close');
    child.kill('SIGKILL');
    await gone;
    running.delete(child);
    this.#rest = '';
  }
}

/** Whether Mosquitto itself is installed. A missing one is reported, and is a failure in CI. */
export function hasMosquitto(): boolean {
  if (existsSync(MOSQUITTO)) return true;
  if (process.env.CI === 'true') throw new Error('mosquitto is not installed, and CI needs it');
  console.warn('SKIPPED: mosquitto is not installed: its bridges to this broker');
  return false;
}
const MOSQUITTO = '/usr/sbin/mosquitto';

/** Mosquitto on this machine, with lines of its configuration; it logs everything. */
export class Mosquitto {
  output = '';
  readonly #child: ChildProcess;

  constructor(dir: string, lines: readonly string[]) {
    const file = join(dir, 'mosquitto.conf');
    writeFileSync(file, [...lines, 'allow_anonymous true', 'persistence false', 'user root', ''].join('\n'));
    this.#child = spawn(MOSQUITTO, ['-v', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.#child);
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on('data', (bytes: Buffer) => {
        this.output += bytes.toString();
      });
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const gone = once(this.#child, 'close');
    this.#child.kill(signal);
    await gone;
    running.delete(this.#child);
  }
}

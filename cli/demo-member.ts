import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { LamppostError } from '../domain/index.ts';
import { endsWithUs } from './children.ts';

/** Time for a person to see what a failure looks like. */
export const AGAIN_SECONDS = 15;
/** A node that waits for a majority of nats-servers that is gone does not hold up the end. */
const LAST_MS = 20_000;

interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Responds with success once it is ready. */
  readonly health: string;
  /** Where its output goes. */
  readonly log: string;
  readonly say: (line: string) => void;
}

/** A process of the cluster. Once it was ready, it is started again whenever it ends. */
export class Member {
  readonly #program: Program;
  #child: ChildProcess | null = null;
  #again: NodeJS.Timeout | undefined;
  #wasReady = false;
  #stopping = false;

  constructor(program: Program) {
    this.#program = program;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  launch(): void {
    if (this.#stopping) return;
    const { command, args, env, log } = this.#program;
    const output = openSync(log, 'a', 0o600);
    // In a group of its own: Ctrl-C reaches the demo only, which ends everything in order.
    const child = spawn(command, args, { env, stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    endsWithUs(child);
    this.#child = child;
    child.once('exit', (code, signal) => this.#ended(child.pid!, signal ?? `exit code ${code}`));
  }

  #ended(pid: number, how: string): void {
    const { name, say } = this.#program;
    if (this.#stopping || !this.#wasReady) return;
    say(`${name} (pid ${pid}) ended (${how}); the demo starts it again in ${AGAIN_SECONDS} s`);
    this.#again = setTimeout(() => {
      this.launch();
      say(`${name} starts again, pid ${this.pid}`);
      this.ready().then(
        () => say(`${name} is ready again`),
        () => {},
      );
    }, AGAIN_SECONDS * 1_000);
  }

  /** Resolves once it is ready. Throws `busy`, with the end of its output, where it ends before. */
  async ready(): Promise<void> {
    const { name, health, log } = this.#program;
    const child = this.#child;
    for (;;) {
      if (child === null || child.exitCode !== null || child.signalCode !== null) {
        const said = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-3).join('\n');
        throw new LamppostError('busy', `${name} ended while it started:\n${said}`);
      }
      const isReady = await fetch(health).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isReady) break;
      await pause(200);
    }
    this.#wasReady = true;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#again);
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const last = setTimeout(() => child.kill('SIGKILL'), LAST_MS);
    await gone;
    clearTimeout(last);
  }

  kill(): void {
    this.#stopping = true;
    this.#child?.kill('SIGKILL');
  }
}

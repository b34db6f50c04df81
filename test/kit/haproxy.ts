import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs } from './children.ts';
import { freePort } from './ports.ts';
import { until } from './wait.ts';

/** Whether HAProxy is installed. A missing one is reported, and is a failure in CI. */
export function hasHaproxy(): boolean {
  try {
    execFileSync('which', ['haproxy']);
    return true;
  } catch {
    if (process.env.CI === 'true') throw new Error('haproxy is not installed, and CI needs it');
    console.warn('SKIPPED: haproxy is not installed: a real proxy in front of this broker');
    return false;
  }
}

/** A port of the server, and how the proxy passes connections on to it: `send-proxy`, `send-proxy-v2` or neither. */
export interface Passage {
  readonly to: number;
  readonly how: string;
}

/** HAProxy in its own process, with a port of its own for each passage. */
export class Haproxy {
  readonly ports: number[] = [];
  #child: ChildProcess | null = null;

  async start(passages: readonly Passage[]): Promise<void> {
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-haproxy-'));
    const lines = ['defaults', '  mode tcp', '  timeout connect 5s', '  timeout client 60s', '  timeout server 60s'];
    for (const { to, how } of passages) {
      const port = await freePort();
      this.ports.push(port);
      lines.push(`listen from-${port}`, `  bind 127.0.0.1:${port}`, `  server lamppost 127.0.0.1:${to} ${how}`);
    }
    const path = join(dir, 'haproxy.cfg');
    writeFileSync(path, `${lines.join('\n')}\n`);
    this.#child = spawn('haproxy', ['-db', '-q', '-f', path], { stdio: 'inherit' });
    endsWithUs(this.#child);
    for (const port of this.ports) await until(() => isOpen(port), `HAProxy on ${port}`, 20);
  }

  async stop(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }
}

/** Whether something listens on a port of this machine. */
export async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const found = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return found;
}

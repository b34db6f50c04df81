import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs } from './children.ts';
import { fencedBlocks } from './documents.ts';
import { freePort } from './ports.ts';
import type { ServerProcess } from './server.ts';
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
    const lines = ['defaults', '  mode tcp', '  timeout connect 5s', '  timeout client 60s', '  timeout server 60s'];
    for (const { to, how } of passages) {
      const port = await freePort();
      this.ports.push(port);
      lines.push(`listen from-${port}`, `  bind 127.0.0.1:${port}`, `  server lamppost 127.0.0.1:${to} ${how}`);
    }
    await this.#run(lines.join('\n'));
  }

  /**
   * As docs/cluster.md has it in front of three nodes, but without TLS; its ports are those of MQTT and HTTP. The proxy
   * speaks the PROXY protocol to the nodes, which must trust its address.
   */
  async startBefore(nodes: readonly ServerProcess[]): Promise<void> {
    const [mqtt, http] = [await freePort(), await freePort()];
    this.ports.push(mqtt, http);
    let text = fencedBlocks('docs/cluster.md').find(({ language }) => language === 'haproxy')!.text;
    for (const [n, { machine, mqttPort, httpPort }] of nodes.entries()) {
      const address = `10.0.0.${n + 1}`;
      text = text
        .replaceAll(`${address}:1883 check port 8080`, `${machine.host}:${mqttPort} check port ${httpPort}`)
        .replaceAll(`${address}:8080`, `${machine.host}:${httpPort}`);
    }
    await this.#run(
      text
        .replaceAll(' ssl crt /etc/haproxy/lamppost.pem', '')
        .replace('bind :8883', `bind 127.0.0.1:${mqtt}`)
        .replace('bind :443', `bind 127.0.0.1:${http}`),
    );
  }

  async #run(config: string): Promise<void> {
    const path = join(mkdtempSync(join(tmpdir(), 'lamppost-haproxy-')), 'haproxy.cfg');
    writeFileSync(path, `${config}\n`);
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

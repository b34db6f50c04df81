import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs } from './children.ts';
import { fencedBlocks } from './documents.ts';
import { isOpen } from './haproxy.ts';
import { freePort } from './ports.ts';
import { until } from './wait.ts';

// Where Debian puts modules that are loaded at run time.
const STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** Whether nginx and its stream module are installed. A missing one is reported, and is a failure in CI. */
export function hasNginx(): boolean {
  try {
    execFileSync('which', ['nginx']);
    if (existsSync(STREAM)) return true;
  } catch {
    // reported below
  }
  if (process.env.CI === 'true') throw new Error('nginx or its stream module is not installed, and CI needs it');
  console.warn('SKIPPED: nginx or its stream module is not installed: its configuration of the docs');
  return false;
}

interface Behind {
  /** Ports of the server. */
  readonly http: number;
  readonly mqtt: number;
  readonly cert: string;
  readonly key: string;
}

/** nginx with the configuration of docs/operate.md: only its ports and certificates are others. */
export class Nginx {
  https = 0;
  mqtts = 0;
  #child: ChildProcess | null = null;
  #errors = '';

  async start({ http, mqtt, cert, key }: Behind): Promise<void> {
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-nginx-'));
    const files = { 'fullchain.pem': cert, 'privkey.pem': key };
    for (const [name, pem] of Object.entries(files)) writeFileSync(join(dir, name), pem);
    [this.https, this.mqtts] = [await freePort(), await freePort()];
    const [web, stream] = fencedBlocks('docs/operate.md')
      .filter(({ language }) => language === 'nginx')
      .map(({ text }) =>
        text
          .replaceAll('/etc/letsencrypt/live/lamppost.city.example/', `${dir}/`)
          .replaceAll('127.0.0.1:8080', `127.0.0.1:${http}`)
          .replaceAll('127.0.0.1:1883', `127.0.0.1:${mqtt}`)
          .replaceAll('listen 443 ', `listen 127.0.0.1:${this.https} `)
          .replaceAll('listen 8883 ', `listen 127.0.0.1:${this.mqtts} `),
      );
    const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${dir}/${one};`);
    const config = [
      `load_module ${STREAM};`,
      `pid ${dir}/nginx.pid;`,
      `error_log ${dir}/error.log;`,
      'events {}',
      `http {\naccess_log off;\n${bodies.join('\n')}\n${web}\n}`,
      stream,
    ];
    const file = join(dir, 'nginx.conf');
    writeFileSync(file, config.join('\n'));
    this.#errors = join(dir, 'error.log');
    this.#child = spawn('nginx', ['-c', file, '-g', 'daemon off; master_process off;'], { stdio: 'inherit' });
    endsWithUs(this.#child);
    for (const port of [this.https, this.mqtts]) await until(() => isOpen(port), `nginx on ${port}`, 20);
  }

  /** What it reported. */
  get errors(): string {
    return readFileSync(this.#errors, 'utf8');
  }

  async stop(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }
}

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { type ClusterSettings, clusterSettings, connectTo } from '../../cluster/index.ts';
import { certificate } from '../kit/broker/certificate.ts';
import { endsWithUs } from '../kit/children.ts';
import { fencedBlocks, ROOT } from '../kit/documents.ts';
import { hasHaproxy } from '../kit/haproxy.ts';
import { freePort } from '../kit/ports.ts';
import { until } from '../kit/wait.ts';

const blockIn = (language: string) => fencedBlocks('docs/cluster.md').find((one) => one.language === language)!.text;

function settings(log: string, ca: string | undefined): ClusterSettings {
  const none = { credentials: undefined, cert: undefined, key: undefined, domain: undefined };
  return clusterSettings({ log, node: 'north', name: 'lamppost', replicas: 3, ca, ...none });
}

/** Certificates where the pages have them. */
function folderWithCertificates(): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-cluster-docs-'));
  const { cert, key } = certificate('localhost');
  for (const [name, text] of Object.entries({
    'ca.pem': cert,
    'cert.pem': cert,
    'key.pem': key,
    'all.pem': cert + key,
  }))
    writeFileSync(join(dir, name), text);
  return dir;
}

test('cluster.md - the configuration of nats-server is one, and Lamppost logs in to it over TLS', async () => {
  const dir = folderWithCertificates();
  const [client, monitor, route] = [await freePort(), await freePort(), await freePort()];
  const text = blockIn('nats')
    // The server of Debian is 2.9.
    .replace(', sync_interval: always', '')
    .replaceAll('/etc/nats/', `${dir}/`)
    .replace('/var/lib/nats', `${dir}/data`)
    .replaceAll('10.0.0.1:4222', `127.0.0.1:${client}`)
    .replaceAll('10.0.0.1:8222', `127.0.0.1:${monitor}`)
    .replaceAll('10.0.0.1:6222', `127.0.0.1:${route}`)
    .replace(/routes: \[.*\]/, 'routes: ["nats://127.0.0.1:1"]');
  const path = join(dir, 'nats.conf');
  writeFileSync(path, text);
  const env = { PATH: process.env.PATH, LAMPPOST_NATS_PASSWORD: 'secret-of-clients', NATS_ROUTE_PASSWORD: 'r' };
  expect(() => execFileSync('nats-server', ['-t', '-c', path], { env, stdio: 'pipe' })).not.toThrow();
  const child = spawn('nats-server', ['-c', path], { env, stdio: 'ignore' });
  endsWithUs(child);
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(() => fetch(`http://127.0.0.1:${monitor}/varz`).catch(() => null), 'nats-server', 50);
  const log = (password: string) => `tls://lamppost:${password}@localhost:${client}`;
  const ca = join(dir, 'ca.pem');
  const connection = await connectTo(settings(log('secret-of-clients'), ca), 'test');
  expect(connection.info!.jetstream).toBe(true);
  await connection.close();
  await expect(connectTo(settings(log('wrong'), ca), 'test')).rejects.toThrow('NATS refuses the login');
  await expect(connectTo(settings(log('secret-of-clients'), undefined), 'test')).rejects.toThrow('can be reached');
});

test.skipIf(!hasHaproxy())('cluster.md - the configuration of HAProxy is one', () => {
  const dir = folderWithCertificates();
  const path = join(dir, 'haproxy.cfg');
  writeFileSync(path, `${blockIn('haproxy').replaceAll('/etc/haproxy/lamppost.pem', join(dir, 'all.pem'))}\n`);
  expect(() => execFileSync('haproxy', ['-c', '-f', path], { stdio: 'pipe' })).not.toThrow();
});

test('docker-compose.cluster.yml - has three nodes of different names over three servers, and HAProxy knows all nodes', () => {
  const compose = parse(readFileSync(join(ROOT, 'docker-compose.cluster.yml'), 'utf8'), { merge: true });
  const nodes = ['north', 'east', 'south'];
  const servers = ['nats-1', 'nats-2', 'nats-3'];
  expect(Object.keys(compose.services).sort()).toEqual([...nodes, ...servers, 'haproxy'].sort());
  for (const node of nodes) {
    const { environment, volumes } = compose.services[node];
    expect(environment.LAMPPOST_NODE).toBe(node);
    for (const server of servers) expect(environment.LAMPPOST_LOG).toContain(`nats://${server}:4222`);
    expect(volumes[0]).toBe(`${node}-data:/data`);
    expect(compose.configs.haproxy.content).toContain(`server ${node} ${node}:8080`);
  }
  for (const server of servers) expect(compose.services[server].volumes[0]).toBe(`${server}-data:/data`);
});

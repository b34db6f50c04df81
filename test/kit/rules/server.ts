import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mqtt, { type MqttClient } from 'mqtt';
import { ADMIN_KEY, ServerProcess } from '../server.ts';

const CITY = fileURLToPath(new URL('../../../city', import.meta.url));

/** A server with its own city folder: the sample city with the rules of a test instead of its own. */
export class RulesServer extends ServerProcess {
  readonly city: string;
  readonly #secrets = new Map<string, string>();

  constructor(rules: Readonly<Record<string, string>> = {}) {
    const city = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
    super(undefined, { LAMPPOST_CITY: city, LOG_LEVEL: 'warn' });
    this.city = city;
    cpSync(CITY, city, { recursive: true });
    for (const file of readdirSync(join(city, 'rules'))) rmSync(join(city, 'rules', file), { recursive: true });
    for (const [id, text] of Object.entries(rules)) this.write(`rules/${id}.yaml`, text);
  }

  /** Writes a file of the city folder; the next reload reads it. */
  write(path: string, text: string): void {
    writeFileSync(join(this.city, path), text);
  }

  /** Returns the text of a file of the city folder. */
  read(path: string): string {
    return readFileSync(join(this.city, path), 'utf8');
  }

  /** Registers waste bins in a district, optionally at a location. */
  async bins(ids: readonly string[], district = 'harbour', location?: { lat: number; lon: number }): Promise<void> {
    const devices = ids.map((id) => ({ id, profile: 'waste-bin', district, location }));
    const registered = await this.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);
    for (const { id, secret } of registered) this.#secrets.set(id, secret);
  }

  /** Publishes the fill level of a bin; resolves when the rules have read it. */
  async fill(id: string, fill: number, ts = Date.now()): Promise<void> {
    await this.fillAll([id], fill, ts);
    await this.settledLedger(id);
  }

  /** Publishes the same fill level of many bins in order; resolves when the rules have read all. */
  async fillAll(ids: readonly string[], fill: number, ts = Date.now()): Promise<void> {
    for (const id of ids) {
      const client = await this.#login(id);
      await client.publishAsync(`devices/${id}/readings`, JSON.stringify({ ts, metrics: { fill } }), { qos: 1 });
      await client.endAsync();
    }
    await this.settledLedger();
  }

  #login(id: string): Promise<MqttClient> {
    const password = this.#secrets.get(id)!;
    const url = `mqtt://127.0.0.1:${this.mqttPort}`;
    return mqtt.connectAsync(url, { clientId: id, username: id, password, reconnectPeriod: 0 });
  }

  /** Sends a request as the admin; a string is sent as YAML, all else as JSON. */
  async ask<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Responded<T>> {
    const type = typeof body === 'string' ? 'application/yaml' : 'application/json';
    const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        ...(body === undefined ? {} : { 'content-type': type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as T };
  }
}

/** A response of the server. */
export interface Responded<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** A rule on the fill level of bins. */
export const full = (id: string, above: number, more = ''): string =>
  `id: ${id}\ntitle: "{{device.name}} is at {{value}} %"\nwhere: { profile: waste-bin }\n` +
  `when: { metric: fill, last: true, above: ${above} }\nseverity: medium\n${more}`;

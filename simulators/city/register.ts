import { type Device, LamppostError } from '../../domain/index.ts';

/** A device and the secret it logs in with. */
export interface Credentials {
  readonly id: string;
  readonly secret: string;
}

/** The server that registers devices. */
export interface Registry {
  /** Base URL of the server, such as `http://127.0.0.1:8080`. */
  readonly api: string;
  /** An admin key. */
  readonly key: string;
}

const BATCH = 200;
const AT_ONCE = 4;

/**
 * Registers devices and returns their secrets, in the given order. A device that is already registered gets a new
 * secret in place of its old one, so that a simulation can run again on the same server. Throws `forbidden` (the key),
 * `invalid` (the server refused a device) or `busy` (not reachable, retryable).
 */
export async function registerDevices(registry: Registry, devices: readonly Device[]): Promise<Credentials[]> {
  const all: Credentials[] = [];
  for (let at = 0; at < devices.length; at += BATCH) {
    const batch = devices.slice(at, at + BATCH);
    const response = await post(registry, '/api/v1/devices', batch);
    if (response.status === 409) all.push(...(await registerEach(registry, batch)));
    else all.push(...((await bodyOf(response)) as Credentials[]));
  }
  return all.map(({ id, secret }) => ({ id, secret }));
}

async function registerEach(registry: Registry, devices: readonly Device[]): Promise<Credentials[]> {
  const found: Credentials[] = [];
  for (let at = 0; at < devices.length; at += AT_ONCE) {
    found.push(...(await Promise.all(devices.slice(at, at + AT_ONCE).map((device) => registerOne(registry, device)))));
  }
  return found;
}

async function registerOne(registry: Registry, device: Device): Promise<Credentials> {
  const rotated = await post(registry, `/api/v1/devices/${encodeURIComponent(device.id)}/rotate`);
  if (rotated.status !== 404) return (await bodyOf(rotated)) as Credentials;
  return (await bodyOf(await post(registry, '/api/v1/devices', device))) as Credentials;
}

async function post({ api, key }: Registry, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const init = { method: 'POST', headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
  try {
    return await fetch(new URL(path, api), init);
  } catch (cause) {
    throw new LamppostError('busy', `no server responds at ${api} (another: --api, LAMPPOST_URL)`, {
      retryable: true,
      cause,
    });
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.ok) return response.json();
  const text = detailOf((await response.text()).slice(0, 500));
  const forbidden = response.status === 401 || response.status === 403;
  throw new LamppostError(forbidden ? 'forbidden' : 'invalid', `${response.url} responds ${response.status}: ${text}`);
}

/** Returns the sentence of a problem (RFC 9457); of something else the text. */
function detailOf(text: string): string {
  try {
    return (JSON.parse(text) as { detail?: string }).detail ?? text;
  } catch {
    return text;
  }
}

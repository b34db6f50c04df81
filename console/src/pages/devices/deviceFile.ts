import type { DeviceFileMistake } from '../../../../domain/device-file.ts';
import type { NewDevice } from '../../api/schema.ts';
import type { Says } from '../../texts/says.ts';

/** Says in the language of the page what is wrong with a file of devices. */
export function mistakeIn({ kind, values }: DeviceFileMistake, { t }: Pick<Says, 't'>): string {
  return t(`import.${kind}`, values);
}

/** The secrets of new devices as CSV. Ids and secrets have no character that CSV would need quotes for. */
export function secretsCsv(devices: readonly Pick<NewDevice, 'id' | 'secret'>[]): string {
  const lines = devices.map(({ id, secret = '' }) => `${id},${secret}\n`);
  return `id,secret\n${lines.join('')}`;
}

/** Returns a new secret: 256 random bits, base64url. */
export function newSecret(): string {
  const bytes = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

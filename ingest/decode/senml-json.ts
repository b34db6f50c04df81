import type { Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, readJson } from './format.ts';
import { resolvePack } from './senml-pack.ts';

/** SenML JSON (`devices/{id}/senml`), RFC 8428 §5. */
export const senmlJson: Format = { name: 'senml-json', decode };

function decode(payload: Buffer, receivedAt: number): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  const decoded = resolvePack(json.value, receivedAt);
  if ('reason' in decoded || json.faults.length === 0) return decoded;
  return { ...decoded, rejections: [...json.faults, ...decoded.rejections] };
}

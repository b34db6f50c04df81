import { isUtf8 } from 'node:buffer';
import type { Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, readJson } from './format.ts';
import { resolvePack } from './senml-pack.ts';

/** SenML JSON (`devices/{id}/senml`), RFC 8428 §5. */
export const senmlJson: Format = { name: 'senml-json', decode };

function decode(payload: Buffer, receivedAt: number): Decoded | Rejection {
  if (!isUtf8(payload))
    return { reason: 'malformed', path: '$', detail: 'not UTF-8; SenML JSON is always (RFC 8428 §5)' };
  const json = readJson(payload.toString('utf8'));
  return 'reason' in json ? json : resolvePack(json.value, receivedAt);
}

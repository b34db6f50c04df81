/**
 * Entry of the thread in which messages of devices with a codec are tried: what takes long there keeps nobody waiting.
 */
import { parentPort } from 'node:worker_threads';
import type { City } from '../../domain/index.ts';
import { type FormatTrial, tryFormat } from '../../ingest/index.ts';
import { offer } from './rpc.ts';

const functions = {
  try: (city: City, { payload, ...trial }: FormatTrial) =>
    tryFormat(city, { ...trial, payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength) }),
};
export type FormatTrialThread = typeof functions;
offer(parentPort!, functions);

import { z } from 'zod';
import { DAY_MS, DEVICE_ID, LamppostError } from '../../domain/index.ts';
import { parseTimestamp } from '../../ingest/index.ts';
import { type TrialMessage, TrialReportSchema } from '../../rules/index.ts';

import type { ApiDeps } from '../deps.ts';
import { found } from '../schema.ts';
import type { App } from './routes.ts';
import { RuleReference, textOf } from './rules.ts';

/** The payload of the largest message, in base64. */
const MOST_BASE64 = 400_000;
const BODY_LIMIT = 1024 * 1024;

const Message = z.strictObject({
  topic: z.string().min(1).max(500),
  /** A string is sent as it is, anything else as JSON. */
  payload: z.unknown(),
  /** The payload's bytes, instead of `payload`. */
  base64: z.base64().max(MOST_BASE64).optional(),
  /** Default: now. */
  receivedAt: z.iso.datetime({ offset: true }).optional(),
});
const Trial = z.strictObject({
  rule: RuleReference,
  device: z.string().regex(DEVICE_ID),
  readings: z.array(z.looseObject({})).min(1).max(1_000).optional(),
  message: Message.optional(),
  context: z.boolean().default(true),
});

/** `POST /api/v1/rules/try`. */
export function trialRoutes(
  app: App,
  { rules, devices, queries }: Pick<ApiDeps, 'rules' | 'devices' | 'queries'>,
): void {
  app.post(
    '/api/v1/rules/try',
    {
      config: { permission: 'rules.try', concurrency: 'queries', audited: 'no' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags: ['rules'],
        summary:
          "Tries a rule (its id or text) on readings or a message of a device, after the device's stored readings. It changes nothing",
        body: Trial,
        response: { 200: TrialReportSchema },
      },
    },
    async ({ body, key }, reply) => {
      const { readings, message, context } = body;
      if ((readings === undefined) === (message === undefined)) {
        throw new LamppostError('invalid', 'send either readings or message');
      }
      const device = found(devices.get(body.device), `device "${body.device}"`);
      const rule = rules.resolve(textOf(body.rule), key!.id);
      const messages = readings?.map((one) => readingMessage(device.id, one)) ?? [messageOf(message!)];
      const asked = queries.begin(key!.id, reply.raw);
      try {
        return await rules.try({ rule, device, messages, context }, asked.options);
      } finally {
        asked.worked();
      }
    },
  );
}

/** A reading further in the future counts as received now, and so is refused as it would be live. */
const AHEAD_MS = 3_650 * DAY_MS;

/** Each reading counts as received at its own time. */
function readingMessage(device: string, reading: Readonly<Record<string, unknown>>): TrialMessage {
  const ts = reading.ts === undefined ? Number.NaN : parseTimestamp(reading.ts);
  const now = Date.now();
  const receivedAtMs = ts >= 0 && ts <= now + AHEAD_MS ? ts : now;
  return { topic: `devices/${device}/readings`, payload: Buffer.from(JSON.stringify(reading)), receivedAtMs };
}

function messageOf({ topic, payload, base64, receivedAt }: z.infer<typeof Message>): TrialMessage {
  const receivedAtMs = receivedAt === undefined ? Date.now() : Date.parse(receivedAt);
  if (base64 !== undefined) return { topic, payload: Buffer.from(base64, 'base64'), receivedAtMs };
  if (payload === undefined) throw new LamppostError('invalid', 'message: send its payload, or the bytes as base64');
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return { topic, payload: Buffer.from(text), receivedAtMs };
}

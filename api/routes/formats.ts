import { z } from 'zod';
import { LamppostError, requireName } from '../../domain/index.ts';
import { FormatTrialSchema } from '../../ingest/index.ts';
import type { ApiDeps } from '../deps.ts';
import { Name } from '../schema.ts';
import type { App } from './routes.ts';

/** The payload of the largest message, in base64. */
const MOST_BASE64 = 400_000;
const BODY_LIMIT = 1024 * 1024;

const Trial = z.strictObject({
  /** Absent: the topic of the format and the device. */
  topic: z.string().min(1).max(500).optional(),
  format: Name.optional(),
  /** Who sends it; its profile says what becomes of the fields. */
  device: Name.optional(),
  /** Instead of that of the device. */
  profile: Name.optional(),
  /** A string is sent as it is, anything else as JSON. */
  payload: z.unknown(),
  base64: z.base64().max(MOST_BASE64).optional(),
});

/** `POST /api/v1/formats/try`. */
export function formatRoutes(
  app: App,
  { city, devices, tryFormat }: Pick<ApiDeps, 'city' | 'devices' | 'tryFormat'>,
): void {
  app.post(
    '/api/v1/formats/try',
    {
      config: { permission: 'rules.try', audited: 'no' },
      bodyLimit: BODY_LIMIT,
      schema: {
        tags: ['ingest'],
        summary: 'Shows what a message becomes, path by path: its format, device, time, values. It stores nothing',
        body: Trial,
        response: { 200: FormatTrialSchema },
      },
    },
    async ({ body }) => {
      const { topic, format, device = 'device', profile, payload, base64 } = body;
      if ((topic === undefined) === (format === undefined))
        throw new LamppostError('invalid', 'send either topic or format');
      if (profile !== undefined) requireName('profile', profile, city().profiles);
      const written = typeof payload === 'string' ? payload : (JSON.stringify(payload) ?? '');
      return tryFormat(city(), {
        topic: topic ?? `devices/${device}/${format}`,
        payload: base64 === undefined ? Buffer.from(written) : Buffer.from(base64, 'base64'),
        sender: device,
        profile: profile ?? devices.get(device)?.profile ?? null,
        receivedAtMs: Date.now(),
      });
    },
  );
}

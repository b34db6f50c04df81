import { z } from 'zod';
import type { Caller } from '../../actions/index.ts';
import { HOUR_MS, REGISTRY_REFUSALS } from '../../domain/index.ts';
import { ClaimCodeSchema } from '../../registry/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { tooManyWrongKeys } from '../edge/index.ts';
import { problem } from '../problem.ts';
import { DeviceWithSecret } from '../responses/registry.ts';
import { Id, Name } from '../schema.ts';
import type { App } from './routes.ts';

const MOST_HOURS = 24 * 90;
const tags = ['devices'];

/** Who has a claim code acts with it alone. */
const BY_CODE = { kind: 'key', id: 'claim-code', role: 'viewer', department: null } as const;

/** Claim codes: who installs a device gets its secret, and nobody who made the code has it. */
export function claimRoutes(app: App, devices: ApiDeps['devices']): void {
  app.post(
    '/api/v1/devices/:id/claim-code',
    {
      config: { permission: 'devices.write', audited: 'action' },
      schema: {
        tags,
        summary: 'Makes a code of one use, shown once, which `POST /claim` trades for a new secret of the device',
        params: Id,
        body: z.strictObject({ hours: z.int().min(1).max(MOST_HOURS).optional() }).nullish(),
        response: { 201: ClaimCodeSchema },
      },
    },
    async (request, reply) => {
      const hours = request.body?.hours;
      const validMs = hours === undefined ? undefined : hours * HOUR_MS;
      return reply.code(201).send(await devices.claimCode(request.params.id, validMs, callerOf(request)));
    },
  );
  app.post(
    '/claim',
    {
      config: { permission: 'open', audited: 'action' },
      schema: {
        tags,
        summary: 'Trades a claim code for a new secret of its device; no secret before it is valid any more',
        body: z.strictObject({ device: Name, code: z.string().max(100) }),
        response: { 200: DeviceWithSecret },
      },
    },
    async (request, reply) => {
      const { device, code } = request.body;
      const caller: Caller = { actor: BY_CODE, address: request.source, key: null };
      const claimed = await devices.claim(device, code, caller);
      if (claimed !== null) return claimed;
      const waitMs = request.server.admission.wrongKey(request);
      if (waitMs > 0) return tooManyWrongKeys(reply, waitMs);
      const reason = 'wrong-claim-code';
      return problem(reply, 403, REGISTRY_REFUSALS[reason], { code: 'forbidden', reason });
    },
  );
}

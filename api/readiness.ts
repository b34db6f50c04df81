import { z } from 'zod';
import type { ShapeOf } from '../domain/index.ts';

const Behind = z.object({
  state: z.enum(['starting', 'catching-up', 'ready', 'trouble']),
  behindBlocks: z.int().min(0).describe('Blocks of the log that it has not processed yet'),
  secondsLeft: z.int().min(0).nullable().describe('Until it has them, at its pace since the start; null: unknown'),
});
/** What `/ready` responds: which part of the server is not ready, and how far each is behind the log. */
export const ReadinessSchema = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()).readonly(),
  notes: z.array(z.string()).readonly().describe('What an operator should know although it is ready'),
  parts: z.object({
    devices: z
      .object({ state: z.enum(['ready', 'trouble']) })
      .describe('They are accepted whatever the other parts do, but where a node of a cluster is cut off from the log'),
    rules: Behind,
    history: Behind,
  }),
});

export type Readiness = ShapeOf<typeof ReadinessSchema>;

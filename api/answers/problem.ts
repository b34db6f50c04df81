import { z } from 'zod';

/** What went wrong (RFC 9457). */
export const ProblemAnswer = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What, where, and what would be right'),
    instance: z.string(),
    code: z.string().optional().describe('A stable name of the fault'),
    reason: z.string().optional(),
    errors: z
      .array(z.object({ message: z.string() }))
      .optional()
      .describe('Each mistake with its place'),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457)' });

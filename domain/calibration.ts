import { z } from 'zod';
import type { ShapeOf } from './schema.ts';

const MOST_POINTS = 32;
const instant = z.iso.datetime({ offset: true });

/** Values as the device measures them, and what they are: two or more, in growing order. */
const PointsSchema = z
  .array(z.tuple([z.number(), z.number()]))
  .min(2)
  .max(MOST_POINTS)
  .refine((points) => points.every(([measured], i) => i === 0 || measured > points[i - 1]![0]), {
    message: 'each point is [measured, true], in growing order of what is measured',
  });

/** A calibration that somebody asks for. */
export const NewCalibrationSchema = z
  .strictObject({
    metric: z.string().min(1).max(200),
    gain: z
      .number()
      .refine((gain) => gain !== 0, 'a gain of 0 makes every value the same')
      .optional()
      .describe('Factor of the measured value, before the offset is added; 1 where it is absent'),
    offset: z.number().optional().describe('Added, in the unit of the metric; 0 where it is absent'),
    points: PointsSchema.optional().describe(
      '[measured, true], in place of gain and offset: straight lines between them, and on beyond the outermost',
    ),
    from: instant.optional().describe('Time of the first reading that it is for; absent: now'),
    until: instant.optional().describe('It is for readings before this time; absent: until another one'),
    certificate: z.string().min(1).max(500).optional().describe('Number or address of the certificate'),
    note: z.string().min(1).max(500).optional(),
  })
  .refine(({ points, gain, offset }) => points === undefined || (gain === undefined && offset === undefined), {
    message: 'either points, or gain and offset',
    path: ['points'],
  })
  .refine(({ points, gain, offset }) => points !== undefined || gain !== undefined || offset !== undefined, {
    message: 'write offset, gain or points',
  });
export type NewCalibration = z.output<typeof NewCalibrationSchema>;

/** How the values of one metric of one device are corrected, for a span of their time. Times are ISO 8601 UTC. */
export const CalibrationSchema = z
  .strictObject({
    /** From its place in the log. */
    id: z.string(),
    metric: z.string(),
    gain: z.number(),
    offset: z.number(),
    points: z.array(z.tuple([z.number(), z.number()])).nullable(),
    from: z.iso.datetime(),
    until: z.iso.datetime().nullable(),
    certificate: z.string().nullable(),
    note: z.string().nullable(),
    by: z.string().describe('Who made it'),
    at: z.iso.datetime().describe('When it was made'),
  })
  .meta({ id: 'Calibration', description: 'How values of a metric of a device are corrected, for a span of time' });
export type Calibration = ShapeOf<typeof CalibrationSchema>;

/** How many calibrations a device may have, of all its metrics. */
export const MOST_CALIBRATIONS = 100;

/** Returns the corrected value of a measured one, rounded to 12 digits. */
export function calibrated({ gain, offset, points }: Pick<Calibration, 'gain' | 'offset' | 'points'>, value: number) {
  const result = points === null ? value * gain + offset : between(points, value);
  return Number(result.toPrecision(12));
}

function between(points: NonNullable<Calibration['points']>, value: number): number {
  const above = points.findIndex(([measured]) => measured >= value);
  const upper = above === -1 ? points.length - 1 : Math.max(1, above);
  const [[x0, y0], [x1, y1]] = [points[upper - 1]!, points[upper]!];
  return y0 + ((value - x0) * (y1 - y0)) / (x1 - x0);
}

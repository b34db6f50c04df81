import { z } from 'zod';
import type { LatestReading, Series } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';

const series = { device: z.string(), metric: z.string(), unit: z.string() };
const Point = z.tuple([z.number().describe('Epoch ms'), z.number().nullable()]).readonly();

/** Points of one device and metric. */
export const SeriesAnswer = exactly<Series>()(
  z
    .object({ ...series, points: z.array(Point).readonly().describe('[epoch ms, value], in order of time') })
    .meta({ id: 'Series', description: 'Readings of one device and metric' }),
);

/** The newest reading of a device and metric. */
export const LatestAnswer = exactly<LatestReading>()(
  z.object({ ...series, at: z.iso.datetime(), value: z.number() }).meta({ id: 'LatestReading' }),
);

import type { PlannedDistrict } from '../../../simulators/index.ts';

/** Eight triangles in a row: half of each bounding box is outside. */
export const districts: readonly PlannedDistrict[] = Array.from({ length: 8 }, (_, index) => ({
  id: `d${index}`,
  name: `District ${index}`,
  polygons: [
    [
      [
        [index, 0],
        [index + 1, 0],
        [index, 1],
        [index, 0],
      ],
    ],
  ],
}));

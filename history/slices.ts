/** How a scan cuts the time: what one statement may find, and how readings go out. */
export const SLICE = {
  firstMs: 60_000,
  longestMs: 30 * 86_400_000,
  /** Most readings of one slice; only one of a single millisecond may hold more. */
  rows: 250_000,
  /** Readings of a batch: whole chunks of 2,048. */
  batch: 32_768,
} as const;

/** The length of the next slice, after one of `lengthMs` with so many readings: half full at best, at most eight times as long. */
export function nextSlice(lengthMs: number, rows: number, most: number = SLICE.rows): number {
  const factor = Math.max(1 / 64, Math.min(8, most / 2 / Math.max(1, rows)));
  return Math.max(1, Math.min(SLICE.longestMs, Math.floor(lengthMs * factor)));
}

/** How often a property is tried: `most` times, a fifth of it in `npm run test:unit` (`vitest.config.ts`). */
export const runs = (most: number): number => (process.env.QUICK === undefined ? most : Math.ceil(most / 5));

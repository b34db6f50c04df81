import { configDefaults, defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/kit/wait.ts';

interface Project {
  readonly include: string;
  readonly exclude?: string;
  readonly isolate?: false;
  readonly setupFiles?: string[];
}

/**
 * `unit` is fast enough to run at every save: its files share one process a worker, which imports the rooms once. Each
 * file must leave that process as it was (`test/kit/clean.ts`). `campaign` has the long random and crash campaigns of
 * the same rooms.
 */
const PROJECTS: Readonly<Record<string, Project>> = {
  unit: {
    include: 'test/unit/**/*.test.ts',
    exclude: '**/*.campaign.test.ts',
    isolate: false,
    setupFiles: ['test/kit/clean.ts'],
  },
  campaign: { include: 'test/unit/**/*.campaign.test.ts' },
  integration: { include: 'test/integration/**/*.test.ts' },
  faults: { include: 'test/faults/**/*.test.ts' },
};

/** Nets below `PATIENCE_MS`, for what waits without it: a test may wait for several things, one after another. */
const HANGS_MS = 10 * PATIENCE_MS;

export default defineConfig({
  test: {
    // No test measures a time, so that files of every project run beside each other.
    maxWorkers: '100%',
    projects: Object.entries(PROJECTS).map(([name, { include, exclude, ...options }]) => ({
      test: {
        name,
        include: [include],
        exclude: [...configDefaults.exclude, ...(exclude === undefined ? [] : [exclude])],
        testTimeout: HANGS_MS,
        hookTimeout: HANGS_MS,
        expect: { poll: { timeout: PATIENCE_MS } },
        ...options,
      },
    })),
  },
});

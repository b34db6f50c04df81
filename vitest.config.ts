import { configDefaults, defineConfig } from 'vitest/config';

interface Project {
  readonly include: string;
  readonly exclude?: string;
  readonly testTimeout: number;
  readonly fileParallelism: boolean;
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
    testTimeout: 60_000,
    fileParallelism: true,
    isolate: false,
    setupFiles: ['test/kit/clean.ts'],
  },
  campaign: { include: 'test/unit/**/*.campaign.test.ts', testTimeout: 180_000, fileParallelism: true },
  integration: { include: 'test/integration/**/*.test.ts', testTimeout: 120_000, fileParallelism: false },
  faults: { include: 'test/faults/**/*.test.ts', testTimeout: 600_000, fileParallelism: false },
};

export default defineConfig({
  test: {
    maxWorkers: '100%',
    projects: Object.entries(PROJECTS).map(([name, { include, exclude, ...options }]) => ({
      test: {
        name,
        include: [include],
        exclude: [...configDefaults.exclude, ...(exclude === undefined ? [] : [exclude])],
        hookTimeout: 60_000,
        ...options,
      },
    })),
  },
});

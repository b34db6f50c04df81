import { defineConfig } from 'vitest/config';

const project = (name: string, testTimeout: number, parallel: boolean) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: 60_000,
    fileParallelism: parallel,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', 60_000, true),
      project('integration', 120_000, false),
      project('faults', 600_000, false),
    ],
  },
});

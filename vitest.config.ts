import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { MEMORY_FOLDER } from './test/kit/memory-folder.ts';
import { LongestFirst } from './test/kit/order.ts';
import { WORKERS } from './test/kit/ports.ts';
import { PATIENCE_MS } from './test/kit/wait.ts';

interface Project {
  readonly include: string;
  readonly exclude?: string;
  readonly isolate?: false;
  readonly setupFiles?: string[];
  readonly globalSetup?: string | string[];
  readonly env?: Record<string, string>;
  readonly maxWorkers?: number;
  readonly sequence?: { readonly groupOrder: number };
}

const CORES = availableParallelism();
const IN_MEMORY = {
  globalSetup: './test/kit/memory-folder.ts',
  env: MEMORY_FOLDER === null ? {} : { TMPDIR: MEMORY_FOLDER },
};
const BUILT = 'test/kit/built.ts';
// Hundreds of processes of the tests load the same modules: they compile them once.
const NODE_COMPILE_CACHE = fileURLToPath(new URL('node_modules/.cache/lamppost', import.meta.url));

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
    setupFiles: ['test/kit/clean.ts', 'test/kit/seed.ts'],
    globalSetup: [BUILT, IN_MEMORY.globalSetup],
    env: IN_MEMORY.env,
    // They compute, and each worker imports the rooms: no more than there are cores, after all others.
    maxWorkers: CORES,
    sequence: { groupOrder: 1 },
  },
  campaign: { include: 'test/unit/**/*.campaign.test.ts', setupFiles: ['test/kit/seed.ts'], ...IN_MEMORY },
  integration: { include: 'test/integration/**/*.test.ts', globalSetup: BUILT },
  faults: { include: 'test/faults/**/*.test.ts', globalSetup: BUILT },
};

/**
 * What a city sees of one machine and of a node alike: `test:jetstream` runs these files with the log in NATS. Not
 * among them is what is about the file of the log itself, such as backups, copies, damage and full disks.
 */
const OVER_JETSTREAM: Readonly<Record<string, readonly string[]>> = {
  integration: [
    'broker',
    'citizens',
    'commands',
    'documents',
    'enrolment',
    'people',
    'quarantine',
    'queries',
    'registry',
    'sessions',
    'sse',
    'states',
    'way',
    'webhooks',
    'rules/changes',
    'rules/explanation',
  ],
  faults: ['commands', 'downlinks', 'sse', 'storm', 'webhooks'],
};

/** Nets below `PATIENCE_MS`, for what waits without it: a test may wait for several things, one after another. */
const MODES: Readonly<Record<string, Record<string, string>>> = {
  quick: { QUICK: '1' },
  jetstream: { OTHER_LOG: '1' },
};

/**
 * What a run at every save leaves out: the unit tests that wait for time limits, start processes, or compute longest.
 */
const NOT_QUICK = [
  'api/asyncapi',
  'api/bounds',
  'api/edge/bodies',
  'api/open311/admission',
  'api/open311/post',
  'api/open311/requests',
  'api/permissions',
  'app/format-trials',
  'app/rebuild',
  'app/threads/backtests',
  'app/verify',
  'broker/fairness',
  'broker/five',
  'broker/sessions/nodes',
  'events/pipeline',
  'history/duckdb-process',
  'history/influx-refusals',
  'history/slices',
  'history/torn-log',
  'ingest/codecs',
  'ingest/quarantine-bounds',
  'registry/passwords',
].map((file) => `test/unit/${file}.test.ts`);

/** Only what hangs: what a test waits for has nets of its own, and kill -9 ten times is ten starts. */
const HANGS_MS = 10 * PATIENCE_MS;

export default defineConfig(({ mode }) => ({
  test: {
    // No test measures a time, so that files of every project run beside each other: more of them than there are cores,
    // as most wait for processes and clocks most of their time.
    maxWorkers: Math.min(2 * CORES, WORKERS),
    // Tests of one file that run at the same time have a server each.
    maxConcurrency: 5,
    sequence: { sequencer: LongestFirst },
    projects: Object.entries(PROJECTS).map(([name, { include, exclude, env, ...options }]) => ({
      test: {
        name,
        include:
          mode === 'jetstream' ? (OVER_JETSTREAM[name] ?? []).map((file) => `test/${name}/${file}.test.ts`) : [include],
        exclude: [
          ...configDefaults.exclude,
          ...(exclude === undefined ? [] : [exclude]),
          ...(mode === 'quick' ? NOT_QUICK : []),
        ],
        testTimeout: HANGS_MS,
        hookTimeout: HANGS_MS,
        expect: { poll: { timeout: PATIENCE_MS } },
        // `test:unit` and `test:watch` try properties less often (`test/kit/runs.ts`).
        env: { NODE_COMPILE_CACHE, ...env, ...MODES[mode] },
        ...options,
      },
    })),
  },
}));

import { afterAll, expect, vi } from 'vitest';

const SHARED = ['SIGHUP', 'SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection', 'warning'] as const;

/** What a test can change of the process that it runs in: environment, folder, exit code, handlers, clock, spies. */
function processState(): unknown {
  return {
    env: { ...process.env },
    folder: process.cwd(),
    exitCode: process.exitCode,
    listeners: SHARED.map((event) => [event, process.listenerCount(event)]),
    fakeTimers: vi.isFakeTimers(),
    spies: [console.log, console.warn, console.error, process.exit, process.kill].map((it) => vi.isMockFunction(it)),
  };
}

/**
 * The files of `unit` run one after another in the same process (`isolate: false`), so each leaves it as it was. A file
 * that does not fails here, and not the one that happens to run after it.
 */
const before = processState();
afterAll(() => expect(processState(), 'a test file leaves state behind in its process').toEqual(before));

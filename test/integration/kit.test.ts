import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { endsWithUs } from '../kit/children.ts';
import { until } from '../kit/wait.ts';

const ORPHAN = fileURLToPath(new URL('../kit/orphan.ts', import.meta.url));

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
  'test kit - a server ends with the process that started it, also where that ends by %s',
  async (signal) => {
    const parent = spawn(process.execPath, [ORPHAN], { stdio: ['ignore', 'pipe', 'inherit'] });
    endsWithUs(parent);
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(isRunning(pid)).toBe(true);
    const gone = once(parent, 'exit');
    parent.kill(signal);
    await gone;
    await until(() => !isRunning(pid), 'the end of the server');
  },
);

import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/** Takes `+ pid` and `- pid` a line; when its input ends, it kills what is left. */
const GUARD = `
left=' '
while read -r sign pid; do
  case $sign in
    +) left="$left$pid " ;;
    -) left="\${left%% $pid *} \${left#* $pid }" ;;
  esac
done
for pid in $left; do kill -9 "$pid" 2>/dev/null; done
`;

const running = new Set<ChildProcess>();
let guard: Writable | null = null;

/** A process of its own, in no group of ours: it notices the end of this process, however that ends. */
function startGuard(): Writable {
  const child = spawn('sh', ['-c', GUARD], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.unref();
  const input = child.stdin! as Writable & { unref(): void };
  input.on('error', () => {});
  input.unref();
  return input;
}

/**
 * Makes a child process end with this one: a test that fails, hangs or is killed in the middle leaves no server behind,
 * also where this process dies of SIGKILL.
 */
export function endsWithUs(child: ChildProcess): void {
  if (child.pid === undefined) return;
  guard ??= startGuard();
  running.add(child);
  guard.write(`+ ${child.pid}\n`);
  child.once('exit', () => {
    running.delete(child);
    guard!.write(`- ${child.pid}\n`);
  });
}

/** Whether a child that ends with this process still runs. */
export const runs = (child: ChildProcess): boolean => running.has(child);

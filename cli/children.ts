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

/** Makes a child process end with this one, also where this one dies of SIGKILL. It needs a shell (`sh`). */
export function endsWithUs(child: ChildProcess): void {
  if (child.pid === undefined) return;
  guard ??= startGuard();
  guard.write(`+ ${child.pid}\n`);
  child.once('exit', () => guard!.write(`- ${child.pid}\n`));
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { endsWithUs } from './children.ts';
import { until } from './wait.ts';

/** Where a process of the tests runs: the address that it listens on, and the command that starts it there. */
export interface Machine {
  readonly host: string;
  /** Begins the command line of whatever runs there; empty: here. */
  readonly within: readonly string[];
}

export const HERE: Machine = { host: '127.0.0.1', within: [] };

/** One in a network namespace of its own, which ends with the process that holds it. */
interface Apart extends Machine {
  readonly holder: ChildProcess;
}

/** Whether machines with networks of their own can be made: root, and iproute2. */
export function hasNetworks(): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    execFileSync('which', ['ip', 'nsenter', 'unshare'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.CI === 'true') throw new Error('iproute2 is not installed, and CI needs it');
    return false;
  }
}

/**
 * A network of machines, which nothing outside reaches: namespaces joined by a bridge that is in one, too. The tests
 * are at `gateway`. All of it is gone once the processes that hold the namespaces have ended.
 */
export class Network {
  readonly machines: readonly Apart[];
  /** The address of the tests in it. */
  readonly gateway: string;
  readonly #bridge: ChildProcess;

  private constructor(bridge: ChildProcess, machines: readonly Apart[], gateway: string) {
    this.#bridge = bridge;
    this.machines = machines;
    this.gateway = gateway;
  }

  static async open(count: number): Promise<Network> {
    const subnet = `10.${64 + (process.pid % 128)}.${Math.floor(process.pid / 128) % 256}`;
    const bridge = await namespace();
    const inBridge = (...args: string[]) => run([...enter(bridge), 'ip', ...args]);
    inBridge('link', 'add', 'bridge', 'type', 'bridge');
    inBridge('link', 'set', 'bridge', 'up');
    const port = (name: string, peer: string, holder: string) => {
      inBridge('link', 'add', name, 'type', 'veth', 'peer', 'name', peer, 'netns', holder);
      inBridge('link', 'set', name, 'master', 'bridge', 'up');
    };
    const [gateway, own] = [`${subnet}.254`, `lamp${process.pid}`];
    port('tests', own, String(process.pid));
    run(['ip', 'addr', 'add', `${gateway}/24`, 'dev', own]);
    run(['ip', 'link', 'set', own, 'up']);
    const machines: Apart[] = [];
    for (let n = 0; n < count; n++) {
      const holder = await namespace();
      const host = `${subnet}.${n + 1}`;
      port(`machine${n}`, 'lan', String(holder.pid));
      run([...enter(holder), 'ip', 'addr', 'add', `${host}/24`, 'dev', 'lan']);
      run([...enter(holder), 'ip', 'link', 'set', 'lan', 'up']);
      machines.push({ host, within: enter(holder), holder });
    }
    return new Network(bridge, machines, gateway);
  }

  /** Nothing passes between this machine and the others any more; the tests still reach all. */
  cutOff(n: number): void {
    this.#others(n, 'add');
  }

  rejoin(n: number): void {
    this.#others(n, 'del');
  }

  #others(n: number, verb: 'add' | 'del'): void {
    for (const other of this.machines)
      if (other !== this.machines[n])
        run([...this.machines[n]!.within, 'ip', 'route', verb, 'blackhole', `${other.host}/32`]);
  }

  end(): void {
    for (const { pid } of [this.#bridge, ...this.machines.map(({ holder }) => holder)]) process.kill(pid!, 'SIGKILL');
  }
}

const enter = ({ pid }: ChildProcess) => ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];

function run([command, ...args]: readonly string[]): void {
  execFileSync(command!, args, { stdio: 'pipe' });
}

/** A process that holds a network namespace with a loopback. */
async function namespace(): Promise<ChildProcess> {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endsWithUs(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await until(() => text.includes('up'), 'a network namespace', 20);
  return child;
}

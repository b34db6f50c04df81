/** Calls between threads: a thread offers functions on a port, another calls them. */
import { once } from 'node:events';
import { MessageChannel, MessagePort, type TransferListItem, Worker, workerData } from 'node:worker_threads';
import { type ErrorCode, LamppostError } from '../../domain/index.ts';
import { youngGenerationFrom } from './memory.ts';

/**
 * Functions that a thread offers to another. Arguments and results cross by structured clone; an `AbortSignal` among
 * the arguments crosses as one that aborts with it, or when the caller's end is closed.
 */
export type Offered = Record<string, (...args: never[]) => unknown>;

/** Functions as the other thread sees them: each returns a promise. */
export type Remote<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** Functions under a name of their own, so that a thread can offer several sets of them. */
export type Under<P extends string, T> = { [K in keyof T & string as `${P}.${K}`]: T[K] };

/** Puts functions under a name. */
export function under<P extends string, T extends object>(prefix: P, functions: T): Under<P, T> {
  return Object.fromEntries(Object.entries(functions).map(([name, one]) => [`${prefix}.${name}`, one])) as Under<P, T>;
}

/** Returns the set that the other end put under a name. */
export function within<T>(call: object, prefix: string): Remote<T> {
  const named = call as Record<string, unknown>;
  return new Proxy({} as Remote<T> & object, { get: (_target, name: string) => named[`${prefix}.${name}`] });
}

interface Call {
  readonly call: number;
  readonly name: string;
  readonly args: unknown[];
  /** The argument that is a signal; absent where there is none. */
  readonly signal?: number;
}

/** Aborts the signal of a call. */
interface Abort {
  readonly abort: number;
}

interface Reply {
  readonly reply: number;
  readonly result?: unknown;
  readonly error?: {
    readonly code: ErrorCode | null;
    readonly reason: LamppostError['reason'];
    readonly message: string;
    readonly retryable: boolean;
    readonly retryAfterMs: number;
    readonly stack: string | undefined;
  };
}

type End = MessagePort | Worker;

const moves = new WeakMap<object, readonly TransferListItem[]>();

/**
 * Marks parts of a function's result to be transferred to the other thread instead of copied. Ports among arguments
 * always are.
 */
export function moving<T extends object>(result: T, parts: readonly TransferListItem[]): T {
  moves.set(result, parts);
  return result;
}

/** Serves the calls that arrive on a port. Operational errors keep their code and reason on the other side. */
export function offer(port: End, functions: Offered): void {
  const byName = functions as Record<string, (...args: unknown[]) => unknown>;
  const cancels = new Map<number, AbortController>();

  async function replyTo({ call, name, args, signal }: Call): Promise<Reply> {
    try {
      const given = signal === undefined ? args : args.with(signal, cancelOf(call).signal);
      return { reply: call, result: await byName[name]!(...given) };
    } catch (error) {
      const { message, stack } = error as Error;
      const known = error instanceof LamppostError ? error : null;
      const { code = null, reason = null, retryable = false, retryAfterMs = 0 } = known ?? {};
      return { reply: call, error: { code, reason, message, retryable, retryAfterMs, stack } };
    } finally {
      cancels.delete(call);
    }
  }

  function cancelOf(call: number): AbortController {
    const cancel = new AbortController();
    cancels.set(call, cancel);
    return cancel;
  }

  (port as MessagePort).on('message', (message: Call | Abort) => {
    if (message === null || typeof message !== 'object') return;
    if ('abort' in message) cancels.get(message.abort)?.abort(cancelled());
    if (!('call' in message)) return;
    void replyTo(message).then((reply) => port.postMessage(reply, movesOf(reply.result)));
  });
  port.once('close', () => {
    for (const cancel of cancels.values()) cancel.abort(cancelled());
  });
}

const cancelled = () => new LamppostError('busy', 'cancelled by the caller');

/**
 * Calls the functions that the other end offers. `fail` rejects the calls still open, and every later one; the first
 * error counts.
 */
export function remote<T>(port: End): { call: Remote<T>; fail(error: Error): void } {
  const open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let next = 1;
  let ended: Error | null = null;
  const fail = (error: Error) => {
    ended ??= error;
    for (const { reject } of open.values()) reject(ended);
    open.clear();
  };
  port.once('close', () => fail(new LamppostError('busy', 'the other thread has ended', { retryable: true })));
  (port as MessagePort).on('message', ({ reply, result, error }: Partial<Reply> = {}) => {
    if (reply === undefined) return;
    const waiting = open.get(reply);
    open.delete(reply);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(errorOf(error));
  });
  const call = new Proxy({} as Remote<T> & object, {
    get:
      (_target, name: string) =>
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          if (ended !== null) return reject(ended);
          const number = next++;
          const { sent, ended: over } = withSignal(args, () => port.postMessage({ abort: number } satisfies Abort));
          open.set(number, {
            resolve(value) {
              over();
              resolve(value);
            },
            reject(error) {
              over();
              reject(error);
            },
          });
          const ports = args.filter((arg) => arg instanceof MessagePort);
          port.postMessage({ call: number, name, ...sent } satisfies Call, ports);
        }),
  });
  return { call, fail };
}

/**
 * Returns the arguments as they cross, without their signal: `abort` is called when that aborts, until `ended` is. The
 * call itself goes on until the other end has replied, so that nothing it made is lost.
 */
function withSignal(args: unknown[], abort: () => void): { sent: Pick<Call, 'args' | 'signal'>; ended: () => void } {
  const at = args.findIndex((arg) => arg instanceof AbortSignal);
  if (at < 0) return { sent: { args }, ended: () => {} };
  const signal = args[at] as AbortSignal;
  signal.addEventListener('abort', abort, { once: true });
  // After the call has left.
  if (signal.aborted) queueMicrotask(abort);
  return { sent: { args: args.with(at, null), signal: at }, ended: () => signal.removeEventListener('abort', abort) };
}

function movesOf(result: unknown): TransferListItem[] {
  return typeof result === 'object' && result !== null ? [...(moves.get(result) ?? [])] : [];
}

function errorOf({ code, reason, ...error }: NonNullable<Reply['error']>): Error {
  const { retryable, retryAfterMs } = error;
  const why = reason === null ? {} : { reason };
  if (code !== null) return new LamppostError(code, error.message, { retryable, retryAfterMs, ...why });
  return Object.assign(new Error(error.message), { stack: error.stack });
}

/** A thread and the functions that it offers. */
export interface Thread<T> {
  readonly call: Remote<T>;
  readonly worker: Worker;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
  /** Lets the thread stop itself by its function `stop`; terminates it where that fails. Idempotent. */
  stop(): Promise<void>;
  /** Ends the thread at once. Idempotent. */
  terminate(): Promise<void>;
}

/** A thread that loads its modules and then waits for its data. */
export interface WaitingThread<T> {
  begin(data: object, transfer: readonly TransferListItem[]): Thread<T>;
  /** Ends the thread where it has not begun. Idempotent. */
  end(): Promise<void>;
}

interface SpawnOptions {
  readonly data: object;
  readonly transfer?: readonly TransferListItem[];
  /** Size of V8's young generation, MiB: large for threads in which every message is garbage a moment later. */
  readonly youngMiB?: number;
  /** Called where the thread dies: its calls are rejected with the same error. */
  readonly onCrash: (error: Error) => void;
}

/**
 * Starts a thread from its entry file. Wait until it is online before another is spawned: the size of
 * its young generation is a flag of the process until then.
 */
export function spawn<T>(entry: URL, { data, transfer = [], youngMiB, onCrash }: SpawnOptions): Thread<T> {
  youngGenerationFrom(youngMiB);
  const worker = new Worker(entry, {
    workerData: data,
    transferList: [...transfer],
    ...(youngMiB === undefined ? {} : { resourceLimits: { maxYoungGenerationSizeMb: youngMiB } }),
  });
  const { call, fail } = remote<T>(worker);
  const crash = (error: Error) => {
    fail(error);
    onCrash(error);
  };
  let running = true;
  let ending: Promise<void> | null = null;
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      running = false;
      if (code === 0 || ending !== null) fail(new Error(`thread ${entry.pathname} has ended`));
      else crash(new Error(`thread ${entry.pathname} ended with code ${code}`));
      resolve();
    });
  });
  worker.on('error', (error) => crash(operationalAgain(error as Error)));

  async function end(): Promise<void> {
    if (!running) return;
    await (call as Remote<{ stop(): void }>).stop().catch(() => worker.terminate());
    await ended;
  }

  const stop = () => {
    ending ??= end();
    return ending;
  };
  const terminate = () => {
    ending ??= worker.terminate().then(() => ended);
    return ending;
  };
  return { call, worker, ended, stop, terminate };
}

/**
 * Starts a thread whose entry file waits for its data (`begun`), so that several load their modules beside each other.
 * Resolves when another may be spawned.
 */
export async function prepare<T>(entry: URL, options: Pick<SpawnOptions, 'youngMiB' | 'onCrash'>) {
  const { port1, port2 } = new MessageChannel();
  const thread = spawn<T>(entry, { ...options, data: port2, transfer: [port2] });
  let hasBegun = false;
  await once(thread.worker, 'online');
  return {
    begin(data, transfer) {
      hasBegun = true;
      port1.postMessage(data, transfer);
      return thread;
    },
    async end() {
      if (!hasBegun) await thread.terminate();
    },
  } satisfies WaitingThread<T>;
}

/** In a thread that was prepared: resolves to its data. */
export async function begun<T>(): Promise<T> {
  const port = workerData as MessagePort;
  const [data] = await once(port, 'message');
  port.close();
  return data as T;
}

/** An error of another thread arrives as a copy that has its fields and not its class. */
function operationalAgain(error: Error & { code?: ErrorCode; retryable?: boolean }): Error {
  if (error.name !== 'LamppostError') return error;
  return new LamppostError(error.code!, error.message, { retryable: error.retryable === true, cause: error });
}

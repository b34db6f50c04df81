import { MessagePort, type TransferListItem, type Worker } from 'node:worker_threads';
import { type ErrorCode, LamppostError } from '../../domain/index.ts';

/** Functions that a thread offers to another. Arguments and results cross by structured clone. */
export type Offered = Record<string, (...args: never[]) => unknown>;

/** The same functions as the other thread sees them. */
export type Remote<T extends Offered> = {
  [K in keyof T]: (...args: Parameters<T[K]>) => Promise<Awaited<ReturnType<T[K]>>>;
};

/** Functions under a name of their own, so that a thread can offer several sets of them. */
export type Under<P extends string, T> = { [K in keyof T & string as `${P}.${K}`]: T[K] };

/** Puts functions under a name. */
export function under<P extends string, T extends object>(prefix: P, functions: T): Under<P, T> {
  return Object.fromEntries(Object.entries(functions).map(([name, one]) => [`${prefix}.${name}`, one])) as Under<P, T>;
}

/** A set of functions as the other thread sees it. */
export type RemoteSet<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** The set that the other end put under a name. */
export function within<T>(call: object, prefix: string): RemoteSet<T> {
  const named = call as Record<string, unknown>;
  return new Proxy({} as never, { get: (_target, name: string) => named[`${prefix}.${name}`] });
}

interface Call {
  readonly call: number;
  readonly name: string;
  readonly args: unknown[];
}

interface Answer {
  readonly answer: number;
  readonly result?: unknown;
  readonly error?: {
    readonly code: ErrorCode | null;
    readonly reason: LamppostError['reason'];
    readonly message: string;
    readonly retryable: boolean;
    readonly stack: string | undefined;
  };
}

type End = MessagePort | Worker;

const moves = new WeakMap<object, readonly TransferListItem[]>();

/** Marks what a function answers: these parts of it go over to the other thread, instead of being copied. Ports among arguments always do. */
export function moving<T extends object>(result: T, parts: readonly TransferListItem[]): T {
  moves.set(result, parts);
  return result;
}

/** Answers the calls that arrive on a port. Operational errors keep their code and reason on the other side. */
export function offer(port: End, functions: Offered): void {
  (port as MessagePort).on('message', (message: Call) => {
    if (message?.call === undefined) return;
    void answer(message).then((reply) => port.postMessage(reply, movesOf(reply.result)));
  });

  async function answer({ call, name, args }: Call): Promise<Answer> {
    try {
      return { answer: call, result: await functions[name]!(...(args as never[])) };
    } catch (error) {
      const { message, stack } = error as Error;
      const known = error instanceof LamppostError;
      return {
        answer: call,
        error: {
          code: known ? error.code : null,
          reason: known ? error.reason : null,
          message,
          retryable: known && error.retryable,
          stack,
        },
      };
    }
  }
}

/** Calls the functions that the other end offers. Calls still open when the thread ends are rejected by `fail`. */
export function remote<T extends Offered>(port: End): { call: Remote<T>; fail(error: Error): void } {
  const open = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let next = 1;
  let ended: Error | null = null;
  const fail = (error: Error) => {
    ended = error;
    for (const { reject } of open.values()) reject(error);
    open.clear();
  };
  // A port tells when its other end is closed: an answer will not come any more.
  port.once('close', () => fail(new LamppostError('busy', 'the other thread has ended', { retryable: true })));
  (port as MessagePort).on('message', (message: Answer) => {
    if (message?.answer === undefined) return;
    const waiting = open.get(message.answer);
    open.delete(message.answer);
    if (message.error === undefined) waiting?.resolve(message.result as never);
    else waiting?.reject(errorOf(message.error));
  });
  const call = new Proxy({} as Remote<T>, {
    get:
      (_target, name: string) =>
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          if (ended !== null) return reject(ended);
          open.set(next, { resolve, reject });
          const ports = args.filter((arg) => arg instanceof MessagePort);
          port.postMessage({ call: next++, name, args } satisfies Call, ports);
        }),
  });
  return { call, fail };
}

function movesOf(result: unknown): TransferListItem[] {
  return typeof result === 'object' && result !== null ? [...(moves.get(result) ?? [])] : [];
}

function errorOf({ code, reason, ...error }: NonNullable<Answer['error']>): Error {
  const why = reason === null ? {} : { reason };
  if (code !== null) return new LamppostError(code, error.message, { retryable: error.retryable, ...why });
  return Object.assign(new Error(error.message), { stack: error.stack });
}

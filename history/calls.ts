/** Calls from a process to one that it started, over the channel that `fork` makes between them. */
import type { ChildProcess } from 'node:child_process';
import { type ErrorCode, LamppostError } from '../domain/index.ts';

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: ErrorCode | null; readonly message: string; readonly retryable: boolean };
}

type Functions = Record<string, (...args: never[]) => unknown>;

/** The functions of the other process: each returns a promise. */
export type Calls<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** Serves the calls of the process that started this one. Operational errors keep their code. */
export function serveParent(functions: Functions): void {
  const byName = functions as Record<string, (...args: readonly unknown[]) => unknown>;
  const replyTo = async ({ id, name, args }: Call): Promise<Reply> => {
    try {
      return { id, result: await byName[name]!(...args) };
    } catch (error) {
      const known = error instanceof LamppostError ? error : null;
      const { message } = error as Error;
      return { id, error: { code: known?.code ?? null, message, retryable: known?.retryable ?? false } };
    }
  };
  // A parent that is gone is noticed by `disconnect`.
  process.on('message', (call: Call) => {
    void replyTo(call).then((reply) => process.send!(reply, undefined, undefined, () => {}));
  });
}

/** Calls functions of a process; once it has ended, every open and later call rejects with `gone()`. */
export function callsOf<T>(child: ChildProcess, gone: () => Error): Calls<T> {
  const open = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let next = 1;
  let ended = false;
  const end = () => {
    ended = true;
    for (const { reject } of open.values()) reject(gone());
    open.clear();
  };
  child.once('exit', end);
  child.on('message', ({ id, result, error }: Reply) => {
    const waiting = open.get(id);
    open.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(errorOf(error));
  });
  return new Proxy({} as Calls<T> & object, {
    get:
      (_target, name: string) =>
      (...args: readonly unknown[]) =>
        new Promise((resolve, reject) => {
          if (ended) return reject(gone());
          const id = next++;
          open.set(id, { resolve, reject });
          // What cannot be sent any more is rejected when the process has ended.
          child.send({ id, name, args } satisfies Call, () => {});
        }),
  });
}

function errorOf({ code, message, retryable }: NonNullable<Reply['error']>): Error {
  return code === null ? new Error(message) : new LamppostError(code, message, { retryable });
}

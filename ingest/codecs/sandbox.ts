/** Entry of the thread in which codecs run: QuickJS as WebAssembly, without a way out of it. */
import { workerData } from 'node:worker_threads';
import released from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSSyncVariant,
} from 'quickjs-emscripten-core';
import type { Asked, Coded, Frame, Returned, SandboxData } from './index.ts';

/** QuickJS asks after each 10,000 loops and calls, also within a regular expression: about a million of them. */
const MOST_INTERRUPTS = 100;
const MEMORY_BYTES = 4 * 1024 * 1024;
/**
 * QuickJS counts 8 bytes for each block of this build, whatever its size: only memory that does not grow is a bound.
 */
const MEMORY_PAGES = 256;
const STACK_BYTES = 256 * 1024;
/** Of what a codec returns, as JSON. */
const MOST_CHARACTERS = 64 * 1024;
const LONGEST_FAULT = 300;

/**
 * The same frame gives the same values: `now` is when it was received, local time is UTC, and chance is none. `console`
 * does nothing.
 */
const PRELUDE = `((at) => {
  const Real = Date;
  const parts = ['FullYear', 'Month', 'Date', 'Hours', 'Minutes', 'Seconds', 'Milliseconds'];
  for (const part of parts) {
    Real.prototype['get' + part] = Real.prototype['getUTC' + part];
    Real.prototype['set' + part] = Real.prototype['setUTC' + part];
  }
  Real.prototype.getDay = Real.prototype.getUTCDay;
  Real.prototype.getTimezoneOffset = () => 0;
  for (const text of ['toString', 'toLocaleString']) Real.prototype[text] = Real.prototype.toUTCString;
  const dateOf = (args) => {
    if (args.length === 0) return new Real(at);
    return args.length === 1 ? new Real(args[0]) : new Real(Real.UTC(...args));
  };
  globalThis.Date = function Date(...args) {
    return new.target ? dateOf(args) : new Real(at).toString();
  };
  Object.assign(Date, { UTC: Real.UTC, parse: Real.parse, now: () => at });
  Date.prototype = Real.prototype;
  Real.prototype.constructor = Date;
  Math.random = () => 0.5;
  delete globalThis.performance;
  const nothing = () => {};
  globalThis.console = { log: nothing, info: nothing, warn: nothing, error: nothing, debug: nothing };
})`;

const { port, done } = workerData as SandboxData;
/** Its types are those of its CommonJS module. */
const variant = released as unknown as QuickJSSyncVariant;
/** Of Node; TypeScript has it with the types of browsers only. */
declare const WebAssembly: {
  readonly Memory: new (bounds: { readonly initial: number; readonly maximum: number }) => object;
};
const wasmMemory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
const quickjs = await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmMemory }));

/** A runtime and a context for one frame: nothing is left of the frames before it. */
function run({ text, frame }: Asked): Coded {
  const runtime = quickjs.newRuntime({ memoryLimitBytes: MEMORY_BYTES, maxStackSizeBytes: STACK_BYTES });
  let interrupts = 0;
  runtime.setInterruptHandler(() => ++interrupts > MOST_INTERRUPTS);
  const context = runtime.newContext();
  try {
    const prepared = evaluate(context, `${PRELUDE}(${frame.receivedAtMs})`) ?? evaluate(context, text, false);
    if (prepared !== null && 'fault' in prepared) return prepared;
    return codedOf(evaluate(context, callOf(frame))!);
  } finally {
    context.dispose();
    runtime.dispose();
  }
}

function callOf({ bytes, port, receivedAtMs }: Frame): string {
  const input = `{ bytes: [${bytes.join(',')}], fPort: ${port}, recvTime: new Date(${receivedAtMs}), variables: {} }`;
  return `JSON.stringify(decodeUplink(${input}))`;
}

type Text = { readonly text: string } | { readonly fault: string };

/** Evaluates a program. Returns the text that it is, null where it is none, or why it failed. */
function evaluate(context: QuickJSContext, code: string, isText = true): Text | null {
  const result = context.evalCode(code, 'codec.js');
  if (result.error !== undefined) {
    const error: unknown = context.dump(result.error);
    result.error.dispose();
    return { fault: faultOf(error) };
  }
  const text = isText && context.typeof(result.value) === 'string' ? context.getString(result.value) : null;
  result.value.dispose();
  return text === null ? null : { text };
}

function faultOf(error: unknown): string {
  // QuickJS throws null where there is no memory left for an error.
  if (error === null || error === '') return 'it threw null, as where it is out of memory';
  const { name = 'Error', message = String(error) } = (error ?? {}) as { name?: string; message?: string };
  return `${name}: ${message}`.slice(0, LONGEST_FAULT);
}

function codedOf(result: Text | null): Coded {
  if (result === null) return { fault: 'it returned nothing' };
  if ('fault' in result) return result;
  if (result.text.length > MOST_CHARACTERS) return { fault: `it returned more than ${MOST_CHARACTERS} characters` };
  const { data, errors } = (JSON.parse(result.text) ?? {}) as { data?: unknown; errors?: unknown };
  if (Array.isArray(errors) && errors.length > 0)
    return { fault: errors.map(String).join('; ').slice(0, LONGEST_FAULT) };
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return { fault: 'it returned no object "data"' };
  return { data: data as Record<string, unknown> };
}

/** Where WebAssembly itself fails, this thread is of no use any more; the next frame gets another. */
function tried(asked: Asked): Omit<Returned, 'tookMs'> {
  try {
    return { coded: run(asked), isBroken: false };
  } catch (error) {
    return { coded: { fault: faultOf(error) }, isBroken: true };
  }
}

port.on('message', (asked: Asked) => {
  const before = process.threadCpuUsage();
  const returned = tried(asked);
  const { user, system } = process.threadCpuUsage(before);
  port.postMessage({ ...returned, tookMs: (user + system) / 1_000 } satisfies Returned);
  Atomics.add(done, 0, 1);
  Atomics.notify(done, 0);
});
Atomics.store(done, 0, 1);
Atomics.notify(done, 0);

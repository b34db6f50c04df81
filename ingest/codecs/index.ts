import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { codecFor } from '../../city-model/index.ts';
import { type City, LamppostError, type Profile } from '../../domain/index.ts';
import { CodecBudget } from './budget.ts';

/** A LoRaWAN frame. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly port: number;
  readonly receivedAtMs: number;
}

/** What a codec made of a frame: the object of its values, or why there is none. */
export type Coded = { readonly data: Readonly<Record<string, unknown>> } | CodecFault;
export interface CodecFault {
  readonly fault: string;
  /** Whether it is the time that the codec takes. */
  readonly isTooSlow?: boolean;
}

/**
 * A payload codec: `decodeUplink({ bytes, fPort, recvTime })`, as the device repository of The Things Network has it.
 */
export interface Codec {
  readonly name: string;
  /** Pure: the same frame gives the same values, or is refused because of the time that frames before it took. */
  decode(frame: Frame): Coded;
}

/** The codec of a device, at a steady time of the log, ms; null: it has none. */
export type CodecOf = (device: string, nowMs: number) => Codec | null;

/** Returns the codec of each device of a profile; null where the profile has none. */
export function codecsOfProfile(profile: Profile, codecs: City['codecs']): CodecOf | null {
  if (Object.keys(profile.codecs).length === 0) return null;
  return (device, nowMs) => {
    const name = codecFor(profile.codecs, device);
    return name === null ? null : codecOf(name, codecs.get(name)!).of(device, nowMs);
  };
}

/** A codec that has the time of all its devices. */
interface SharedCodec {
  of(device: string, nowMs: number): Codec;
}

/** Codecs by their name, which is in what they refuse, and text: the same one is made once, whatever city has it. */
const known = new Map<string, SharedCodec>();
const MOST_CODECS = 1_000;

function codecOf(name: string, text: string): SharedCodec {
  const key = `${name}\0${text}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  if (known.size >= MOST_CODECS) known.clear();
  const codec = createCodec(name, text);
  known.set(key, codec);
  return codec;
}

/** How long a frame may take beyond what the sandbox counts itself; a frame takes about a millisecond. */
const LONGEST_MS = 2_000;
const LATER = 'another one is tried later, or at once where the file has changed; then replay what was refused';
const USED_UP = {
  all: `frames took too long to decode; ${LATER}`,
  device: `frames of this device took too long to decode; ${LATER}`,
};

function createCodec(name: string, text: string): SharedCodec {
  const budget = new CodecBudget(text);

  /** By the time of the log: reading it again at full speed holds back no more frames than were held back then. */
  function decode(device: string, nowMs: number, frame: Frame): Coded {
    const usedUp = budget.usedUpBy(device, nowMs);
    if (usedUp !== null) return { fault: USED_UP[usedUp], isTooSlow: true };
    // A process that was stopped for a while says nothing of the codec, so it gets a second chance.
    const first = run(text, frame);
    const returned = first ?? run(text, frame);
    const tookMs = (first === null ? LONGEST_MS : 0) + (returned?.tookMs ?? LONGEST_MS);
    budget.charge(device, tookMs, nowMs);
    return returned?.coded ?? { fault: `it took more than ${LONGEST_MS} ms`, isTooSlow: true };
  }

  return { of: (device, nowMs) => ({ name, decode: (frame) => decode(device, nowMs, frame) }) };
}

/** What the sandbox is asked, and what it returns. */
export interface Asked {
  readonly text: string;
  readonly frame: Frame;
}

export interface Returned {
  readonly coded: Coded;
  /** CPU time of its thread: what else runs on the machine says nothing of the codec. */
  readonly tookMs: number;
  /** Whether it can run nothing any more. */
  readonly isBroken: boolean;
}

/** The data of its thread. */
export interface SandboxData {
  readonly port: MessagePort;
  /** Counts what it has done: 1 once it has begun, and one more after each frame. */
  readonly done: Int32Array<SharedArrayBuffer>;
}

interface Sandbox {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly done: Int32Array<SharedArrayBuffer>;
}

let sandbox: Sandbox | null = null;
const BEGINS_WITHIN_MS = 60_000;

/**
 * Runs a codec in the sandbox of this thread and waits for it: decoding is a step of the log's order. Returns null
 * where it took too long; that sandbox is gone then, and the next frame gets a new one.
 */
function run(text: string, frame: Frame): Returned | null {
  sandbox ??= open();
  const { port, done } = sandbox;
  const before = Atomics.load(done, 0);
  port.postMessage({ text, frame } satisfies Asked);
  if (Atomics.wait(done, 0, before, LONGEST_MS) === 'timed-out') {
    close();
    return null;
  }
  const returned = receiveMessageOnPort(port)?.message as Returned | undefined;
  if (returned === undefined) throw new Error('the sandbox returned nothing');
  if (returned.isBroken) close();
  return returned;
}

/** A thread of its own: nothing else ends a function of the engine that does not return. */
function open(): Sandbox {
  const { port1: port, port2 } = new MessageChannel();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('./sandbox.ts', import.meta.url), {
    workerData: { port: port2, done } satisfies SandboxData,
    transferList: [port2],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
  });
  worker.on('error', () => {
    if (sandbox?.worker === worker) sandbox = null;
  });
  worker.unref();
  port.unref();
  if (Atomics.wait(done, 0, 0, BEGINS_WITHIN_MS) === 'timed-out') {
    void worker.terminate();
    throw new LamppostError('busy', 'the sandbox of codecs does not begin', { retryable: true });
  }
  return { worker, port, done };
}

function close(): void {
  void sandbox?.worker.terminate();
  sandbox?.port.close();
  sandbox = null;
}

import type { Worker } from 'node:worker_threads';
import type { Photo, PhotoFault, PhotoThread } from '../../citizens/index.ts';
import { spawn } from './rpc.ts';

/** Starts the thread that cleans photos. Files and photos are moved between the threads, not copied. */
export function startPhotoThread(): PhotoThread {
  // A crash rejects the photo that it was at, and ends nothing else.
  const { worker, ended } = spawn<object>(new URL('./photo.ts', import.meta.url), { data: {}, onCrash: () => {} });
  return {
    clean(file) {
      const { promise, resolve, reject } = Promise.withResolvers<Photo | PhotoFault>();
      worker.once('message', (result: PhotoFault | (Omit<Photo, 'bytes'> & { readonly bytes: Uint8Array })) =>
        resolve(typeof result === 'string' ? result : { ...result, bytes: Buffer.from(result.bytes.buffer) }),
      );
      void ended.then(() => reject(new Error('the thread that cleans photos has ended')));
      move(worker, file);
      return promise;
    },
    end: () => worker.terminate(),
  };
}

/** A part of Node's pool cannot be moved; it is copied. */
function move(worker: Worker, file: Uint8Array): void {
  try {
    worker.postMessage(file, [file.buffer as ArrayBuffer]);
  } catch (error) {
    if ((error as Error).name !== 'DataCloneError') throw error;
    worker.postMessage(new Uint8Array(file));
  }
}

/** Entry of the thread that cleans citizens' photos: a file comes in, a photo or a fault goes out, one at a time. */
import { parentPort } from 'node:worker_threads';
import { photoOf } from '../../citizens/index.ts';

parentPort!.on('message', (file: Uint8Array) => {
  const result = photoOf(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
  if (typeof result === 'string') return parentPort!.postMessage(result);
  // Memory of its own moves to the other thread; a part of Node's pool could not.
  const bytes = new Uint8Array(result.bytes);
  parentPort!.postMessage({ type: result.type, bytes }, [bytes.buffer]);
});

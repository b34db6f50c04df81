import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { offer, remote } from '../../../threads/rpc.ts';

test('rpc - a call that the other end can no longer answer is rejected, and so is every call after it', async () => {
  const { port1, port2 } = new MessageChannel();
  offer(port2, { never: () => new Promise(() => {}) });
  const { call } = remote<{ never: () => Promise<void> }>(port1);
  const open = call.never();
  port2.close();
  await expect(open).rejects.toMatchObject({ code: 'busy', retryable: true });
  await expect(call.never()).rejects.toMatchObject({ code: 'busy' });
});

import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { offer, remote, under, within } from '../../../../app/threads/rpc.ts';
import { LamppostError } from '../../../../domain/index.ts';

test('rpc - a call that the other end can no longer respond to is rejected, and so is every call after it', async () => {
  const { port1, port2 } = new MessageChannel();
  offer(port2, { never: () => new Promise(() => {}) });
  const { call } = remote<{ never: () => Promise<void> }>(port1);
  const open = call.never();
  port2.close();
  await expect(open).rejects.toMatchObject({ code: 'busy', retryable: true });
  await expect(call.never()).rejects.toMatchObject({ code: 'busy' });
});

test('rpc - sets of functions under names of their own do not meet, and an operational error keeps its code', async () => {
  const { port1, port2 } = new MessageChannel();
  const lamps = { get: (id: string) => `lamp ${id}` };
  const bins = {
    get(id: string): string {
      throw new LamppostError('not-found', `there is no bin ${id}`);
    },
  };
  offer(port1, { ...under('lamps', lamps), ...under('bins', bins) });
  const { call } = remote(port2);
  expect(await within<typeof lamps>(call, 'lamps').get('7')).toBe('lamp 7');
  await expect(within<typeof bins>(call, 'bins').get('7')).rejects.toMatchObject({
    code: 'not-found',
    message: 'there is no bin 7',
  });
  port1.close();
});

test('rpc - a refusal keeps its code and its reason on the way, so that its caller can distinguish it', async () => {
  const { port1, port2 } = new MessageChannel();
  const refusal = new LamppostError('conflict', 'it is closed', { reason: 'wrong-status', retryable: true });
  offer(port2, { act: () => Promise.reject(refusal), fail: () => Promise.reject(new TypeError('a bug')) });
  const { call } = remote<{ act: () => Promise<void>; fail: () => Promise<void> }>(port1);
  const known = {
    name: 'LamppostError',
    code: 'conflict',
    reason: 'wrong-status',
    message: 'it is closed',
    retryable: true,
  };
  await expect(call.act()).rejects.toMatchObject(known);
  await expect(call.fail()).rejects.toSatisfy(
    (error) => !(error instanceof LamppostError) && error.message === 'a bug',
  );
  port1.close();
});

test('rpc - a signal among the arguments aborts at the other end; the call ends with what that end says', async () => {
  const { port1, port2 } = new MessageChannel();
  let begun = 0;
  offer(port2, {
    work: (what: string, signal: AbortSignal) => {
      begun++;
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new LamppostError('busy', `stopped ${what}`)));
      });
    },
  });
  const { call } = remote<{ work: (what: string, signal: AbortSignal) => Promise<void> }>(port1);
  const one = new AbortController();
  const first = call.work('one', one.signal);
  const second = call.work('two', new AbortController().signal);
  one.abort();
  await expect(first).rejects.toThrow('stopped one');
  await expect(call.work('three', AbortSignal.abort())).rejects.toThrow('stopped three');
  expect(begun).toBe(3);
  port1.close();
  await expect(second).rejects.toMatchObject({ code: 'busy' });
});

test('rpc - how long to wait crosses with an error', async () => {
  const { port1, port2 } = new MessageChannel();
  offer(port2, { take: () => Promise.reject(new LamppostError('limit', 'too much', { retryAfterMs: 7_000 })) });
  const { call } = remote<{ take: () => Promise<void> }>(port1);
  await expect(call.take()).rejects.toMatchObject({ code: 'limit', retryAfterMs: 7_000 });
  port1.close();
});

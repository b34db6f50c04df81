import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DAY_MS, LamppostError } from '../../domain/index.ts';
import { type BacktestOptions, type BacktestReport, BacktestReportSchema } from '../../rules/index.ts';

import type { ApiDeps } from '../deps.ts';
import { textOf } from '../rule-draft.ts';
import { Instant } from '../schema.ts';
import type { App } from './routes.ts';

const Body = z.strictObject({
  /** Its id, its text, or the rule as an object. */
  rule: z.union([z.string().min(1).max(100_000), z.looseObject({})]),
  from: Instant.optional(),
  to: Instant.optional(),
});

type Run = (options: BacktestOptions) => Promise<BacktestReport>;

/** `POST /api/v1/rules/backtest`: what a rule would have done. One at a time; whoever goes away cancels it. */
export function backtestRoutes(app: App, { rules, backtest }: ApiDeps): void {
  let running = false;

  async function alone<T>(work: () => Promise<T>): Promise<T> {
    if (running) throw new LamppostError('conflict', 'a backtest is running already; wait for it, or cancel it');
    running = true;
    try {
      return await work();
    } finally {
      running = false;
    }
  }

  app.post(
    '/api/v1/rules/backtest',
    {
      config: { role: 'operator' },
      schema: {
        tags: ['rules'],
        summary:
          'What a rule would have done over [from, to), by default the last 30 days: a report, or with Accept: text/event-stream its progress first',
        body: Body,
        response: { 200: BacktestReportSchema },
      },
    },
    async ({ body, key, headers }, reply) => {
      const toMs = body.to ?? Date.now();
      const fromMs = body.from ?? toMs - 30 * DAY_MS;
      const rule = rules.resolve(textOf(body.rule), key!.id);
      const run: Run = (options) => backtest({ rule, fromMs, toMs }, options);
      const signal = untilGone(reply.raw);
      return alone(async () => {
        if (!(headers.accept ?? '').includes('text/event-stream')) return await run({ signal });
        return stream(reply, run, signal);
      });
    },
  );
}

/** Aborts when the one who asked goes away before the answer is complete. */
function untilGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new LamppostError('busy', 'cancelled: nobody waits for the backtest')));
  return gone.signal;
}

/** `event: progress` again and again, then `event: report`, or `event: problem`. */
async function stream(reply: FastifyReply, run: Run, signal: AbortSignal): Promise<never> {
  const { raw } = reply.hijack();
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const tell = (event: string, data: unknown) => raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  try {
    tell('report', await run({ signal, onProgress: (progress) => void tell('progress', progress) }));
  } catch (error) {
    // A bug ends the request as any other does; it is told in the log.
    if (!(error instanceof LamppostError)) reply.log.error({ err: error }, 'a backtest failed');
    const known =
      error instanceof LamppostError ? error : new LamppostError('history', 'this is a fault of the server');
    if (!signal.aborted) tell('problem', { code: known.code, detail: known.message });
  }
  raw.end();
  return reply as never;
}

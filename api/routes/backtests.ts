import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DAY_MS, LamppostError } from '../../domain/index.ts';
import { type BacktestOptions, type BacktestReport, BacktestReportSchema } from '../../rules/index.ts';

import type { ApiDeps } from '../deps.ts';
import { Instant } from '../schema.ts';
import type { App } from './routes.ts';
import { RULE_BODY_LIMIT, RuleReference, textOf } from './rules.ts';

const Body = z.strictObject({
  rule: RuleReference,
  from: Instant.optional(),
  to: Instant.optional(),
});

type Run = (options: BacktestOptions) => Promise<BacktestReport>;

/**
 * `POST /api/v1/rules/backtest`: what a rule would have done. One backtest runs at a time; it is cancelled when its
 * client disconnects.
 */
export function backtestRoutes(app: App, { rules, backtest }: Pick<ApiDeps, 'rules' | 'backtest'>): void {
  let running = false;

  async function alone<T>(work: () => Promise<T>): Promise<T> {
    if (running) throw new LamppostError('conflict', 'a backtest is already running; wait for it or cancel it');
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
      bodyLimit: RULE_BODY_LIMIT,
      schema: {
        tags: ['rules'],
        summary:
          'Reports what a rule would have done in [from, to), by default the last 30 days. With Accept: text/event-stream it sends progress first',
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

/** Aborts when the client disconnects before the response is complete. */
function untilGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new LamppostError('busy', 'cancelled: the client disconnected')));
  return gone.signal;
}

/** Sends `event: progress` repeatedly, then `event: report` or `event: problem`. */
async function stream(reply: FastifyReply, run: Run, signal: AbortSignal): Promise<FastifyReply> {
  const { raw } = reply.hijack();
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const send = (event: string, data: unknown) => raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  try {
    send('report', await run({ signal, onProgress: (progress) => void send('progress', progress) }));
  } catch (error) {
    // A bug goes to the log, as for any other request.
    if (!(error instanceof LamppostError)) reply.log.error({ err: error }, 'a backtest failed');
    const known = error instanceof LamppostError ? error : new LamppostError('history', 'internal error');
    if (!signal.aborted) send('problem', { code: known.code, detail: known.message });
  }
  raw.end();
  return reply;
}

import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DAY_MS, LamppostError } from '../../domain/index.ts';
import { type BacktestOptions, type BacktestReport, BacktestReportSchema } from '../../rules/index.ts';
import type { ApiDeps } from '../deps.ts';
import { endingWithin } from '../queries.ts';
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
 * client disconnects, or when it takes longer than 20 queries may.
 */
export function backtestRoutes(
  app: App,
  { rules, backtest, queries }: Pick<ApiDeps, 'rules' | 'backtest' | 'queries'>,
): void {
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
      config: { permission: 'rules.try', concurrency: 'queries', audited: 'no' },
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
      const { options, longMs } = queries.begin(key!.id, reply.raw);
      const signal = endingWithin(options.signal, longMs, 'the backtest');
      return alone(async () => {
        if (!(headers.accept ?? '').includes('text/event-stream')) return await run({ signal });
        return stream(reply, run, signal);
      });
    },
  );
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
    if (!raw.destroyed) send('problem', { code: known.code, detail: known.message });
  }
  raw.end();
  return reply;
}

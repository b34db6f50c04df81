import { isoOf, LamppostError } from '../domain/index.ts';
import type { BacktestOptions, BacktestProgress, BacktestReport } from '../rules/index.ts';

/** What a server is asked. `rule`: an id, or a text. */
interface Question {
  readonly rule: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** A backtest by a running server. Aborting closes the connection, and that cancels it there. */
export async function backtestOver(
  { url, key }: { readonly url: string; readonly key: string },
  { rule, fromMs, toMs }: Question,
  { signal, onProgress }: BacktestOptions,
): Promise<BacktestReport> {
  const body = { rule, from: isoOf(fromMs), to: isoOf(toMs) };
  const answer = await ask(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
  if (!answer.ok) throw problemOf(await answer.text(), url, answer.status);
  for await (const { event, data } of eventsOf(answer)) {
    if (event === 'progress') onProgress?.(JSON.parse(data) as BacktestProgress);
    if (event === 'report') return JSON.parse(data) as BacktestReport;
    if (event === 'problem') throw problemOf(data, url, answer.status);
  }
  throw new LamppostError('busy', `${url} ended the connection before the report`, { retryable: true });
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  if (!URL.canParse(url)) throw new LamppostError('config', `--url: "${url}" is no address; write http://host:8080`);
  try {
    return await fetch(new URL('/api/v1/rules/backtest', url), init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const { cause, message } = error as Error & { cause?: Error };
    throw new LamppostError('busy', `no server answers at ${url}: ${cause?.message || message}`, { cause: error });
  }
}

/** Server-sent events: the last `event:` and `data:` before each empty line. */
async function* eventsOf(answer: Response): AsyncGenerator<{ event: string; data: string }> {
  let rest = '';
  for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const lines = block.split('\n');
      const field = (name: string) =>
        lines.flatMap((line) => (line.startsWith(`${name}: `) ? line.slice(name.length + 2) : [])).join('\n');
      yield { event: field('event'), data: field('data') };
    }
  }
}

/** The sentence of a problem (RFC 9457), or what else was answered. */
function problemOf(text: string, url: string, status: number): LamppostError {
  const detail = detailOf(text) ?? `${url} answers ${status}: ${text.slice(0, 200)}`;
  return new LamppostError('invalid', detail);
}

function detailOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { detail?: string }).detail;
  } catch {
    return undefined;
  }
}

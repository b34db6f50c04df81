import type { NumberedEvent } from './reader.ts';

/** One event as `text/event-stream` has it (WHATWG HTML §9.2): `id` is what comes back as `Last-Event-ID`. */
export function sseOf({ n, event }: NumberedEvent): string {
  return `id: ${n}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

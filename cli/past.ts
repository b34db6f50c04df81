import { LamppostError, parseDuration } from '../domain/index.ts';

/** Reads a moment of the past, epoch ms: ISO 8601, or how long before `nowMs`. Throws `config` with the flag's name. */
export function pastOf(flag: string, text: string, nowMs: number): number {
  const ago = parseDuration(text);
  const ms = ago === null ? Date.parse(text) : nowMs - ago;
  if (Number.isFinite(ms)) return ms;
  throw new LamppostError('config', `${flag}: "${text}" is not a time; write 2026-03-01, 2026-03-01T06:00:00Z or 30d`);
}

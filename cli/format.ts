import { loadCity } from '../app/index.ts';
import { LamppostError, requireName } from '../domain/index.ts';
import { type FormatTrialReport, tryFormat } from '../ingest/index.ts';
import { readBytes } from './files.ts';
import type { FORMAT_TRY } from './flags.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

/** `format try FILE`: shows what a message becomes by the city folder, without a server. Returns the exit code. */
export async function formatCommand(
  { args, flags }: Given<typeof FORMAT_TRY>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const {
    topic,
    format,
    device = 'device',
    profile = null,
    city: folder = environment.LAMPPOST_CITY ?? './city',
  } = flags;
  if ((topic === undefined) === (format === undefined))
    throw new LamppostError('config', 'format try: write either --topic or --format (lamppost format try --help)');
  const { city } = await loadCity(folder);
  if (profile !== null) requireName('profile', profile, city.profiles);
  if (format !== undefined) requireName('format', format, city.formats);
  const report = tryFormat(city, {
    topic: topic ?? `devices/${device}/${format}`,
    payload: readBytes(args[0]!),
    sender: device,
    profile,
    receivedAtMs: Date.now(),
  });
  print(flags.json, report, () => linesOf(report, profile));
  return report.refused.length > 0 || report.readings.length === 0 ? 1 : 0;
}

function linesOf({ format, device, id, readings, refused, more }: FormatTrialReport, profile: string | null): string[] {
  const lines = [`format ${format ?? 'unknown'}, device ${device}${id === null ? '' : `, message ${id}`}`];
  for (const reading of readings) {
    lines.push(`  ${reading.path}  ${reading.device}  ${reading.ts ?? 'its time cannot be read'}`);
    for (const { field, path, found, unit, metric, value } of reading.values) {
      const fate = profile === null ? '' : metric === null ? '  -> not stored' : `  -> ${metric} ${value}`;
      lines.push(`    ${field}  ${found}${unit === null ? '' : ` ${unit}`}  at ${path}${fate}`);
    }
  }
  for (const { reason, path, detail } of refused) lines.push(`  refused: ${reason} at ${path}: ${detail}`);
  if (more) lines.push('  … and more');
  return lines;
}

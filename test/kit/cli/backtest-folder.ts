import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStateFile } from '../../../app/threads/state.ts';
import { systemClock as clock, HOUR_MS, type KnownDevice, type MetricTable, MINUTE_MS } from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { testRegistry } from '../registry.ts';

export { HOUR_MS as HOUR } from '../../../domain/index.ts';
/** Monday, 2026-03-02 00:00 UTC. */
export const START = Date.UTC(2026, 2, 2);

/** A changed rule of the sample city. */
export const CHANGED = `
id: pm25-unhealthy
title: "Dust at {{device.name}}: {{value}}"
for_each: device
where: { profile: air-quality }
when: { metric: pm25, mean: 15m, above: 50, clear: 40 }
for: 10m
keep_firing_for: 5m
severity: high
ticket: { service: air-quality, deadline: 4h }
`;

/** Writes a text to a file in a new folder and returns its path. */
export function fileOf(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-backtest-')), name);
  writeFileSync(path, text);
  return path;
}

/**
 * Makes the data folder of a stopped server: air-quality stations, each with one reading a minute for `hours` hours.
 */
export async function dataFolder(stations: number, hours: number): Promise<string> {
  const data = mkdtempSync(join(tmpdir(), 'lamppost-backtest-'));
  const devices: KnownDevice[] = Array.from({ length: stations }, (_, index) => ({
    id: `air-${index}`,
    index,
    profile: 'air-quality',
    district: 'old-town',
  }));
  const state = openStateFile(data);
  testRegistry(state, clock).register(devices.map(({ index: _, ...device }) => device));
  state.close();
  const metrics: MetricTable = { indexOf: () => 0, idOf: () => 'pm25' };
  const history = createDuckdbHistory({ path: join(data, 'history.duckdb'), metrics, unitOf: () => '' });
  await history.start();
  // Block 0, because this folder has no journal.
  for (let hour = 0; hour < hours; hour++) await history.append([columnsOf(devices, hour)], 0);
  await history.stop();
  return data;
}

function columnsOf(devices: readonly KnownDevice[], hour: number) {
  const length = devices.length * 60;
  const ts = Float64Array.from(
    { length },
    (_, row) => START + hour * HOUR_MS + Math.floor(row / devices.length) * MINUTE_MS,
  );
  return {
    length,
    device: Array.from({ length }, (_, row) => devices[row % devices.length]!),
    metric: new Int32Array(length),
    ts,
    value: ts.map((at, row) => 60 + 40 * Math.sin(at / HOUR_MS + (row % devices.length))),
  };
}

import type { BacktestProgress, BacktestReport, BacktestSpan, BacktestTotals } from '../rules/index.ts';
import { createProgress, table } from './output.ts';

const BAR = 30;
const MOST_ROWS = 50;

/** Shows progress: a bar on a terminal; elsewhere, where it is asked for, one line for each tenth. */
export function createProgressBar(asked: boolean): { show(progress: BacktestProgress): void; clear(): void } {
  const { isTTY } = process.stderr;
  const progress = createProgress(asked);
  let tenths = 0;
  const facts = ({ done, at, readings, incidents }: BacktestProgress) =>
    `${Math.floor(done * 100)} %  ${minute(at)}  ${count(readings, 'reading')}  ${count(incidents, 'incident')}`;
  return {
    show(seen) {
      const full = Math.round(seen.done * BAR);
      const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] `;
      if (!isTTY && Math.floor(seen.done * 10) <= tenths) return;
      tenths = Math.floor(seen.done * 10);
      progress.show(`${isTTY ? bar : ''}${facts(seen)}`);
    },
    clear: () => progress.clear(),
  };
}

/** Prints the report as a table on standard output, with times in UTC. */
export function printReport(report: BacktestReport): void {
  console.log(linesOf(report).join('\n'));
}

function linesOf(report: BacktestReport): string[] {
  const { rule, version, from, to, readings, devices, tookMs, warmUpFrom, incidents, totals, fault } = report;
  const rows = incidents
    .slice(0, MOST_ROWS)
    .map((one) => [
      one.before ? '(before)' : minute(one.firedAt),
      one.resolvedAt === null ? '(firing)' : minute(one.resolvedAt),
      one.group,
      one.district,
      one.severity,
      one.value === null ? '–' : String(Number(one.value.toPrecision(4))),
      one.ticket === null ? 'no ticket' : `${one.ticket.department}: ${one.ticket.title}`,
    ]);
  const head = ['fired', 'resolved', 'group', 'district', 'severity', 'value', 'ticket'];
  return [
    `rule ${rule} (${version}) from ${minute(from)} to ${minute(to)} UTC`,
    `${count(readings, 'reading')} of ${count(devices, 'device')} in ${(tookMs / 1_000).toFixed(1)} s, warm-up from ${minute(warmUpFrom)}`,
    ...(fault === null ? [] : [`THE RULE MET AN ERROR: ${fault}`]),
    '',
    totalsLine(totals),
    ...(rows.length === 0 ? [] : ['', ...table([head, ...rows])]),
    ...more(totals.incidents - rows.length),
    ...differenceLines(report.difference),
  ];
}

function totalsLine({ incidents, tickets, before, firing, cancelled, pending, districts }: BacktestTotals): string {
  const where = districts.map((one) => `${one.district || 'city'} ${one.incidents}`).join(', ');
  const parts = [
    `${count(incidents, 'incident')}, ${count(tickets, 'ticket')}`,
    `${before} firing at the start, ${firing} at the end`,
    `never fired: ${cancelled}, pending: ${pending}`,
  ];
  return [parts.join('; '), ...(where === '' ? [] : [`by district: ${where}`])].join('\n');
}

function differenceLines(difference: BacktestReport['difference']): string[] {
  if (difference === null) return [];
  const { version, counts, changes, totals } = difference;
  const rows = changes
    .slice(0, MOST_ROWS)
    .map(({ kind, group, now, inForce }) => [kind, group, spanText(inForce), spanText(now)]);
  const { same, moved, regraded, added, gone } = counts;
  return [
    '',
    `against the rule in force (${version}, ${count(totals.incidents, 'incident')}): ${same} same, ${moved} moved, ${regraded} regraded, ${added} added, ${gone} gone`,
    ...(rows.length === 0 ? [] : ['', ...table([['', 'group', 'in force', 'now'], ...rows])]),
    ...more(moved + regraded + added + gone - rows.length),
  ];
}

const more = (left: number) => (left > 0 ? [`… and ${left} more; --json lists up to 10,000`] : []);

function spanText(span: BacktestSpan | null): string {
  if (span === null) return '–';
  return `${minute(span.firedAt)} to ${span.resolvedAt === null ? '(firing)' : minute(span.resolvedAt)}, ${span.severity}`;
}

const minute = (iso: string) => iso.slice(0, 16).replace('T', ' ');
const count = (n: number, what: string) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

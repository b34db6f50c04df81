const DAY_S = 86_400;

/**
 * Returns the labels of the times of an axis (epoch s, in order), as a locale writes them: days, with the year where
 * there are several; or times of a day, to the second where they are that near, with the day where another one begins.
 */
export function axisLabels(times: readonly number[], locale: string): string[] {
  const stepS = times.length < 2 ? 0 : times[1]! - times[0]!;
  const format = (options: Intl.DateTimeFormatOptions) => {
    const formatter = new Intl.DateTimeFormat(locale, options);
    return (at: number) => formatter.format(at * 1_000);
  };
  const year = format({ year: 'numeric' });
  const hasYears = times.length > 1 && year(times[0]!) !== year(times.at(-1)!);
  const day = format({ month: 'short', day: 'numeric', ...(hasYears && { year: 'numeric' }) });
  // Across a change of the clock a day has 23 hours.
  if (stepS > 0.9 * DAY_S) return times.map(day);
  const seconds: Intl.DateTimeFormatOptions = stepS < 60 ? { second: '2-digit' } : {};
  const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', ...seconds };
  const [clock, whole] = [format(time), format({ month: 'short', day: 'numeric', ...time })];
  return times.map((at, i) => (i > 0 && day(at) === day(times[i - 1]!) ? clock(at) : whole(at)));
}

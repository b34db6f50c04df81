const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset', year: 'numeric' });
    formats.set(zone, format);
  }
  return format;
}

/** How far local time in an IANA zone is ahead of UTC at a moment, ms. Throws a RangeError for an unknown zone. */
export function zoneOffsetMs(zone: string, timeMs: number): number {
  const name = formatOf(zone)
    .formatToParts(timeMs)
    .find((part) => part.type === 'timeZoneName')?.value;
  const match = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(name ?? '');
  if (!match) throw new RangeError(`no offset is known for the zone ${zone}`);
  const [, sign, hours = 0, minutes = 0, seconds = 0] = match;
  const ms = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  return sign === '-' ? -ms : ms;
}

/**
 * The moment at which clocks in a zone show a local time (given as if it were UTC), epoch ms. Of two such moments
 * (clocks set back) one is taken; a time that was skipped (clocks set forward) is read with one of the two offsets.
 */
export function localToEpochMs(zone: string, localMs: number): number {
  const guess = localMs - zoneOffsetMs(zone, localMs);
  return localMs - zoneOffsetMs(zone, guess);
}

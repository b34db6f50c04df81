import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'out of order - counts for the window that it falls into, and not for the newest reading',
  {
    rule: `
      id: mean
      when: { metric: pm25, mean: 30m, above: 75 }
      ---
      id: newest
      when: { metric: pm25, above: 75 }`,
    intake: true,
  },
  `10:00 d1 pm25 60
   10:10 d1 pm25 70
   10:11 d1 pm25 110 of 10:05
   → 10:11 mean d1 firing 80
   10:12 d1 pm25 100 of 10:09:59
   10:13 d1 pm25 200 of 09:30
   10:14 d1 pm25 80
   → 10:14 newest d1 firing 80`,
);

timeline(
  'late - a device that was offline sends its night: windows are in device time, so alerts fire on the old values',
  { rule: 'when: { metric: pm25, mean: 30m, above: 75 }', intake: true },
  `06:00 d1 pm25 80 of 01:00
   → 06:00 d1 firing 80
   06:00 d1 pm25 90 of 01:10
   06:00 d1 pm25 20 of 05:50
   → 06:00 d1 resolved 20
   06:01 d1 pm25 200 of 02:00
   06:02 d1 pm25 20`,
);

timeline(
  'late, with lateness - the same night does not count, but readings in time do',
  { rule: 'when: { metric: pm25, mean: 30m, above: 75 }\nlateness: 1h', intake: true },
  `06:00 d1 pm25 80 of 01:00
   06:00 d1 pm25 90 of 01:10
   06:00 d1 pm25 76 of 05:10
   → 06:00 d1 firing 76`,
);

timeline(
  'duplicate - a repeated reading counts once, also after others and in one block',
  { rule: 'when: { metric: pm25, count: 1h, above: 2 }', intake: true },
  `10:00 d1 pm25 60, d1 pm25 60
   → 10:00 d1 duplicate
   10:01 d1 pm25 60
   10:02 d1 pm25 60 of 10:00
   → 10:02 d1 duplicate
   10:03 d1 pm25 60 of 10:01
   → 10:03 d1 duplicate
   10:04 d1 pm25 60
   → 10:04 d1 firing 3`,
);

timeline(
  'duplicate - another value for the same time changes the history, not the decisions of rules',
  { rule: 'when: { metric: pm25, above: 75 }', intake: true },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   10:01 d1 pm25 10 of 10:00
   → 10:01 d1 replaced
   10:02 d1 pm25 70
   → 10:02 d1 resolved 70`,
);

timeline(
  'duplicate - does not end a silence',
  { rule: 'when: { absent: 1h }', intake: true },
  `00:30 d1 pm25 60
   01:00 d1 pm25 60 of 00:30
   → 01:00 d1 duplicate
   02:00 tick
   → 01:30 d1 firing 3600`,
);

timeline(
  'future - a little ahead is accepted, more is refused before any rule reads it; one ahead does not block the others',
  { rule: 'when: { metric: pm25, max: 30m, above: 75 }', intake: true },
  `10:00 d1 pm25 80 of 10:06
   → 10:00 d1 refused in-the-future
   10:01 d1 pm25 60 of 10:06
   10:02 d1 pm25 90
   → 10:02 d1 firing 90
   10:33 d1 pm25 60
   → 10:33 d1 resolved 60`,
);

timeline(
  'too old - is refused, and no rule reads it',
  { rule: 'when: { metric: pm25, above: 75 }', intake: true },
  `+8d10:00 d1 pm25 80 of +1d09:59
   → +8d10:00 d1 refused too-old
   +8d10:01 d1 pm25 80 of +1d10:02
   → +8d10:01 d1 firing 80`,
);

timeline(
  'out of range - an impossible value is refused, and no rule reads it',
  { rule: 'when: { metric: pm25, above: 75 }', intake: true },
  `10:00 d1 pm25 5000
   → 10:00 d1 refused out-of-range
   10:01 d1 laeq 80
   → 10:01 d1 refused unknown-metric`,
);

import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'absent - fires when the silence is long enough, also of a device without any reading',
  { rule: 'when: { absent: 1h }', devices: 'd1 air-quality harbour\nd2 air-quality harbour' },
  `00:10 d1 pm25 20
   01:30 tick
   → 01:00 d2 firing 3600
   → 01:10 d1 firing 3600
   02:00 d2 temperature 5
   → 02:00 d2 resolved 0
   03:00 tick
   → 03:00 d2 firing 3600`,
);

timeline(
  'absent of a metric - readings of another do not count',
  { rule: 'when: { metric: pm25, absent: 1h }\nfor: 5m' },
  `00:30 d1 pm25 20
   01:00 d1 temperature 5
   01:40 d1 temperature 6
   → 01:30 d1 pending 3600
   → 01:35 d1 firing 3900
   01:41 d1 pm25 20
   → 01:41 d1 resolved 0`,
);

timeline(
  'absent - late readings and readings from the future also end the silence',
  { rule: 'when: { absent: 1h }' },
  `00:30 d1 pm25 20 of 00:01
   01:00 d1 pm25 20 of 05:00
   02:01 tick
   → 02:00 d1 firing 3600`,
);

timeline(
  'absent - with a lateness, a back-fill of hours ago does not end the silence, and a reading of now does',
  { rule: 'when: { absent: 1h }\nlateness: 10m' },
  `00:30 d1 pm25 20
   01:31 tick
   → 01:30 d1 firing 3600
   01:40 d1 pm25 20 of 00:40
   01:41 d1 pm25 20 of 01:20
   01:50 d1 pm25 20 of 01:45
   → 01:50 d1 resolved 0`,
);

timeline(
  'absent - a reading of three days ago ends no silence, and one of 23 hours ago does',
  { rule: 'when: { absent: 1h }' },
  `00:30 d1 pm25 20
   +3d09:10 d1 pm25 20 of 09:10
   → 01:30 d1 firing 3600
   +3d09:20 d1 pm25 20 of +2d10:20
   → +3d09:20 d1 resolved 0`,
);

timeline(
  'absent - downtime of the server is no silence',
  { rule: 'when: { absent: 2m }', gaps: true },
  `00:00:30 d1 pm25 20
   00:00:45 .. 00:01:00 every 15s tick
   09:00:00 .. 09:01:20 every 10s tick
   09:01:29 tick
   09:01:30 tick
   → 09:01:30 d1 firing 120`,
);

timeline(
  'absent - neither are short outages, however many',
  { rule: 'when: { absent: 2m }', gaps: true },
  `00:00:00 d1 pm25 20
   00:00:16 .. 00:05:20 every 16s tick
   00:05:21 .. 00:07:11 every 10s tick
   00:07:19 tick
   00:07:20 tick
   → 00:07:20 d1 firing 120`,
);

timeline(
  'flat - a sensor with one value for the whole window; unknown until the series is that old',
  { rule: 'when: { metric: temperature, flat: { for: 1h, within: 0.2 } }' },
  `10:00 .. 10:50 every 10m d1 temperature 21 21.1 21.2
   11:00 d1 temperature 21
   → 11:00 d1 firing 0.2
   11:10 d1 temperature 21.3
   → 11:10 d1 resolved 0.3
   12:00 d1 temperature 21.3
   12:15 d1 temperature 21.3
   12:30 d1 temperature 21.3
   → 12:30 d1 firing 0`,
);

timeline(
  'flat - needs three readings that span half of the window',
  { rule: 'when: { metric: temperature, flat: { for: 1h, within: 0 } }' },
  `10:00 d1 temperature 21
   12:00 d1 temperature 21
   12:20 d1 temperature 21
   12:30 d1 temperature 21
   → 12:30 d1 firing 0`,
);

timeline(
  'jump up - from the lowest of the window; ends when the distance is at most clear',
  {
    rule: 'when: { metric: level, jump: { by: 0.5, within: 30m, direction: up, clear: 0.2 } }',
    devices: 'd1 water-level riverside',
  },
  `10:00 d1 level 2
   10:05 d1 level 1
   10:10 d1 level 1.5
   10:15 d1 level 1.6
   → 10:15 d1 firing 0.6
   10:30 d1 level 1.3
   10:36 d1 level 1.4
   → 10:36 d1 resolved 0.1`,
);

timeline(
  'jump down, and either way',
  {
    rule: `
      id: drop
      when: { metric: level, jump: { by: 0.5, within: 30m, direction: down } }
      ---
      id: leap
      when: { metric: level, jump: { by: 0.5, within: 30m } }`,
    devices: 'd1 water-level riverside',
  },
  `10:00 d1 level 2
   10:05 d1 level 2.6
   → 10:05 leap d1 firing 0.6
   10:10 d1 level 2.1
   → 10:10 leap d1 resolved 0.5
   10:15 d1 level 2
   → 10:15 drop d1 firing 0.6
   → 10:15 leap d1 firing 0.6`,
);

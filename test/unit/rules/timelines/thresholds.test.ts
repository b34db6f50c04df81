import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'last, above - matches beyond the limit, holds until clear, and ignores older readings',
  { rule: 'when: { metric: pm25, last: true, above: 75, clear: 60 }' },
  `10:00 d1 pm25 75
   10:01 d1 pm25 75.1
   → 10:01 d1 firing 75.1
   10:02 d1 pm25 60.1
   10:03 d1 pm25 10 of 10:01
   10:04 d1 pm25 60
   → 10:04 d1 resolved 60
   10:05 d1 pm25 75`,
);

timeline(
  'last, below - the same on the other side',
  { rule: 'when: { metric: humidity, below: 20, clear: 30 }' },
  `10:00 d1 humidity 20
   10:01 d1 humidity 19.9
   → 10:01 d1 firing 19.9
   10:02 d1 humidity 29.9
   10:03 d1 humidity 30
   → 10:03 d1 resolved 30`,
);

timeline(
  'last, outside - matches on either side of the band, and holds outside of the inner one',
  {
    rule: 'when: { metric: voltage, outside: [207, 253], clear: [210, 250] }',
    devices: 'd1 streetlight harbour',
  },
  `10:00 d1 voltage 253
   10:01 d1 voltage 254
   → 10:01 d1 firing 254
   10:02 d1 voltage 251
   10:03 d1 voltage 209
   10:04 d1 voltage 210
   → 10:04 d1 resolved 210
   10:05 d1 voltage 206
   → 10:05 d1 firing 206`,
);

timeline(
  'last, equals - matches while the value is the limit',
  { rule: 'when: { metric: power, equals: 0 }', devices: 'd1 streetlight harbour' },
  `20:00 d1 power 60
   20:05 d1 power 0
   → 20:05 d1 firing 0
   20:10 d1 power 0.1
   → 20:10 d1 resolved 0.1`,
);

timeline(
  'mean - over the window that ends with the newest reading; its oldest fortieth can expire early',
  { rule: 'when: { metric: pm25, mean: 10m, above: 75 }' },
  `10:00 d1 pm25 20
   10:05 d1 pm25 100
   10:09 d1 pm25 120
   → 10:09 d1 firing 80
   10:10 d1 pm25 6
   10:19 d1 pm25 144
   → 10:19 d1 resolved 75`,
);

timeline(
  'min and max - a single reading counts for the length of the window',
  {
    rule: `
      id: least
      when: { metric: temperature, min: 10m, below: 0 }
      ---
      id: most
      when: { metric: temperature, max: 10m, above: 35 }`,
  },
  `10:00 .. 10:09 every 3m d1 temperature 20 -1 22 23
   → 10:03 least d1 firing -1
   10:12 d1 temperature 24
   10:13 d1 temperature 36
   → 10:13 least d1 resolved 22
   → 10:13 most d1 firing 36
   10:22 d1 temperature 20
   10:23 d1 temperature 21
   → 10:23 most d1 resolved 21`,
);

timeline(
  'sum and count - of the readings in the window',
  {
    rule: `
      id: many
      when: { metric: vehicles, count: 10m, above: 3 }
      ---
      id: flow
      when: { metric: vehicles, sum: 10m, above: 100 }`,
    devices: 'd1 traffic station',
  },
  `10:00 .. 10:03 every 1m d1 vehicles 10 20 30 45
   → 10:03 flow d1 firing 105
   → 10:03 many d1 firing 4
   10:20 d1 vehicles 30
   → 10:20 flow d1 resolved 30
   → 10:20 many d1 resolved 1`,
);

timeline(
  'p50 and p95 - measured values, by nearest rank',
  {
    rule: `
      id: half
      when: { metric: laeq, p50: 20m, above: 70 }
      ---
      id: most
      when: { metric: laeq, p95: 20m, above: 90 }`,
    devices: 'd1 noise station',
  },
  `10:00 .. 10:09 every 1m d1 laeq 60 61 62 95 63 72 73 74 64 65
   → 10:03 most d1 firing 95
   10:10 d1 laeq 75
   → 10:10 most d1 resolved 75
   10:11 d1 laeq 76
   10:12 d1 laeq 77
   → 10:12 half d1 firing 72
   10:26 d1 laeq 66
   10:28 d1 laeq 67
   → 10:28 half d1 resolved 67`,
);

timeline(
  'stddev - of a sample, unknown with one reading',
  { rule: 'when: { metric: level, stddev: 1h, above: 0.5 }', devices: 'd1 water-level riverside' },
  `10:00 d1 level 1
   10:05 d1 level 1.7
   10:10 d1 level 2.4
   → 10:10 d1 firing 0.7
   12:00 d1 level 2.4
   → 12:00 d1 resolved`,
);

timeline(
  'delta and rate - from the oldest to the newest reading of the window, unknown with one',
  {
    rule: `
      id: rise
      when: { metric: level, delta: 1h, above: 0.5 }
      ---
      id: pace
      when: { metric: level, rate: 1h, above: 1 }`,
    devices: 'd1 water-level riverside',
  },
  `10:00 d1 level 1
   10:15 d1 level 1.3
   → 10:15 pace d1 firing 1.2
   10:45 d1 level 1.6
   → 10:45 pace d1 resolved 0.8
   → 10:45 rise d1 firing 0.6
   11:10 d1 level 1.7
   → 11:10 rise d1 resolved 0.4`,
);

timeline(
  'severity - one alert that escalates with its value, and does not go back before it ends',
  { rule: 'when: { metric: pm25, above: 75 }\nseverity: { medium: 75, high: 115, critical: 150 }' },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   10:01 d1 pm25 160
   → 10:01 d1 firing 160 critical
   10:02 d1 pm25 120
   10:03 d1 pm25 10
   → 10:03 d1 resolved 10 critical
   10:04 d1 pm25 120
   → 10:04 d1 firing 120 high`,
);

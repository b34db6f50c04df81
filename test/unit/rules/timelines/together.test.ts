import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'all - each clause keeps its verdict until the next reading of its own metric',
  { rule: 'when: { all: [{ metric: pm25, above: 75 }, { metric: humidity, below: 40 }] }' },
  `10:00 d1 pm25 80
   10:01 d1 humidity 50
   10:02 d1 humidity 30
   → 10:02 d1 firing 80
   10:20 d1 temperature 10
   10:30 d1 humidity 45
   → 10:30 d1 resolved 80`,
);

timeline(
  'any - one true clause is enough, and the first true one gives the value',
  { rule: 'when: { any: [{ metric: pm25, above: 75 }, { metric: pm10, above: 150 }] }' },
  `10:00 d1 pm10 160
   → 10:00 d1 firing 160
   10:01 d1 pm25 80
   10:02 d1 pm10 100
   10:03 d1 pm25 70
   → 10:03 d1 resolved 70`,
);

timeline(
  'not - the negation of unknown is unknown',
  { rule: 'when: { not: { metric: humidity, mean: 10m, above: 40 } }' },
  `10:00 d1 pm25 80
   10:01 d1 humidity 50
   10:02 d1 humidity 20
   → 10:02 d1 firing 35`,
);

timeline(
  'all, any and not within one another',
  {
    rule: `
      when:
        any:
          - { metric: pm25, above: 150 }
          - all: [{ metric: pm25, above: 75 }, { not: { metric: humidity, above: 80 } }]`,
  },
  `10:00 d1 pm25 100
   10:01 d1 humidity 90
   10:02 d1 humidity 50
   → 10:02 d1 firing 100
   10:03 d1 humidity 85
   → 10:03 d1 resolved 100
   10:04 d1 pm25 151
   → 10:04 d1 firing 151`,
);

timeline(
  'compare with a metric - the difference, judged at readings of either',
  { rule: 'when: { metric: pm25, compare: { with: pm10 }, above: 10 }' },
  `10:00 d1 pm25 50
   10:01 d1 pm10 30
   → 10:01 d1 firing 20
   10:02 d1 pm10 40
   → 10:02 d1 resolved 10`,
);

timeline(
  'compare as a ratio - unknown against zero',
  { rule: 'when: { metric: pm25, compare: { with: pm10, as: ratio }, above: 1 }' },
  `10:00 d1 pm10 0
   10:01 d1 pm25 50
   10:02 d1 pm10 40
   → 10:02 d1 firing 1.25
   10:03 d1 pm25 40
   → 10:03 d1 resolved 1`,
);

timeline(
  'compare with peers - the median of at least three others of the district with recent readings',
  {
    rule: 'when: { metric: temperature, compare: { with: peers, within: 30m }, above: 8 }',
    devices: `
      d1 air-quality harbour
      d2 air-quality harbour
      d3 air-quality harbour
      d4 air-quality harbour
      d5 air-quality hillside`,
  },
  `10:00 d1 temperature 30, d2 temperature 20, d3 temperature 21, d5 temperature 1
   10:01 d1 temperature 30
   10:02 d4 temperature 22
   10:03 d1 temperature 30
   → 10:03 d1 firing 9
   10:20 d4 temperature 23
   10:31 d1 temperature 40
   → 10:31 d1 resolved
   10:32 d2 temperature 20, d3 temperature 20, d1 temperature 40
   → 10:32 d1 firing 20`,
);

timeline(
  'for_each district - one window for all its devices; after a device moves its next readings count elsewhere',
  {
    rule: 'for_each: district\nwhen: { metric: pm25, mean: 1h, above: 75 }',
    devices: 'd1 air-quality harbour\nd2 air-quality harbour\nd3 air-quality hillside',
  },
  `10:00 d1 pm25 60
   10:01 d2 pm25 100
   → 10:01 harbour firing 80
   10:02 d3 pm25 70
   10:03 register d2 air-quality hillside
   10:04 d2 pm25 90
   → 10:04 hillside firing 80
   10:05 d1 pm25 5
   → 10:05 harbour resolved 55
   10:06 revoke d2
   10:07 revoke d3
   → 10:07 hillside resolved 80`,
);

timeline(
  'for_each city - one alert for all',
  {
    rule: 'for_each: city\nwhen: { metric: pm25, max: 1h, above: 75 }',
    devices: 'd1 air-quality harbour\nd2 air-quality hillside',
  },
  `10:00 d1 pm25 60
   10:01 d2 pm25 100
   → 10:01 city firing 100
   11:30 d1 pm25 60
   → 11:30 city resolved 60`,
);

timeline(
  'quorum - a number of devices, each by itself; new, leaving and moving devices count at once',
  {
    rule: 'when: { metric: level, last: true, above: 3, quorum: { at_least: 2, of: district } }',
    devices: 'd1 water-level riverside\nd2 water-level riverside\nd3 water-level harbour',
  },
  `10:00 d1 level 3.5
   10:01 d3 level 3.5
   10:02 d2 level 3.2
   → 10:02 riverside firing 2
   10:03 register d2 water-level harbour
   → 10:03 riverside resolved 1
   10:04 d2 level 3.2
   → 10:04 harbour firing 2
   10:05 revoke d3
   → 10:05 harbour resolved 1`,
);

timeline(
  'quorum - a share of the devices that the rule applies to, rounded up',
  {
    rule: 'when: { metric: level, last: true, above: 3, quorum: { at_least: 60%, of: city } }\nfor: 10m',
    devices: 'd1 water-level riverside\nd2 water-level riverside\nd3 water-level harbour',
  },
  `10:00 d1 level 3.5
   10:01 d2 level 3.5
   → 10:01 city pending 2
   10:05 register d4 water-level harbour
   → 10:05 city cancelled 2
   10:06 d3 level 3.1
   → 10:06 city pending 3
   10:20 tick
   → 10:16 city firing 3
   10:30 revoke d4
   10:31 d1 level 1
   10:32 d2 level 1
   → 10:32 city resolved 1`,
);

import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'for - fires at its due time with its last value; a miss cancels, and the time starts again',
  { rule: 'when: { metric: pm25, above: 75 }\nfor: 10m' },
  `10:00 d1 pm25 80
   → 10:00 d1 pending 80
   10:09 d1 pm25 70
   → 10:09 d1 cancelled 70
   10:10 d1 pm25 90
   → 10:10 d1 pending 90
   10:19 d1 pm25 95
   10:30 d1 pm25 70
   → 10:20 d1 firing 95
   → 10:30 d1 resolved 70`,
);

timeline(
  'keep_firing_for - resolves that time after the match ended, unless it matches again',
  { rule: 'when: { metric: pm25, above: 75 }\nkeep_firing_for: 5m' },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   10:01 d1 pm25 70
   10:05 d1 pm25 80
   10:06 d1 pm25 70
   10:10 d1 pm25 60
   10:20 tick
   → 10:11 d1 resolved 60`,
);

timeline(
  'for and keep_firing_for - stop while the server is down',
  { rule: 'when: { metric: pm25, above: 75 }\nfor: 1m\nkeep_firing_for: 1m', gaps: true },
  `00:00:30 d1 pm25 80
   → 00:00:30 d1 pending 80
   00:00:45 .. 00:01:00 every 15s tick
   08:00:00 .. 08:00:29 every 10s tick
   08:00:30 tick
   → 08:00:30 d1 firing 80
   08:00:40 d1 pm25 10
   12:00:00 .. 12:00:59 every 15s tick
   12:00:59 tick
   12:01:00 tick
   → 12:01 d1 resolved 10`,
);

timeline(
  'lateness - a later reading does not count, whatever its value',
  { rule: 'when: { metric: pm25, mean: 1h, above: 75 }\nlateness: 10m' },
  `10:00 d1 pm25 70
   10:20 d1 pm25 200 of 10:09
   10:20 d1 pm25 80 of 10:10
   10:21 d1 pm25 90
   → 10:21 d1 firing 80`,
);

timeline(
  'active - nothing matches outside of the calendar; a true condition starts and stops matching with it',
  { rule: 'when: { metric: pm25, above: 75 }\nactive: working-hours\nfor: 10m' },
  `08:00 d1 pm25 80
   09:05 tick
   → 09:00 d1 pending 80
   12:00 tick
   → 09:10 d1 firing 80
   18:00 tick
   → 17:30 d1 resolved 80
   18:01 d1 pm25 90
   +1d08:00 d1 pm25 10
   +1d12:00 tick
   +4d08:00 d1 pm25 80
   +6d20:00 tick
   → +4d09:00 d1 pending 80
   → +4d09:10 d1 firing 80
   → +4d17:30 d1 resolved 80`,
);

timeline(
  'on_no_data: keep - silence changes nothing',
  { rule: 'when: { metric: pm25, above: 75 }' },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   +3d10:00 tick`,
);

timeline(
  'on_no_data: resolve - the alert no longer matches, and verdicts become unknown',
  {
    rule: 'when: { metric: pm25, above: 75, clear: 60 }\nkeep_firing_for: 30m\non_no_data: resolve\nno_data_after: 1h',
  },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   10:30 d1 pm25 70
   12:00 d1 pm25 70
   → 12:00 d1 resolved
   12:01 d1 pm25 76
   → 12:01 d1 firing 76`,
);

timeline(
  'on_no_data: resolve - without keep_firing_for it ends at once, and a reading that matches keeps it',
  {
    rule: `
           id: at-once
           when: { metric: pm25, above: 75 }
           on_no_data: resolve
           no_data_after: 1h
           ---
           id: kept
           when: { metric: pm25, above: 75 }
           keep_firing_for: 30m
           on_no_data: resolve
           no_data_after: 1h`,
  },
  `10:00 d1 pm25 80
   → 10:00 at-once d1 firing 80
   → 10:00 kept d1 firing 80
   11:10 tick
   → 11:00 at-once d1 resolved 80
   11:20 d1 pm25 90
   → 11:20 at-once d1 firing 90
   12:10 tick`,
);

timeline(
  'on_no_data: alert - after a for and, for one that never spoke, a grace of its own',
  {
    rule: `
           when: { metric: pm25, above: 75 }
           for: 30m
           on_no_data: alert
           no_data_after: 1h
           no_data_for: 10m
           no_data_grace: 1d`,
    devices: 'd1 air-quality harbour\nd2 air-quality harbour',
  },
  `10:00 d1 pm25 10
   11:05 tick
   → 11:00 d1 pending 3600
   11:06 d1 pm25 10
   → 11:06 d1 cancelled 10
   12:30 tick
   → 12:06 d1 pending 3600
   → 12:16 d1 firing 4200
   13:00 d1 pm25 80
   +1d00:20 tick
   → +1d00:00 d2 pending 86400
   → +1d00:10 d2 firing 87000`,
);

timeline(
  'on_no_data: alert - a condition that waits for its for fires when that or the silence is long enough',
  {
    rule: 'when: { metric: pm25, above: 75 }\nfor: 2h\non_no_data: alert\nno_data_after: 1h\nno_data_for: 30m\nno_data_grace: 1d',
  },
  `10:00 d1 pm25 80
   → 10:00 d1 pending 80
   12:00 tick
   → 11:30 d1 firing 5400`,
);

timeline(
  'on_no_data: alert - fires at once, without for, until a reading is judged',
  { rule: 'when: { metric: pm25, above: 75 }\nfor: 10m\nkeep_firing_for: 5m\non_no_data: alert\nno_data_after: 1h' },
  `10:00 d1 pm25 10
   → 01:00 d1 firing 3600
   12:00 d1 pm25 80
   → 10:05 d1 resolved 10
   → 11:00 d1 firing 3600
   12:30 d1 pm25 10
   12:40 tick
   → 12:35 d1 resolved 10`,
);

timeline(
  'on_no_data: alert with a calendar - fires when the calendar is or becomes active',
  { rule: 'when: { metric: pm25, above: 75 }\nactive: working-hours\non_no_data: alert\nno_data_after: 1h' },
  `08:30 d1 pm25 10
   18:00 tick
   → 09:30 d1 firing 3600
   → 17:30 d1 resolved 32400
   +1d10:00 d1 pm25 10
   → +1d09:00 d1 firing 88200
   → +1d10:00 d1 resolved 10`,
);

timeline(
  'flapping - an alert that fired twice within an hour fires until it has not matched for an hour',
  { rule: 'when: { metric: pm25, above: 75 }\nflapping: { times: 2, within: 1h }' },
  `10:00 d1 pm25 80
   → 10:00 d1 firing 80
   10:01 d1 pm25 10
   → 10:01 d1 resolved 10
   10:02 d1 pm25 80
   → 10:02 d1 firing 80
   10:03 d1 pm25 10
   10:30 d1 pm25 80
   10:31 d1 pm25 10
   12:00 d1 pm25 80
   → 11:31 d1 resolved 10
   → 12:00 d1 firing 80
   12:01 d1 pm25 10
   → 12:01 d1 resolved 10`,
);

timeline(
  'where - only devices that match every list and tag',
  {
    rule: 'where: { profile: air-quality, district: [harbour, hillside], tags: { road: ring } }\nwhen: { metric: pm25, above: 75 }',
    devices: `
      d1 air-quality harbour road=ring
      d2 air-quality harbour road=main
      d3 air-quality station road=ring
      d4 sensor-community harbour road=ring`,
  },
  `10:00 d1 pm25 80, d2 pm25 80, d3 pm25 80, d4 pm25 80
   → 10:00 d1 firing 80
   10:01 register d1 air-quality station road=ring
   → 10:01 d1 resolved 80
   10:02 register d2 air-quality hillside road=ring
   10:03 d2 pm25 80
   → 10:03 d2 firing 80`,
);

timeline(
  'limit - one alarm instead of many alerts; held alerts fire when the rule is within its limit again',
  {
    rule: 'when: { metric: pm25, above: 75 }\nlimit: 2',
    devices: `
      d1 air-quality harbour
      d2 air-quality harbour
      d3 air-quality harbour
      d4 air-quality harbour`,
  },
  `10:00 d1 pm25 80, d2 pm25 81, d3 pm25 82, d4 pm25 83
   → 10:00 d1 firing 80
   → 10:00 d2 firing 81
   → 10:00 d3 pending 82
   → 10:00 ~limit firing 3
   → 10:00 d4 pending 83
   10:01 d4 pm25 10
   → 10:01 d4 cancelled 10
   10:02 d1 pm25 10
   → 10:02 d1 resolved 10
   → 10:02 ~limit resolved 2
   → 10:02 d3 firing 82`,
);

timeline(
  'a change of rules - unchanged rules go on, alerts of changed ones while these hold; removed rules end',
  {
    rule: `
      id: kept
      when: { metric: pm25, above: 75 }
      for: 10m
      ---
      id: changed
      when: { metric: pm25, above: 70 }
      ---
      id: gone
      when: { metric: pm25, above: 60 }
      for: 1h`,
    second: `
      id: kept
      when: { metric: pm25, above: 75 }
      for: 10m
      ---
      id: changed
      when: { metric: pm25, above: 50 }`,
  },
  `10:00 d1 pm25 80
   → 10:00 changed d1 firing 80
   → 10:00 gone d1 pending 80
   → 10:00 kept d1 pending 80
   10:05 rules 2
   → 10:05 gone d1 cancelled 80
   10:06 d1 pm25 60
   → 10:06 kept d1 cancelled 60
   10:07 d1 pm25 40
   → 10:07 changed d1 resolved 40`,
);

timeline(
  'due times - each is handled at its own time, in order of time, rule and group, however late the next block is',
  {
    rule: `
      id: b
      when: { metric: pm25, above: 75 }
      for: 10m
      ---
      id: a
      when: { metric: pm25, above: 75 }
      for: 10m
      ---
      id: silent
      when: { absent: 8m }`,
    devices: 'd1 air-quality harbour\nd2 air-quality harbour',
  },
  `00:01 d2 pm25 80, d1 pm25 80
   → 00:01 a d2 pending 80
   → 00:01 b d2 pending 80
   → 00:01 a d1 pending 80
   → 00:01 b d1 pending 80
   05:00 tick
   → 00:09 silent d1 firing 480
   → 00:09 silent d2 firing 480
   → 00:11 a d1 firing 80
   → 00:11 a d2 firing 80
   → 00:11 b d1 firing 80
   → 00:11 b d2 firing 80`,
);

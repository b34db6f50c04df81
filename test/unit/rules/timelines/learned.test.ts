import { timeline } from '../../../kit/rules/timelines/timeline.ts';

timeline(
  'anomaly - learns each hour of the day, is unknown before, and does not judge readings out of order',
  {
    rule: 'when: { metric: laeq, mean: 15m, anomaly: { season: 1d, deviations: 4, train: 14d, least: 1 } }',
    devices: 'd1 noise station',
  },
  `00:00 .. +2d23:00 every 1h d1 laeq 50
   +3d10:00 d1 laeq 90
   +3d12:00 .. +5d23:00 every 1h d1 laeq 50
   +6d10:00 d1 laeq 53
   +6d11:00 d1 laeq 60
   → +6d11:00 d1 firing 60
   +6d11:10 d1 laeq 20 of +6d10:59
   +6d12:00 d1 laeq 50
   → +6d12:00 d1 resolved 50`,
);

timeline(
  'anomaly of a week - a loud Monday morning is usual where every Monday morning was loud',
  {
    rule: 'when: { metric: laeq, anomaly: { season: 1w, deviations: 4, train: 35d, least: 1 } }',
    devices: 'd1 noise station',
  },
  `07:00 .. 09:40 every 20m d1 laeq 80
   +1d07:00 .. +1d09:40 every 20m d1 laeq 50
   +7d07:00 .. +7d09:40 every 20m d1 laeq 80
   +8d07:00 .. +8d09:40 every 20m d1 laeq 50
   +14d08:00 d1 laeq 80
   +14d08:20 d1 laeq 50
   → +14d08:20 d1 firing 50
   +14d08:40 d1 laeq 80
   → +14d08:40 d1 resolved 80
   +15d08:00 d1 laeq 80
   → +15d08:00 d1 firing 80`,
);

timeline(
  'anomaly of a week - learns from hourly readings, of which no three hours in four weeks have twelve',
  {
    rule: 'when: { metric: laeq, anomaly: { season: 1w, least: 1 } }',
    devices: 'd1 noise station',
  },
  `00:00 .. +20d09:00 every 1h d1 laeq 50
   +20d10:00 d1 laeq 60
   +20d11:00 .. +20d23:00 every 1h d1 laeq 50
   +21d00:00 d1 laeq 60
   → +21d00:00 d1 firing 60
   +21d01:00 .. +28d23:00 every 1h d1 laeq 50
   → +21d01:00 d1 resolved 50
   +29d00:00 d1 laeq 60
   → +29d00:00 d1 firing 60`,
);

timeline(
  'anomaly - needs its slot on most days of the training before it looks further than the next hours',
  {
    rule: 'when: { metric: laeq, anomaly: { season: 1d, train: 3d, least: 1 } }',
    devices: 'd1 noise station',
  },
  `00:00 .. +1d23:00 every 1h d1 laeq 50
   +2d10:00 d1 laeq 60
   +2d11:00 .. +2d23:00 every 1h d1 laeq 50
   +3d12:00 d1 laeq 60
   → +3d12:00 d1 firing 60`,
);

timeline(
  'forecast by trend - the value within the time ahead; an emptied bin starts a new line',
  {
    rule: 'when: { metric: fill, forecast: { within: 6h, over: 8h, reset: 30 }, above: 95 }',
    devices: 'd1 waste-bin station',
  },
  `08:00 .. 12:00 every 1h d1 fill 50 55 60 65 70
   → 12:00 d1 firing 100
   13:00 d1 fill 5
   → 13:00 d1 resolved
   14:00 .. 17:00 every 1h d1 fill 20 35 50 65
   → 17:00 d1 firing 155`,
);

timeline(
  'forecast by trend, below - of a battery; unknown with too few readings or too short a line',
  {
    rule: 'when: { metric: battery, forecast: { within: 1d, over: 1d }, below: 20, clear: 30 }',
    devices: 'd1 water-level riverside',
  },
  `00:00 .. 00:20 every 5m d1 battery 50 48 46 44 42
   06:00 d1 battery 40
   → 06:00 d1 firing 13.6946`,
);

timeline(
  'forecast by Holt-Winters - learns two days, then forecasts the next hours',
  {
    rule: 'when: { metric: occupancy, forecast: { within: 3h, method: holt_winters }, above: 50 }',
    devices: 'd1 traffic station',
  },
  `00:00 .. +2d05:00 every 1h d1 occupancy 10 10 10 10 10 10 10 10 60 60 10 10 10 10 10 10 10 10 10 10 10 10 10 10
   → +2d05:00 d1 firing 60
   +2d06:00 .. +2d11:00 every 1h d1 occupancy 10 10 60 60 10 10
   → +2d10:00 d1 resolved 10`,
);

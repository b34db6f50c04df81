import type { Clause, MetricTable } from '../../../domain/index.ts';
import { AbsentState } from './absent.ts';
import { AnomalyState, anomalySpec } from './anomaly.ts';
import type { ClauseState } from './clause.ts';
import { ForecastState, forecastSpec } from './forecast.ts';
import { FlatState, JumpState, rangeSpec } from './range.ts';
import { type StateNames, ThresholdState, thresholdSpec } from './threshold.ts';

export {
  beyond,
  type ClauseState,
  type ClauseWindow,
  type EngineTime,
  FALSE,
  metricOf,
  shown,
  shownWindow,
  TRUE,
  UNKNOWN,
  VERDICTS,
  type Verdict,
} from './clause.ts';
export { namesOf, type StateNames } from './threshold.ts';

/**
 * Compiles a clause; the returned function creates its state for one series at engine time `k`. Throws on an unknown
 * kind.
 */
export function clauseMaker(clause: Clause, metrics: MetricTable, names?: StateNames): (k: number) => ClauseState {
  switch (clause.kind) {
    case 'threshold': {
      const spec = thresholdSpec(clause, metrics, names);
      return () => new ThresholdState(spec);
    }
    case 'absent':
      return (k) => new AbsentState(clause, metrics, k);
    case 'flat': {
      const spec = rangeSpec(clause, metrics);
      return () => new FlatState(spec);
    }
    case 'jump': {
      const spec = rangeSpec(clause, metrics);
      return () => new JumpState(spec);
    }
    case 'anomaly': {
      const spec = anomalySpec(clause, metrics);
      return () => new AnomalyState(spec);
    }
    case 'forecast': {
      const spec = forecastSpec(clause, metrics);
      return () => new ForecastState(spec);
    }
    default:
      throw new Error(`there is no condition "${(clause as { kind: string }).kind}"`);
  }
}
